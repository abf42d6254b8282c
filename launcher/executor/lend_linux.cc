// A worker's socket lent to the thread that waits for its result: the supervisor sleeps on, and a result costs one wake-up
// instead of two.
#include <poll.h>
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

bool MayBeLent(const WorkerLink& worker) {
  return worker.verdict.ok() && !worker.lent && !worker.closed && !worker.sending();
}

}  // namespace

void Pool::ReadIfLent(Lock& lock, const Task& task, int64_t end_ns) {
  if (task.worker == nullptr || task.count != 1 || !MayBeLent(*task.worker) || !queue_.empty() || mode_ != Mode::kOpen) return;
  WorkerLink& worker = *task.worker;
  if (!WatchStream(worker, Interest::kNone)) return;
  worker.lent = true;
  const int socket = worker.stream->descriptor();
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
  if (worker.phase == WorkerLink::Phase::kBusy) WatchStream(worker, Interest::kReading);
  if (!queue_.empty() || mode_ != Mode::kOpen) Wake();
  TellFinished(lock);
}

void Pool::TakeBack(Lock& lock, WorkerLink& worker) {
  if (!worker.lent) return;
  // Its reader would see the end by itself, unless somebody else has the worker's socket. What has come is readable.
  shutdown(worker.stream->descriptor(), SHUT_RD);
  changed_.wait(lock, [&worker] { return !worker.lent; });
}

}  // namespace brood::internal
