#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "base/status.h"
#include "launcher/executor/protocol.h"
#include "launcher/executor/supervisor_thread.h"

namespace brood::internal {

absl::Status SupervisorThread::Start(std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  absl::Status started;
  try {
    thread_ = std::thread([this, body = std::move(body)] {
      number_ = gettid();
      body();
    });
  } catch (const std::system_error& error) {
    started = ErrnoStatus(error.code().value(), "start the executor's thread");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

void SupervisorThread::AwaitEnd() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!thread_.joinable() || thread_.get_id() == std::this_thread::get_id()) return;
  thread_.join();
  // pthread_join(3) returns when the thread has let go of its memory, a moment before it has gone. Whoever starts a child
  // by fork next must be alone. Bounded, since the number may be another thread's by then.
  const int64_t end_ns = NowNs() + 100'000'000;
  while (syscall(SYS_tgkill, getpid(), number_.load(), 0) == 0 && NowNs() < end_ns) sched_yield();
}

}  // namespace brood::internal
