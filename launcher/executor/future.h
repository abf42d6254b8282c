// The result of a task that an executor runs. See launcher/executor.h.
#ifndef BROOD_LAUNCHER_EXECUTOR_FUTURE_H_
#define BROOD_LAUNCHER_EXECUTOR_FUTURE_H_

#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/fork_generation.h"
#include "launcher/executor/outcome_of.h"
#include "launcher/executor/pool.h"
#include "launcher/executor/task.h"
#include "serialization/codec.h"

namespace brood {

using internal::CancelRunning;

namespace internal {

template <typename R>
using StatusOrVoid = std::conditional_t<std::is_void_v<R>, absl::Status, absl::StatusOr<R>>;

// The next call's result out of `bytes`. Errors: the call's own; DataLoss (not what a worker sends).
template <typename R>
StatusOrVoid<R> DecodeResult(std::string_view& bytes) {
  std::string_view value;
  absl::Status error;
  if (!TakeResult(bytes, value, error)) {
    bytes = {};
    return absl::DataLossError("the worker sent what is no result");
  }
  if (!error.ok()) return error;
  if constexpr (std::is_void_v<R>) {
    return absl::OkStatus();
  } else {
    R result{};
    if (absl::Status status = DecodeInto(value, result); !status.ok()) return status;
    return result;
  }
}

}  // namespace internal

// A copy stands for the same task. Thread-safe, apart from moving and assigning. It may outlive the executor. Dropping
// it cancels nothing.
template <typename R>
class Future {
 public:
  explicit Future(std::shared_ptr<internal::Task> task) : task_(std::move(task)) {}

  // Waits until the task has ended, or `timeout` has passed, and gives what the function returned: StatusOr<R>, or
  // Status for void. It can be asked for again and again.
  //
  // Errors: DeadlineExceeded (the timeout passed: done() is false; or the task took longer than it may: done() is
  // true);
  //   the function's own status; Unknown with "TYPE: MESSAGE" for an exception, with the payloads of Process::Result;
  //   Aborted (its worker ended in any way: OutcomeOf(status) says how; or the function returned another ExitCode than
  //   0); Cancelled; DataLoss (its worker sent garbage);
  //   what kept it from being started: InvalidArgument (arguments too large), Unimplemented (arguments with
  //   descriptors), NotFound (not registered), ResourceExhausted (the queue is full), FailedPrecondition (shut down).
  internal::StatusOrVoid<R> Get(absl::Duration timeout = absl::InfiniteDuration()) const {
    if (!Wait(timeout)) {
      if (task_->creator != ForkGeneration()) {
        return absl::FailedPreconditionError("get: only the process that submitted the task may ask, not a fork of it");
      }
      return absl::DeadlineExceededError(absl::StrCat("get: not done after ", absl::FormatDuration(timeout)));
    }
    const internal::ResultPiece& result = task_->results.front();
    if (!result.error.ok()) return result.error;
    std::string_view bytes = result.bytes;
    return internal::DecodeResult<R>(bytes);
  }

  // True when the task has ended, false when `timeout` has passed.
  bool Wait(absl::Duration timeout = absl::InfiniteDuration()) const {
    return task_->pool != nullptr ? task_->pool->Wait(*task_, timeout) : task_->Wait(timeout);
  }

  // A task that waits never runs, and is Cancelled at once: true. One that has ended stays as it is: false. One that
  // runs is left alone (false); or, with kKill, its worker is ended and replaced, and the task is Cancelled unless its
  // result comes in that moment: true.
  bool Cancel(CancelRunning running = CancelRunning::kLeave) const {
    return task_->pool != nullptr && task_->pool->Cancel(task_, running);
  }

  // Both false in a fork of the process that submitted it, whose locks mean nothing there.
  bool done() const { return Is(internal::TaskState::kDone); }
  bool running() const { return Is(internal::TaskState::kRunning); }

 private:
  bool Is(internal::TaskState state) const {
    if (task_->creator != ForkGeneration()) return false;
    if (task_->pool != nullptr) task_->pool->Look(*task_);
    return task_->State() == state;
  }

  std::shared_ptr<internal::Task> task_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_EXECUTOR_FUTURE_H_
