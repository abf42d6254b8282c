// Children that were started before they are needed, each for one job: it has the sandbox and the limits of any child, and what the
// job costs its caller is a message there and one back.
//
//   BROOD_ASSIGN_OR_RETURN(WarmPool pool, WarmPool::Create(context, {.launch = {.policy = strict}, .low_water = 2, .high_water = 8}));
//   const absl::StatusOr<int> squared = pool.Call(Square, 7);
//
// A child takes one job and ends. It sends its result first, lets others have the processor, and takes itself apart then. Whenever
// fewer than `low_water` are ready, and no call is under way, as many are started as make `high_water`: by a thread of the pool's
// own, on which all signals are blocked. A call that finds none starts one, and waits for that.
//
// For many short jobs of which each needs a process that nobody has used; one after the other, or from any number of threads.
// For the same in a process that is used again see rewound_worker.h, and launcher/executor.h. Not for start method fork, which
// that thread would be one too many for. Never throws, never logs. In a fork of this process it cannot be used.
#ifndef BROOD_LAUNCHER_JOBS_WARM_POOL_H_
#define BROOD_LAUNCHER_JOBS_WARM_POOL_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bootstrap/registry.h"
#include "bootstrap/target.h"
#include "launcher/context.h"
#include "launcher/executor/arguments.h"
#include "launcher/executor/future.h"
#include "launcher/launch_options.h"
#include "launcher/outcome.h"
#include "serialization/wire.h"

namespace brood {

struct WarmPoolOptions {
  LaunchOptions launch;     // Of each child; argv is ignored. Its wall time begins with its birth, not with its job.
  size_t low_water = 2;     // At least 1.
  size_t high_water = 4;    // At least low_water.
  absl::Duration timeout = absl::InfiniteDuration();  // Of each job. What takes longer is killed, and is DeadlineExceeded.
  // As long, and 10 s at most, a child may go on after its result, with finalizers and destructors; then it is killed.
  // Of a child that has given its result, and has ended since: how, which may be by a crash of its end. On the pool's thread.
  std::function<void(const Outcome& outcome)> on_end;
};

class WarmPool {  // Move-only. Its destruction ends all children.
 public:
  // Returns when high_water children are ready. Errors: those of Context::Start; InvalidArgument (the options).
  static absl::StatusOr<WarmPool> Create(const Context& context, WarmPoolOptions options);

  WarmPool(WarmPool&&) noexcept;
  WarmPool& operator=(WarmPool&&) noexcept;
  ~WarmPool();

  // Errors: those of Context::Start, where none is ready; the function's own, as Future::Get has them; Aborted (the child ended
  // without a result: OutcomeOf(status) says how); DeadlineExceeded; FailedPrecondition (in a fork).
  template <typename Returned, typename... Parameters, typename... Arguments>
  internal::StatusOrVoid<typename internal::ReturnOf<Returned>::Value> Call(Returned (*function)(Parameters...),
                                                                            Arguments&&... arguments) {
    constexpr void (*kParameters)(Parameters...) = nullptr;
    WireWriter writer;
    internal::WriteArguments(writer, kParameters, std::forward<Arguments>(arguments)...);
    absl::StatusOr<std::string> bytes = CallBytes(reinterpret_cast<internal::AnyFunction>(function), writer);
    if (!bytes.ok()) return bytes.status();
    std::string_view view = *bytes;
    return internal::DecodeResult<typename internal::ReturnOf<Returned>::Value>(view);
  }

  // Children that wait for a job.
  size_t ready() const;

  // Until as many are ready as make high_water, and all that have given their result have ended. DeadlineExceeded: not yet.
  absl::Status AwaitFull(absl::Duration timeout);

 private:
  class State;
  explicit WarmPool(std::unique_ptr<State> state);
  void Leave();
  absl::StatusOr<std::string> CallBytes(internal::AnyFunction function, WireWriter& arguments);

  std::unique_ptr<State> state_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_JOBS_WARM_POOL_H_
