// What a pool does on the threads that wait for results. Where one waits for the task of a worker, and nothing else is to
// be done, that worker's stream may be lent to it: lend_linux.cc, lend_windows.cc.
//
// A stream that is not watched stays so while its worker has nothing to do or is given the next task by a thread that
// submits: who submits and waits, again and again, makes no system call for this. What nobody waits for is looked at when
// the worker is wanted, or the task is asked about; the worker's end the supervisor always sees.
#include <algorithm>

#include "launcher/executor/pool.h"

namespace brood::internal {

void Pool::Look(WorkerLink& worker) {
  if (worker.phase == WorkerLink::Phase::kBusy && !worker.watched && !worker.lent) HandleStream(worker, Reading::kToTheEnd);
}

bool Pool::LookAtAll() {
  for (auto& [id, worker] : workers_) Look(*worker);
  return !free_.empty();
}

void Pool::Look(const Task& task) {
  if (foreign()) return;
  Lock lock(mutex_);
  if (task.worker != nullptr) Look(*task.worker);
  if (!queue_.empty()) Wake();
  TellFinished(lock);
}

bool Pool::Wait(const Task& task, absl::Duration wait) {
  // In a fork: there this lock may be held for ever, and tasks are done or known to be never.
  if (foreign()) return task.Wait(wait);
  const int64_t end_ns = wait >= kForEver ? INT64_MAX : NowNs() + absl::ToInt64Nanoseconds(wait);
  {
    Lock lock(mutex_);
    if (wait <= absl::ZeroDuration()) {
      if (task.worker != nullptr) Look(*task.worker);
      TellFinished(lock);
    } else {
      ReadIfLent(lock, task, end_ns);
    }
  }
  return task.Wait(end_ns == INT64_MAX ? wait : absl::Nanoseconds(std::max<int64_t>(end_ns - NowNs(), 0)));
}

}  // namespace brood::internal
