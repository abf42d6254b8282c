// What a pool does with its workers. Everything with its lock.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/status.h"
#include "launcher/executor/pool.h"

namespace brood::internal {

absl::Status Pool::StartWorker(Lock& lock) {
  auto worker = std::make_unique<WorkerLink>();
  BROOD_ASSIGN_OR_RETURN(WorkerLink::Ends ends, WorkerLink::MakeEnds(*worker));
  lock.unlock();
  absl::StatusOr<std::unique_ptr<WorkerProcess>> process =
      births_->Start(std::move(ends.socket), std::move(ends.journal));
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
  if (!WatchSocket(worker, EPOLLIN)) return ErrnoStatus(errno, "epoll_ctl");
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = worker.id << 1 | 1;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, worker.process->sentinel(), &event) == 0) return absl::OkStatus();
  const absl::Status error = ErrnoStatus(errno, "epoll_ctl");
  WatchSocket(worker, 0);
  return error;
}

bool Pool::WatchSocket(WorkerLink& worker, uint32_t events) {
  if (worker.closed || (events == 0 && !worker.watched)) return true;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = worker.id << 1;
  // Taken out where nothing is wanted: its end would be reported all the same. epoll_ctl(2), EPOLLHUP.
  const int operation = events == 0 ? EPOLL_CTL_DEL : worker.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(epoll_.get(), operation, worker.socket.get(), &event) != 0) return false;
  worker.watched = events != 0;
  return true;
}

void Pool::CloseSocket(WorkerLink& worker) {
  WatchSocket(worker, 0);
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
  if (worker.sending()) WatchSocket(worker, EPOLLIN | EPOLLOUT);
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
  // Not by closing it: a fork of this process may have a copy. The worker reads the end, and ends in order.
  shutdown(worker.socket.get(), SHUT_WR);
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
