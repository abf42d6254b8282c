// What a pool does on the threads that wait for results. Where one waits for the task of a worker, and nothing else is to
// be done, that worker's socket is lent to it: the supervisor sleeps on, and a result costs one wake-up instead of two.
//
// A socket that is not watched stays so while its worker has nothing to do or is given the next task by a thread that
// submits: who submits and waits, again and again, makes no system call for this. What nobody waits for is looked at when
// the worker is wanted, or the task is asked about; the worker's end the supervisor always sees.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

#include "launcher/executor/pool.h"

namespace brood::internal {
namespace {

// Bytes read; 0 at the end of the stream; -1 when the time has come.
ssize_t ReceiveUntil(int socket, char* to, size_t size, int64_t end_ns) {
  while (true) {
    int flags = 0;
    if (end_ns != INT64_MAX) {
      const int64_t left = std::max<int64_t>(end_ns - NowNs(), 0);
      const timespec timeout = {.tv_sec = static_cast<time_t>(left / 1000000000), .tv_nsec = left % 1000000000};
      pollfd ready = {.fd = socket, .events = POLLIN, .revents = 0};
      const int count = ppoll(&ready, 1, &timeout, nullptr);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return -1;
      flags = MSG_DONTWAIT;
    }
    const ssize_t n = recv(socket, to, size, flags);
    if (n >= 0) return n;
    if (errno != EINTR && errno != EAGAIN) return 0;
  }
}

}  // namespace

void Pool::Look(WorkerLink& worker) {
  if (worker.phase == WorkerLink::Phase::kBusy && !worker.watched && !worker.lent) HandleSocket(worker, true);
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

bool Pool::MayBeLent(const Task& task) const {
  const WorkerLink* const worker = task.worker;
  return worker != nullptr && task.count == 1 && worker->verdict.ok() && !worker->lent && !worker->closed &&
         !worker->sending() && queue_.empty() && mode_ == Mode::kOpen;
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
    } else if (MayBeLent(task)) {
      ReadAsLent(lock, *task.worker, task, end_ns);
    }
  }
  return task.Wait(end_ns == INT64_MAX ? wait : absl::Nanoseconds(std::max<int64_t>(end_ns - NowNs(), 0)));
}

void Pool::ReadAsLent(Lock& lock, WorkerLink& worker, const Task& task, int64_t end_ns) {
  if (!WatchSocket(worker, 0)) return;
  worker.lent = true;
  const int socket = worker.socket.get();
  bool ended = false;
  while (!ended && task.worker == &worker && !worker.closed) {
    char bytes[16384];
    lock.unlock();
    const ssize_t n = ReceiveUntil(socket, bytes, sizeof(bytes), end_ns);
    lock.lock();
    ended = n <= 0;
    if (n > 0) {
      worker.Append({bytes, static_cast<size_t>(n)});
      HandleReplies(worker);
    }
  }
  worker.lent = false;
  changed_.notify_all();
  // The supervisor's again: others may wait for the task, and what is wrong with the worker is its matter.
  if (worker.phase == WorkerLink::Phase::kBusy) WatchSocket(worker, EPOLLIN);
  if (!queue_.empty() || mode_ != Mode::kOpen) Wake();
  TellFinished(lock);
}

}  // namespace brood::internal
