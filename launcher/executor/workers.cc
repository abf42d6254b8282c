// What a pool does with its workers. Everything with its lock.
#include <algorithm>
#include <utility>

#include "base/status.h"
#include "launcher/executor/pool.h"

namespace brood::internal {

absl::Status Pool::StartWorker(Lock& lock) {
  auto worker = std::make_unique<WorkerLink>();
  BROOD_ASSIGN_OR_RETURN(WorkerLink::Ends ends, WorkerLink::MakeEnds(*worker));
  lock.unlock();
  absl::StatusOr<std::unique_ptr<WorkerProcess>> process =
      births_->Start(std::move(ends.stream), std::move(ends.journal));
  lock.lock();
  if (!process.ok()) return process.status();
  worker->process = *std::move(process);
  worker->id = next_worker_++;
  worker->born_ns = NowNs();
  if (options_.start_timeout < absl::InfiniteDuration()) {
    worker->deadline_ns = worker->born_ns + absl::ToInt64Nanoseconds(options_.start_timeout);
  }
  BROOD_RETURN_IF_ERROR(Watch(*worker));
  workers_.emplace(worker->id, std::move(worker));
  return absl::OkStatus();
}

absl::Status Pool::Watch(WorkerLink& worker) {
  if (!WatchStream(worker, Interest::kReading)) return absl::ResourceExhaustedError("the executor cannot watch a worker");
  const absl::Status watched = events_->WatchEnd(worker.process->sentinel(), worker.id);
  if (!watched.ok()) WatchStream(worker, Interest::kNone);
  return watched;
}

bool Pool::WatchStream(WorkerLink& worker, Interest interest) {
  const Interest before = worker.watched ? Interest::kReading : Interest::kNone;
  if (worker.closed || (interest == Interest::kNone && !worker.watched)) return true;
  if (!events_->WatchStream(worker.stream->descriptor(), worker.id, before, interest)) return false;
  worker.watched = interest != Interest::kNone;
  return true;
}

void Pool::CloseStream(WorkerLink& worker) {
  WatchStream(worker, Interest::kNone);
  worker.closed = true;
}

bool Pool::IsOld(const WorkerLink& worker, int64_t now) const {
  return options_.max_age < absl::InfiniteDuration() &&
         now - worker.born_ns >= absl::ToInt64Nanoseconds(options_.max_age);
}

WorkerLink* Pool::FreeWorker() {
  while (!free_.empty()) {
    WorkerLink* const worker = free_.back();
    if (!IsOld(*worker, NowNs())) return worker;
    Retire(*worker);
  }
  return nullptr;
}

void Pool::Give(WorkerLink& worker, std::shared_ptr<Task> task) {
  free_.erase(std::find(free_.begin(), free_.end(), &worker));
  task->began_ns = NowNs();
  task->SetState(TaskState::kRunning);
  worker.deadline_ns = INT64_MAX;
  if (task->timeout < absl::InfiniteDuration()) {
    worker.deadline_ns = task->began_ns + std::max<int64_t>(absl::ToInt64Nanoseconds(task->timeout), 0);
    if (worker.deadline_ns < asleep_until_ns_) Wake();
  }
  worker.Give(std::move(task), options_.max_tasks_per_child - worker.calls_done);
  if (worker.sending()) WatchStream(worker, Interest::kReadingAndWriting);
}

void Pool::SetFree(WorkerLink& worker) {
  worker.phase = WorkerLink::Phase::kIdle;
  worker.deadline_ns = INT64_MAX;
  free_.push_back(&worker);
  if (worker.calls_done >= options_.max_tasks_per_child || IsOld(worker, NowNs()) || !broken_.ok()) Retire(worker);
}

void Pool::Retire(WorkerLink& worker) {
  const auto at = std::find(free_.begin(), free_.end(), &worker);
  if (at != free_.end()) free_.erase(at);
  worker.phase = WorkerLink::Phase::kRetiring;
  worker.stream->EndSending();  // The worker reads the end, and ends in order.
  worker.kill_ns = NowNs() + absl::ToInt64Nanoseconds(options_.grace);
  if (worker.kill_ns < asleep_until_ns_) Wake();
}

void Pool::End(WorkerLink& worker, const absl::Status& verdict) {
  if (!worker.verdict.ok()) return;
  worker.verdict = verdict;
  worker.deadline_ns = INT64_MAX;
  if (options_.grace <= absl::ZeroDuration()) {
    worker.process->Kill();
    return;
  }
  worker.process->Terminate();
  worker.kill_ns = std::min(worker.kill_ns, NowNs() + absl::ToInt64Nanoseconds(options_.grace));
  if (worker.kill_ns < asleep_until_ns_) Wake();
}

}  // namespace brood::internal
