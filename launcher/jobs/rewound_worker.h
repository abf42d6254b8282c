// A process that runs one job after the other, and after each of them has its memory as it was when its server was frozen: for
// trusted work that is repeated many times, as fuzzing or tests, on what was preloaded.
//
//   const Context context(StartMethod::kForkServer, {.preload = {"LoadModel"}, .freeze = Freeze::kOn});
//   BROOD_ASSIGN_OR_RETURN(RewoundWorker worker, RewoundWorker::Create(context));
//   const absl::StatusOr<int> found = worker.Call(TryInput, input);
//
// No job finds what an earlier one has left in memory: heap, static and thread-local variables, whether it returned or threw. Random
// engines get new seeds, and hooks (bootstrap/after_fork.h) run, as in a forked child. What is outside of memory cannot be taken
// back. After each job that made a system call the worker compares what the kernel knows of it with what that knew before the first one: descriptors,
// mappings (but anonymous ones that are new are taken away), timers, signals, threads, children, working directory, limits, ids, its name,
// root, namespaces, scheduling, and what prctl(2) sets; docs/jobs.md has the list. If any of it differs, the worker is
// retired: it ends, the next job has a new one, and retired() says by name what it was. What a job has written to files, or to
// shared memory, stays.
//
// It is no boundary: a job that means harm can change what resets it. For what is not trusted see warm_pool.h. CurrentProcess() is not
// set in jobs, and their environment is the server's. pthread_exit in a job ends the worker by SIGABRT.
//
// For one thread at a time. Never throws, never logs. In a fork of this process it cannot be used.
#ifndef BROOD_LAUNCHER_JOBS_REWOUND_WORKER_H_
#define BROOD_LAUNCHER_JOBS_REWOUND_WORKER_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
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
#include "serialization/wire.h"

namespace brood {

struct RewoundWorkerOptions {
  LaunchOptions launch;                               // Of the worker; argv is ignored. Limits are those of all its jobs together.
  absl::Duration timeout = absl::InfiniteDuration();  // Of each job. What takes longer is killed, and is DeadlineExceeded.
  uint64_t max_jobs = 0;                              // A worker is replaced after so many. 0: never.
};

class RewoundWorker {  // Move-only. Its destruction ends the worker.
 public:
  // Errors: those of Context::Start; FailedPrecondition (its server is not frozen, or not wholly: what is not).
  static absl::StatusOr<RewoundWorker> Create(const Context& context, RewoundWorkerOptions options = {});

  RewoundWorker(RewoundWorker&&) noexcept;
  RewoundWorker& operator=(RewoundWorker&&) noexcept;
  ~RewoundWorker();

  // Errors: those of Create, where a new worker is needed; the function's own, as Future::Get has them; Aborted (the job ended its
  // worker, by a crash or brood::Exit: OutcomeOf(status) says how); DeadlineExceeded; FailedPrecondition (in a fork).
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

  // Waits until the worker has looked at what the last job left, and so either can take another, or has been retired. Errors: as Call.
  absl::Status Settle();

  // Workers that were retired, by what their last job had changed: {"descriptors": 2, "timers": 1}. What a job left is looked at
  // after its result was sent, so that the last one's is there after the next call, or Settle.
  const std::map<std::string, uint64_t>& retired() const;

 private:
  class State;
  explicit RewoundWorker(std::unique_ptr<State> state);
  absl::StatusOr<std::string> CallBytes(internal::AnyFunction function, WireWriter& arguments);

  std::unique_ptr<State> state_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_JOBS_REWOUND_WORKER_H_
