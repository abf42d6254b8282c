#include "launcher/stay_awake_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace brood::child {

// Raw system calls: the C library's timers have threads and a heap behind them.
void StayAwake::Until(uint64_t time_ns) {
  if (time_ns == set_ || state_ == State::kRefused) return;
  if (state_ == State::kNone) {
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGCONT;
    const bool made = syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer_) == 0;
    state_ = made ? State::kMade : State::kRefused;
    if (!made) return;
  }
  itimerspec when = {};
  when.it_value.tv_sec = static_cast<time_t>(time_ns / 1'000'000'000u);
  when.it_value.tv_nsec = static_cast<long>(time_ns % 1'000'000'000u);
  if (syscall(SYS_timer_settime, timer_, TIMER_ABSTIME, &when, nullptr) == 0) set_ = time_ns;
}

void StayAwake::Hear(int socket) {
  int on = 1;
  if (socket < 0 || fcntl(socket, F_SETOWN, getpid()) != 0 || fcntl(socket, F_SETSIG, SIGCONT) != 0) return;
  ioctl(socket, FIOASYNC, &on);
}

}  // namespace brood::child
