#include "launcher/jobs/call_watch.h"

#include <signal.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include <atomic>
#include <cstdint>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

namespace brood::internal {
namespace {

constexpr int kUserDispatch = 2;  // SYS_USER_DISPATCH of asm-generic/siginfo.h, in si_code.
constexpr long kCallBytes = 2;    // Both `syscall` and `int $0x80`.

// Beside the C library's own record of the thread, whose page is written to after each rewind anyway.
thread_local CallWatch* t_watch = nullptr;

void OnCall(int /*unused*/, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (info->si_code == kUserDispatch && t_watch != nullptr) {
    t_watch->Note();
  } else {
    // A filter's (seccomp(2), SECCOMP_RET_TRAP), or somebody has sent it: as without us.
    signal(SIGSYS, SIG_DFL);
    if (info->si_code <= 0) {
      raise(SIGSYS);
      return;
    }
  }
  // The same call again. The kernel has left the instruction pointer behind it, and its number in no register.
  registers[REG_RIP] -= kCallBytes;
  registers[REG_RAX] = info->si_syscall;
}

}  // namespace

void CallWatch::Start() {
  struct sigaction action = {};
  action.sa_sigaction = OnCall;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGSYS, &action, nullptr) == 0) Renew();
}

void CallWatch::Renew() {
  works_ = prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector_) == 0;
}

void CallWatch::Begin() {
  if (!works_) return;
  t_watch = this;
  seen_ = 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  selector_ = kBlock;
}

bool CallWatch::End() {
  selector_ = kAllow;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return !works_ || seen_ != 0;
}

void CallWatch::Note() {
  seen_ = 1;
  selector_ = kAllow;
}

}  // namespace brood::internal
