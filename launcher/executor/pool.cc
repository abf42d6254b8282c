#include "launcher/executor/pool.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood::internal {
namespace {

absl::Status ShutDownError() {
  return absl::FailedPreconditionError("submit: the executor was shut down; submit before, or create another one");
}

}  // namespace

absl::StatusOr<std::shared_ptr<Pool>> Pool::Create(std::unique_ptr<Births> births, const PoolOptions& options) {
  const std::shared_ptr<Pool> pool(new Pool(std::move(births), options));
  BROOD_ASSIGN_OR_RETURN(pool->events_, PoolEvents::Create());
  {
    Lock lock(pool->mutex_);
    BROOD_RETURN_IF_ERROR(pool->StartWorker(lock));
  }
  BROOD_RETURN_IF_ERROR(pool->supervisor_.Start([raw = pool.get()] { raw->Supervise(); }));
  const std::weak_ptr<Pool> weak = pool;
  pool->finalizer_ = AddFinalizer([weak] {
    if (const std::shared_ptr<Pool> held = weak.lock()) held->ShutdownNow();
  });
  return pool;
}

Pool::~Pool() { JoinSupervisor(); }

void Pool::JoinSupervisor() {
  if (finalizer_ != 0) CancelFinalizer(finalizer_);
  supervisor_.AwaitEnd();
}

absl::StatusOr<const PoolTarget*> Pool::Resolve(AnyFunction function) {
  if (foreign())
    return absl::FailedPreconditionError("submit: the executor belongs to the process that made it, not to a fork");
  const Lock lock(mutex_);
  std::unique_ptr<PoolTarget>& known = targets_[function];
  if (known == nullptr) {
    absl::StatusOr<const TargetEntry*> entry = FindTarget(function);
    if (!entry.ok()) {
      targets_.erase(function);
      return entry.status();
    }
    known = std::make_unique<PoolTarget>(PoolTarget{(*entry)->name, (*entry)->signature()});
  }
  return known.get();
}

absl::Status Pool::CheckArguments(const PoolTarget& target, WireWriter& arguments, size_t begin) const {
  if (!arguments.TakeHandles().empty()) {
    return absl::UnimplementedError(absl::StrCat(
        "target ", target.name, ": an executor's tasks cannot have descriptors as arguments; give them to ",
        "the initialiser, or start a process of its own"));
  }
  const size_t bytes = arguments.size() - begin - sizeof(uint32_t);
  if (bytes <= options_.max_argument_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("target ", target.name, ": its arguments take ", bytes, " bytes, ",
                                                 options_.max_argument_bytes, " are allowed"));
}

void Pool::Submit(std::shared_ptr<Task> task, absl::Duration patience) {
  Lock lock(mutex_);
  const auto has_room = [this] {
    return mode_ != Mode::kOpen || !broken_.ok() || queued_ < options_.max_queued || !free_.empty();
  };
  if (!has_room() && patience > absl::ZeroDuration()) {
    if (patience >= kForEver) {
      changed_.wait(lock, has_room);
    } else {
      changed_.wait_for(lock, absl::ToChronoNanoseconds(patience), has_room);
    }
  }
  if (has_room()) return Enqueue(lock, std::move(task), Bound::kCounted);
  Fail(task, absl::ResourceExhaustedError(absl::StrCat("submit: ", queued_, " tasks wait already, as many as ",
                                                       "max_queued allows; wait longer, or try again later")));
  TellFinished(lock);
}

void Pool::SubmitBeyondBound(std::shared_ptr<Task> task) {
  Lock lock(mutex_);
  Enqueue(lock, std::move(task), Bound::kBeyond);
}

void Pool::Enqueue(Lock& lock, std::shared_ptr<Task> task, Bound bound) {
  if (mode_ != Mode::kOpen) {
    Fail(task, ShutDownError());
  } else if (!broken_.ok()) {
    Fail(task, broken_);
  } else {
    task->id = next_task_++;
    WorkerLink* worker = queue_.empty() ? FreeWorker() : nullptr;
    if (worker == nullptr && queue_.empty() && LookAtAll()) worker = FreeWorker();
    if (worker != nullptr) {
      Give(*worker, std::move(task));
      // Where nobody waits for this one alone the supervisor reads.
      if (bound == Bound::kBeyond && !worker->watched) WatchStream(*worker, Interest::kReading);
      TellFinished(lock);
    } else {
      task->bounded = bound == Bound::kCounted;
      if (task->bounded) ++queued_;
      queue_.push_back(std::move(task));
      Wake();
    }
    return;
  }
  TellFinished(lock);
}

bool Pool::Cancel(const std::shared_ptr<Task>& task, CancelRunning running) {
  if (foreign()) return false;
  Lock lock(mutex_);
  if (task->worker != nullptr) Look(*task->worker);
  TellFinished(lock);
  const TaskState state = task->State();
  // Without a call left it has ended, and is about to be told.
  if (state == TaskState::kDone || task->cancelled || task->next == task->count) return false;
  if (state == TaskState::kQueued) {
    CancelQueued(lock, task);
    return true;
  }
  if (running == CancelRunning::kLeave) return false;
  for (auto& [id, worker] : workers_) {
    if (worker->task != task) continue;
    task->cancelled = true;
    End(*worker, absl::CancelledError("the task was cancelled"));
    Wake();
    return true;
  }
  return false;
}

void Pool::Abandon(const std::shared_ptr<Task>& task) {
  if (foreign()) return;
  Lock lock(mutex_);
  if (task->cancelled || task->next == task->count) return;
  if (task->State() == TaskState::kQueued) return CancelQueued(lock, task);
  task->cancelled = true;
  for (auto& [id, worker] : workers_) {
    if (worker->task == task) worker->Stop();
  }
}

void Pool::CancelQueued(Lock& lock, const std::shared_ptr<Task>& task) {
  task->cancelled = true;
  if (const auto at = std::find(queue_.begin(), queue_.end(), task); at != queue_.end()) queue_.erase(at);
  if (task->bounded) --queued_;
  Fail(task, absl::CancelledError("the task was cancelled"));
  TellFinished(lock);
  changed_.notify_all();
}

absl::Status Pool::Shutdown(absl::Duration timeout) {
  if (foreign())
    return absl::FailedPreconditionError("shutdown: the executor belongs to the process that made it, not to a fork");
  Lock lock(mutex_);
  if (mode_ == Mode::kOpen) {
    mode_ = Mode::kClosing;
    changed_.notify_all();
    Wake();
  }
  const auto stopped = [this] { return mode_ == Mode::kStopped; };
  if (timeout >= kForEver) {
    changed_.wait(lock, stopped);
  } else if (!changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout), stopped)) {
    return absl::DeadlineExceededError(absl::StrCat("shutdown: tasks still run after ", absl::FormatDuration(timeout),
                                                    "; wait again, or end them with ShutdownNow"));
  }
  lock.unlock();
  supervisor_.AwaitEnd();
  return absl::OkStatus();
}

void Pool::ShutdownNow() {
  if (foreign()) return;
  Lock lock(mutex_);
  if (mode_ != Mode::kStopped) {
    mode_ = Mode::kKilling;
    changed_.notify_all();
    Wake();
  }
  changed_.wait(lock, [this] { return mode_ == Mode::kStopped; });
  lock.unlock();
  supervisor_.AwaitEnd();
}

std::vector<int> Pool::WorkerPids() {
  std::vector<int> pids;
  if (foreign()) return pids;
  const Lock lock(mutex_);
  for (const auto& [id, worker] : workers_) pids.push_back(worker->process->pid());
  return pids;
}

std::shared_ptr<Task> Pool::TakeFromQueue() {
  if (queue_.empty()) return nullptr;
  std::shared_ptr<Task> task = std::move(queue_.front());
  queue_.pop_front();
  if (task->bounded) {
    --queued_;
    changed_.notify_all();
  }
  task->bounded = false;
  return task;
}

void Pool::Requeue(std::shared_ptr<Task> task) {
  task->SetState(TaskState::kQueued);
  queue_.push_front(std::move(task));
}

void Pool::Fail(const std::shared_ptr<Task>& task, const absl::Status& error) {
  if (task->next < task->count)
    task->results.push_back({.count = task->count - task->next, .bytes = "", .error = error});
  task->next = task->count;
  Finish(task);
}

void Pool::Finish(const std::shared_ptr<Task>& task) {
  if (task->began_ns != 0) task->took_ns = NowNs() - task->began_ns;
  finished_.push_back(task);
}

void Pool::Break(const absl::Status& reason) {
  if (broken_.ok()) broken_ = reason;
  while (const std::shared_ptr<Task> task = TakeFromQueue()) Fail(task, broken_);
  changed_.notify_all();
}

void Pool::TellFinished(Lock& lock) {
  if (finished_.empty()) return;
  std::vector<std::shared_ptr<Task>> finished;
  finished.swap(finished_);
  lock.unlock();
  for (const std::shared_ptr<Task>& task : finished) task->SetState(TaskState::kDone);
  finished.clear();
  lock.lock();
}

void Pool::Wake() { events_->Wake(); }

}  // namespace brood::internal
