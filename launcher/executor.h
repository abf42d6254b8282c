// A pool of worker processes that run registered functions, each worker in the sandbox of one policy.
//
//   BROOD_ASSIGN_OR_RETURN(Executor executor, Executor::Create(context, {.workers = 4, .launch = {.policy = strict}}));
//   const Future<int> future = executor.Submit(Square, 7);
//   BROOD_ASSIGN_OR_RETURN(const int squared, future.Get(absl::Seconds(5)));
//
// As concurrent.futures.ProcessPoolExecutor, except that a worker which dies takes no other task with it: its own task
// gets the outcome, and another worker takes its place. docs/executor.md.
//
// Workers are started when they are needed. Several threads may submit. A fork of this process cannot use the executor,
// and disturbs nothing. Never logs, never throws, installs no signal handler; it has one thread, on which all signals
// are blocked. With start method fork the workers are born of a fork that Create makes; for other starts by fork that
// thread is one more, so that they are refused while the executor lives (ForkWithThreads).
#ifndef BROOD_LAUNCHER_EXECUTOR_H_
#define BROOD_LAUNCHER_EXECUTOR_H_

#include <sys/types.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bootstrap/registry.h"
#include "bootstrap/target.h"
#include "launcher/context.h"
#include "launcher/executor/future.h"
#include "launcher/executor/pool.h"
#include "launcher/launch_options.h"
#include "serialization/wire.h"

namespace brood {

namespace internal {

// Writes the arguments of one call as they travel: their size, then each without its type.
template <typename... Parameters, typename... Arguments>
void WriteArguments(WireWriter& to, void (*)(Parameters...), Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "the target takes another number of arguments");
  if constexpr (sizeof...(Parameters) == sizeof...(Arguments)) {
    static_assert((std::convertible_to<Arguments&&, const Storage<Parameters>&> && ...),
                  "an argument does not convert to the target's parameter");
    const size_t begin = to.size();
    to.Number(uint32_t{0});
    const auto write = [&to]<typename T>(std::type_identity<T>, const std::type_identity_t<T>& value) { Codec<T>::Encode(value, to); };
    (write(std::type_identity<Storage<Parameters>>(), std::forward<Arguments>(arguments)), ...);
    // Cut if it is too large: such are refused before they are sent.
    to.Overwrite(begin, static_cast<uint32_t>(to.size() - begin - sizeof(uint32_t)));
  }
}

}  // namespace internal

// A function that each worker runs once, before its first task.
struct Initializer {
  internal::AnyFunction function = nullptr;
  std::string arguments;
  WireHandles handles;

  Initializer() = default;
  // Its arguments may have descriptors (a lock, a queue, a connection).
  template <typename Returned, typename... Parameters, typename... Arguments>
  explicit Initializer(Returned (*target)(Parameters...), Arguments&&... values)
      : function(reinterpret_cast<internal::AnyFunction>(target)) {
    constexpr void (*kParameters)(Parameters...) = nullptr;
    WireWriter writer;
    internal::WriteArguments(writer, kParameters, std::forward<Arguments>(values)...);
    arguments = writer.Take().substr(sizeof(uint32_t));
    handles = writer.TakeHandles();
  }
};

struct ExecutorOptions {
  size_t workers = 0;    // At most so many at a time. 0: the CPUs that this process may use.
  LaunchOptions launch;  // Of each worker: policy, environment, streams. argv is ignored; nobody can take what is captured.

  // If it fails in any worker the executor is broken: all tasks that wait, and all later ones, get its error.
  Initializer initializer;

  // A worker is replaced after so many tasks. 0: never.
  uint64_t max_tasks_per_child = 0;

  // Tasks that wait for a worker, at least 1. More are not taken: see SubmitOptions::wait_for_room.
  size_t max_queued = 1024;
  absl::Duration task_timeout = absl::InfiniteDuration();  // Of tasks that say nothing else.

  // A worker that a task's time or its cancelling ends gets SIGTERM, and its tree is killed so much later. One that is
  // not needed any more is told to end, and has as long for it. Zero: killed at once.
  absl::Duration grace = absl::Seconds(1);
};

struct SubmitOptions {
  // From its beginning in a worker. What takes longer is ended with its worker, and is DeadlineExceeded.
  std::optional<absl::Duration> timeout;

  // How long the call may block while the queue is full; then the task fails with ResourceExhausted.
  absl::Duration wait_for_room = absl::InfiniteDuration();
};

class Executor {  // Move-only. Its destruction is ShutdownNow.
 public:
  // Starts the first worker, so that a request which cannot be met fails here.
  //
  // Errors: those of Context::Start; InvalidArgument (the options).
  static absl::StatusOr<Executor> Create(const Context& context, ExecutorOptions options = {});

  Executor(Executor&& other) noexcept = default;
  Executor& operator=(Executor&& other) noexcept;
  ~Executor();

  // Gives `function` to a worker that is free, or puts it into the queue. All errors are the future's.
  template <typename Returned, typename... Parameters, typename... Arguments>
  Future<typename internal::ReturnOf<Returned>::Value> Submit(const SubmitOptions& options,
                                                              Returned (*function)(Parameters...),
                                                              Arguments&&... arguments) {
    constexpr void (*kParameters)(Parameters...) = nullptr;
    WireWriter writer;
    internal::WriteArguments(writer, kParameters, std::forward<Arguments>(arguments)...);
    return Future<typename internal::ReturnOf<Returned>::Value>(
        SubmitBytes(options, reinterpret_cast<internal::AnyFunction>(function), writer));
  }
  template <typename Returned, typename... Parameters, typename... Arguments>
  auto Submit(Returned (*function)(Parameters...), Arguments&&... arguments) {
    return Submit(SubmitOptions(), function, std::forward<Arguments>(arguments)...);
  }

  // Takes no more tasks, finishes those that it has, and ends the workers in order. DeadlineExceeded: that goes on, and
  // may be waited for again. After it, or meanwhile, ShutdownNow may be called.
  absl::Status Shutdown(absl::Duration timeout = absl::InfiniteDuration());

  // Kills the workers. Tasks that have not ended are Cancelled.
  void ShutdownNow();

  // Of the workers that there are now.
  std::vector<pid_t> worker_pids() const;

 private:
  explicit Executor(std::shared_ptr<internal::Pool> pool, absl::Duration task_timeout)
      : pool_(std::move(pool)), task_timeout_(task_timeout) {}
  std::shared_ptr<internal::Task> SubmitBytes(const SubmitOptions& options, internal::AnyFunction function,
                                              WireWriter& arguments);
  void Drop();

  std::shared_ptr<internal::Pool> pool_;
  absl::Duration task_timeout_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_EXECUTOR_H_
