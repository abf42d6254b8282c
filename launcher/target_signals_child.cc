#include "launcher/target_signals_child.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace brood::child {
namespace {

constexpr unsigned kProcessGroup = 1u << 2;

}  // namespace

void TargetSignals::Born(pid_t init, pid_t pid, int pidfd) {
  init_ = init;
  pid_ = pid;
  pidfd_ = pidfd;
}

void TargetSignals::Send(int signal, bool to_group) {
  if (signal < 1 || signal > 64) return;
  if (pidfd_ >= 0) return SendNow(signal, to_group);
  const uint64_t bit = uint64_t{1} << (signal - 1);
  // One that continues has nothing left to stop.
  if (signal == SIGCONT) kept_ &= ~(uint64_t{1} << (SIGSTOP - 1));
  kept_ |= bit;
  if (to_group) kept_for_group_ |= bit;
}

void TargetSignals::SendKept() {
  for (int signal = 1; kept_ != 0; ++signal) {
    const uint64_t bit = uint64_t{1} << (signal - 1);
    if ((kept_ & bit) != 0) SendNow(signal, (kept_for_group_ & bit) != 0);
    kept_ &= ~bit;
  }
}

void TargetSignals::SendNow(int signal, bool to_group) const {
  // Its group has its number, which may be another's once it is reaped, as only its pidfd knows. From Linux 6.9 on;
  // before, it is alone. pidfd_send_signal(2), PIDFD_SIGNAL_PROCESS_GROUP
  if (to_group && leads_ && syscall(SYS_pidfd_send_signal, pidfd_, signal, nullptr, kProcessGroup) == 0) return;
  if (to_group && with_session_ && !leads_) return SendToGroup(signal);
  syscall(SYS_pidfd_send_signal, pidfd_, signal, nullptr, 0);
}

// The group is that of init, the leader of the child's session: our own child, not reaped yet, so its number is nobody
// else's. Init has every signal blocked, and is stopped and continued with the others. kill(2).
void TargetSignals::SendToGroup(int signal) const {
  kill(-init_, signal);
  // A target that made itself a group of its own has not got it. If it is gone, the pidfd says so.
  if (getpgid(pid_) != init_) syscall(SYS_pidfd_send_signal, pidfd_, signal, nullptr, 0);
}

}  // namespace brood::child
