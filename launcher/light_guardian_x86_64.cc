#include <asm/prctl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>

#include "launcher/guardian_child.h"
#include "launcher/light_guardian.h"

// There is one of them where the program was built with the sanitizer.
extern "C" __attribute__((weak)) void __asan_init();
extern "C" __attribute__((weak)) void __tsan_init();

namespace brood::internal {
namespace {

// System V ABI, AMD64, section 3.4.6, and glibc's sysdeps/x86_64/nptl/tls.h: the thread pointer points to itself, the
// thread's variables lie below it, and the canaries and the C library's own record of the thread above.
struct ThreadHead {
  ThreadHead* self;
  void* dynamic_variables;
  void* thread;
  int multiple_threads;
  int unused;
  uintptr_t system_call;
  uintptr_t stack_canary;
  uintptr_t pointer_guard;
};

constexpr size_t kThreadRecord = 4096;  // glibc's struct pthread: 2304 bytes.
constexpr size_t kStack = 128 * 1024;   // More than twice what the deepest call needs (light_memory.cc).

// At the low end of the guardian's memory; its stack comes down from the high end.
struct Shared {
  LaunchRecord record;
  std::atomic<uint32_t> released = 0;
  std::atomic<uint32_t> let_go = 0;
  ThreadHead* thread = nullptr;
  void* resume[5] = {};  // Of the calling thread, for the target. gcc, "Nonlocal Gotos".
};

// The calling thread's errno must not be touched by what the guardian does, nor here while both have one thread
// pointer: no C library.
long RawSyscall(long number, long a, long b, long c, long d) {
  long result;
  register long r10 asm("r10") = d;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
}

ThreadHead* ThreadPointer() {
  ThreadHead* head;
  asm("mov %%fs:0, %0" : "=r"(head));
  return head;
}

constexpr size_t Pages(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

// From the lowest thread-local variable that is used, errno, to the thread pointer. The program's own lie in between.
size_t VariablesSize() {
  return Pages(static_cast<size_t>(reinterpret_cast<const char*>(ThreadPointer()) - reinterpret_cast<const char*>(&errno)) + 64);
}

// A thread pointer for the guardian: its own errno, the same canaries, and a record of a thread that was never
// cancelled. The C library's record is not used by what child-safe code calls, but for the flag of cancellation.
ThreadHead* MakeThread(char* at) {
  const ThreadHead* const mine = ThreadPointer();
  auto* const head = reinterpret_cast<ThreadHead*>(at + VariablesSize());
  *head = *mine;
  head->self = head;
  head->thread = head;
  head->dynamic_variables = nullptr;
  return head;
}

void Release(void* arg) {
  auto* const shared = static_cast<Shared*>(arg);
  shared->released.store(1, std::memory_order_release);
  RawSyscall(SYS_futex, reinterpret_cast<long>(&shared->released), FUTEX_WAKE, 1, 0);
}

// With the calling thread's own thread pointer, so that it is its fork in all respects: handlers of pthread_atfork(3),
// the locks of malloc, the id of the thread. The thread waits meanwhile.
pid_t ForkTarget(void* arg) {
  auto* const shared = static_cast<Shared*>(arg);
  const pid_t pid = fork();
  if (pid == 0) __builtin_longjmp(shared->resume, 1);
  const int error = errno;
  RawSyscall(SYS_arch_prctl, ARCH_SET_FS, reinterpret_cast<long>(shared->thread), 0, 0);
  return pid < 0 ? -error : pid;
}

int RunGuardianThread(void* arg) {
  auto* const shared = static_cast<Shared*>(arg);
  const child::LightBirth birth = {.fork_target = ForkTarget, .release = Release, .arg = shared};
  child::RunLightGuardian(&shared->record, birth);
}

// The kernel forgets the registration in a process that shares its memory, so the target has not inherited it, and the
// C library would believe for ever that the thread runs on the processor where it was registered. rseq(2).
void RegisterSequences() {
  if (__rseq_size == 0) return;
  char* const area = reinterpret_cast<char*>(ThreadPointer()) + __rseq_offset;
  if (syscall(SYS_rseq, area, 32, 0, RSEQ_SIG) == 0) return;
  reinterpret_cast<struct rseq*>(area)->cpu_id = static_cast<uint32_t>(RSEQ_CPU_ID_REGISTRATION_FAILED);
}

}  // namespace

bool LightGuardiansWork() {
  // A program with thread-local variables of many pages has no room for them beside the stack.
  return __asan_init == nullptr && __tsan_init == nullptr &&
         Pages(sizeof(Shared)) + VariablesSize() + kThreadRecord + kStack <= LightMemory::size();
}

__attribute__((noinline)) LightGuardian StartLightGuardian(const LaunchRecord& record, const LightMemory& memory) {
  char* const begin = static_cast<char*>(memory.begin());
  char* const end = begin + LightMemory::size();
  auto* const shared = new (begin) Shared{.record = record};
  shared->record.let_go = &shared->let_go;
  shared->thread = MakeThread(begin + Pages(sizeof(Shared)));

  // The target arrives here on the stack of the calling thread, where that waits below. Volatile: the compiler does not know
  // that the thread goes on in this frame meanwhile, and must keep it where the target finds it.
  const LaunchRecord* volatile const own = &shared->record;
  if (__builtin_setjmp(shared->resume) != 0) {
    RegisterSequences();
    child::RunLightTarget(*own);
  }
  LightGuardian guardian;
  // No exit signal: an embedder's SIGCHLD handler and its wait(-1) do not meet a child that it knows nothing of.
  // clone(2), __WALL in wait(2).
  guardian.pid = clone(RunGuardianThread, end, CLONE_VM | CLONE_PIDFD, shared, &guardian.pidfd, nullptr, nullptr);
  if (guardian.pid < 0) return {.pid = -errno, .pidfd = -1};
  while (shared->released.load(std::memory_order_acquire) == 0) {
    const timespec pause = {.tv_sec = 0, .tv_nsec = 50'000'000};
    RawSyscall(SYS_futex, reinterpret_cast<long>(&shared->released), FUTEX_WAIT, 0, reinterpret_cast<long>(&pause));
    // Somebody may have killed it before it said anything.
    siginfo_t info = {};
    if (RawSyscall(SYS_waitid, P_PIDFD, guardian.pidfd, reinterpret_cast<long>(&info), WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 ||
        info.si_pid != 0) {
      break;
    }
  }
  return guardian;
}

void LetLightGuardianGo(const LightMemory& memory) {
  static_cast<Shared*>(memory.begin())->let_go.store(1, std::memory_order_release);
}

}  // namespace brood::internal
