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

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bootstrap/registry.h"
#include "bootstrap/target.h"
#include "launcher/context.h"
#include "launcher/executor/arguments.h"
#include "launcher/executor/future.h"
#include "launcher/executor/map.h"
#include "launcher/executor/pool.h"
#include "launcher/launch_options.h"
#include "serialization/wire.h"

namespace brood {

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
  // Of each worker: policy, environment, streams. argv is ignored; nobody can take what is captured. What it borrows may go
  // after Create, but on Windows `inherited` must stay open as long as the executor: a handle keeps its value there.
  LaunchOptions launch;

  // If it fails in any worker the executor is broken: all tasks that wait, and all later ones, get its error. So they do
  // if it has not ended after start_timeout, which counts from when the worker runs; the worker is ended.
  Initializer initializer;
  absl::Duration start_timeout = absl::InfiniteDuration();

  // A worker is replaced after so many tasks; each element of a Map is one. 0: never.
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

struct MapOptions {
  // So many elements go to a worker at a time. 0: as many as take it some milliseconds, as measured.
  size_t chunk_size = 0;
  std::optional<absl::Duration> timeout;  // Of each element, as SubmitOptions::timeout.
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

  // Calls `function` with each element of `range`, in as many workers as there are, and gives the results in the order
  // of the elements. A function of several parameters takes elements that are tuples of its arguments.
  //
  // The range is read, on the thread of the consumer, only some chunks ahead of what is consumed: it may be endless, and
  // neither elements nor results fill the memory. One that is not a temporary must outlive the results. An element's
  // error, or its worker's end, is that element's result and no other's.
  template <typename Returned, typename... Parameters, std::ranges::input_range Range>
  MapResults<typename internal::ReturnOf<Returned>::Value> Map(const MapOptions& options,
                                                               Returned (*function)(Parameters...), Range&& range) {
    return MakeMap(internal::MapOrder::kInput, options, function, std::forward<Range>(range));
  }
  template <typename Returned, typename... Parameters, std::ranges::input_range Range>
  auto Map(Returned (*function)(Parameters...), Range&& range) {
    return Map(MapOptions(), function, std::forward<Range>(range));
  }

  // The same, in the order in which chunks are done.
  template <typename Returned, typename... Parameters, std::ranges::input_range Range>
  MapResults<typename internal::ReturnOf<Returned>::Value> MapUnordered(const MapOptions& options,
                                                                        Returned (*function)(Parameters...),
                                                                        Range&& range) {
    return MakeMap(internal::MapOrder::kCompletion, options, function, std::forward<Range>(range));
  }
  template <typename Returned, typename... Parameters, std::ranges::input_range Range>
  auto MapUnordered(Returned (*function)(Parameters...), Range&& range) {
    return MapUnordered(MapOptions(), function, std::forward<Range>(range));
  }

  // Takes no more tasks, finishes those that it has, and ends the workers in order. DeadlineExceeded: that goes on, and
  // may be waited for again. After it, or meanwhile, ShutdownNow may be called.
  absl::Status Shutdown(absl::Duration timeout = absl::InfiniteDuration());

  // Kills the workers. Tasks that have not ended are Cancelled.
  void ShutdownNow();

  // Of the workers that there are now.
  std::vector<int> worker_pids() const;

 private:
  explicit Executor(std::shared_ptr<internal::Pool> pool, absl::Duration task_timeout)
      : pool_(std::move(pool)), task_timeout_(task_timeout) {}
  std::shared_ptr<internal::Task> SubmitBytes(const SubmitOptions& options, internal::AnyFunction function,
                                              WireWriter& arguments);
  template <typename Returned, typename... Parameters, typename Range>
  auto MakeMap(internal::MapOrder order, const MapOptions& options, Returned (*function)(Parameters...),
               Range&& range) {
    static_assert(sizeof...(Parameters) > 0, "the target takes no argument that an element could be");
    using View = std::views::all_t<Range>;
    return MapResults<typename internal::ReturnOf<Returned>::Value>(Feed(
        order, options, reinterpret_cast<internal::AnyFunction>(function),
        std::make_unique<internal::RangeSource<View, Parameters...>>(std::views::all(std::forward<Range>(range)))));
  }
  std::unique_ptr<internal::MapFeed> Feed(internal::MapOrder order, const MapOptions& options,
                                          internal::AnyFunction function, std::unique_ptr<internal::MapSource> source);
  absl::Duration TimeoutOf(const std::optional<absl::Duration>& own) const;
  void Drop();

  std::shared_ptr<internal::Pool> pool_;
  absl::Duration task_timeout_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_EXECUTOR_H_
