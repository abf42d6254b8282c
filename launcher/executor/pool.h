// The workers of an executor, its queue, and the thread that supervises both. Not for users: launcher/executor.h is.
//
// One lock for everything, held for moments; it is not shared with workers, which can neither hold it nor break it. A
// free worker is given its task by the thread that submits, and its answer may be read by the thread that waits for it;
// all else is done by the supervisor. Thread-safe.
#ifndef BROOD_LAUNCHER_EXECUTOR_POOL_H_
#define BROOD_LAUNCHER_EXECUTOR_POOL_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fork_generation.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/registry.h"
#include "launcher/executor/births.h"
#include "launcher/executor/pool_events.h"
#include "launcher/executor/supervisor_thread.h"
#include "launcher/executor/task.h"
#include "launcher/executor/worker_link.h"
#include "serialization/wire.h"

namespace brood::internal {

struct PoolOptions {
  size_t workers = 1;
  size_t max_queued = 0;
  uint64_t max_tasks_per_child = UINT64_MAX;
  absl::Duration grace;
  absl::Duration start_timeout = absl::InfiniteDuration();
  absl::Duration max_age = absl::InfiniteDuration();  // Older workers take nothing new.
  uint64_t max_argument_bytes = 0;
  uint64_t max_result_bytes = 0;
};

enum class CancelRunning {
  kLeave,  // What runs goes on.
  kKill,   // Its worker is ended, and replaced.
};

class Pool : public std::enable_shared_from_this<Pool> {
 public:
  // Starts the first worker here, the others when they are needed.
  static absl::StatusOr<std::shared_ptr<Pool>> Create(std::unique_ptr<Births> births, const PoolOptions& options);
  ~Pool();  // In any process; after ShutdownNow.

  // Errors: those of FindTarget.
  absl::StatusOr<const PoolTarget*> Resolve(AnyFunction function);

  // Whether a call's arguments, written from `begin` on, may be sent. Errors: InvalidArgument (too large),
  // Unimplemented (descriptors).
  absl::Status CheckArguments(const PoolTarget& target, WireWriter& arguments, size_t begin) const;

  // Runs the task, or fails it: the results say so. Waits for room in the queue at most `patience`.
  void Submit(std::shared_ptr<Task> task, absl::Duration patience);

  // Likewise, beyond the bound: for those who bound themselves.
  void SubmitBeyondBound(std::shared_ptr<Task> task);

  // Nobody wants its results any more: no further call of it is begun.
  void Abandon(const std::shared_ptr<Task>& task);

  // Waits until the task is done; false when `wait` has passed. The thread that waits reads what the worker sends, where
  // it can: to be woken by the supervisor would take as long again.
  bool Wait(const Task& task, absl::Duration wait);
  // Brings the task's state up to date.
  void Look(const Task& task);

  // False if it has ended already, or runs and is left.
  bool Cancel(const std::shared_ptr<Task>& task, CancelRunning running);

  // Takes nothing more, finishes what there is, ends the workers in order. DeadlineExceeded: goes on meanwhile.
  absl::Status Shutdown(absl::Duration timeout);
  // Ends everything; what has not ended is Cancelled.
  void ShutdownNow();

  // After ShutdownNow, once, before the last reference goes: that may go on the supervisor itself.
  void JoinSupervisor();

  std::vector<int> WorkerPids();
  size_t workers() const { return options_.workers; }
  bool foreign() const { return creator_ != ForkGeneration(); }

 private:
  enum class Mode { kOpen, kClosing, kKilling, kStopped };
  using Lock = std::unique_lock<std::mutex>;

  Pool(std::unique_ptr<Births> births, const PoolOptions& options) : options_(options), births_(std::move(births)) {}

  // The supervisor, supervisor.cc.
  void Supervise();
  void HandleEvent(Lock& lock, const PoolEvent& event);
  void Schedule(Lock& lock);
  int HandleTimers();  // Milliseconds until the next one; -1: none.
  void HandleEnd(Lock& lock, WorkerLink& worker);
  enum class Reading { kSome, kToTheEnd };
  void HandleStream(WorkerLink& worker, Reading reading);
  void HandleReplies(WorkerLink& worker);
  void HandleReply(WorkerLink& worker, const PoolReply& reply, std::string body);
  void FinishChunk(WorkerLink& worker);
  void Settle(WorkerLink& worker, const Outcome& outcome);
  void CheckDeadline(WorkerLink& worker, int64_t now);

  // Both, workers.cc. All with the lock.
  absl::Status StartWorker(Lock& lock);  // Without it, while the worker is born.
  absl::Status Watch(WorkerLink& worker);
  bool WatchStream(WorkerLink& worker, Interest interest);
  void CloseStream(WorkerLink& worker);  // Nothing that comes from it is of interest any more.

  // Those who wait for a result, waiters.cc and lend_*.cc. All with the lock.
  void Look(WorkerLink& worker);
  bool LookAtAll();
  void ReadIfLent(Lock& lock, const Task& task, int64_t end_ns);  // Until it is done or the time has come; or does nothing.
  void TakeBack(Lock& lock, WorkerLink& worker);                  // Of a worker that has ended.

  WorkerLink* FreeWorker();
  void Give(WorkerLink& worker, std::shared_ptr<Task> task);
  void SetFree(WorkerLink& worker);
  void Retire(WorkerLink& worker);
  void End(WorkerLink& worker, const absl::Status& verdict);
  bool IsOld(const WorkerLink& worker, int64_t now) const;

  enum class Bound { kCounted, kBeyond };
  void Enqueue(Lock& lock, std::shared_ptr<Task> task, Bound bound);
  void CancelQueued(Lock& lock, const std::shared_ptr<Task>& task);
  void Requeue(std::shared_ptr<Task> task);
  std::shared_ptr<Task> TakeFromQueue();
  void Fail(const std::shared_ptr<Task>& task, const absl::Status& error);
  void Finish(const std::shared_ptr<Task>& task);
  void Break(const absl::Status& reason);
  void TellFinished(Lock& lock);
  void Wake();

  const PoolOptions options_;
  const uint64_t creator_ = ForkGeneration();
  const std::unique_ptr<Births> births_;
  std::unique_ptr<PoolEvents> events_;
  SupervisorThread supervisor_;
  FinalizerId finalizer_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;  // Room in the queue; the mode.
  Mode mode_ = Mode::kOpen;
  absl::Status broken_;  // Not OK: no task can run any more.
  std::deque<std::shared_ptr<Task>> queue_;
  size_t queued_ = 0;  // Those of them that are bounded.
  std::map<uint64_t, std::unique_ptr<WorkerLink>> workers_;
  std::vector<WorkerLink*> free_;
  std::vector<std::shared_ptr<Task>> finished_;  // To be told when the lock is free.
  uint64_t next_worker_ = 1;
  uint64_t next_task_ = 1;
  int64_t next_birth_ns_ = 0;    // Not before: the last one failed.
  int64_t asleep_until_ns_ = 0;  // The supervisor; 0: it is awake.
  std::unordered_map<AnyFunction, std::unique_ptr<PoolTarget>> targets_;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_POOL_H_
