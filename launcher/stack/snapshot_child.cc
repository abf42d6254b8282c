#include "launcher/stack/snapshot_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/child_safe.h"
#include "launcher/stack/snapshot.h"

namespace brood::child {
namespace {

constexpr uint64_t kStopPatienceNs = 500'000'000;  // It takes microseconds, but the machine may be busy.
constexpr size_t kPage = 4096;

bool Fail(StackSnapshot* snapshot, SnapshotStep step, int error) {
  snapshot->failed = step;
  snapshot->error_number = error;
  return false;
}

// Asked to stop, a thread that waits for a listener does at once: nothing but a signal that ends it can be in its way, for
// brood's filters do not ask for SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV. seccomp_unotify(2).
bool Stop(pid_t tid, StackSnapshot* snapshot) {
  if (ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0) return Fail(snapshot, SnapshotStep::kStop, errno);
  const uint64_t deadline = MonotonicNanoseconds() + kStopPatienceNs;
  for (;;) {
    int status = 0;
    const pid_t stopped = waitpid(tid, &status, __WALL | WNOHANG);
    if (stopped == tid && WIFSTOPPED(status)) return true;
    if (stopped == tid || (stopped < 0 && errno != EINTR)) return Fail(snapshot, SnapshotStep::kStop, ESRCH);
    if (MonotonicNanoseconds() > deadline) return Fail(snapshot, SnapshotStep::kStop, ETIMEDOUT);
    const timespec moment = {0, 20'000};
    nanosleep(&moment, nullptr);
  }
}

bool ReadRegisters(pid_t tid, StackSnapshot* snapshot) {
#if defined(__x86_64__)
  user_regs_struct is = {};
  if (ptrace(PTRACE_GETREGS, tid, nullptr, &is) != 0) return Fail(snapshot, SnapshotStep::kRegisters, errno);
  const uint64_t in_order[] = {is.rax, is.rdx, is.rcx, is.rbx, is.rsi, is.rdi, is.rbp, is.rsp, is.r8,
                               is.r9,  is.r10, is.r11, is.r12, is.r13, is.r14, is.r15, is.rip};
  static_assert(sizeof(in_order) == sizeof(snapshot->registers));
  std::copy(std::begin(in_order), std::end(in_order), snapshot->registers);
  snapshot->stack_begin = is.rsp;
  return true;
#else
  (void)tid;
  return Fail(snapshot, SnapshotStep::kRegisters, ENOSYS);
#endif
}

// Up to the end of what is mapped there, which is the stack's own if the child is honest.
void CopyStack(pid_t tid, int sink, StackSnapshot* snapshot) {
  char buffer[kPage];
  while (snapshot->stack_bytes < kMaxStackBytes) {
    const uint64_t address = snapshot->stack_begin + snapshot->stack_bytes;
    const size_t size = kPage - address % kPage;
    const iovec ours = {buffer, size};
    const iovec theirs = {reinterpret_cast<void*>(address), size};
    const ssize_t n = process_vm_readv(tid, &ours, 1, &theirs, 1, 0);
    if (n <= 0 || pwrite(sink, buffer, static_cast<size_t>(n), static_cast<off_t>(kSnapshotBytes + snapshot->stack_bytes)) != n) return;
    snapshot->stack_bytes += static_cast<uint64_t>(n);
  }
}

bool CopyMaps(pid_t tid, int sink, StackSnapshot* snapshot) {
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(tid)).Add("/maps");
  const int maps = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (maps < 0) return Fail(snapshot, SnapshotStep::kMaps, errno);
  char buffer[kPage];
  const off_t begin = static_cast<off_t>(kSnapshotBytes + snapshot->stack_bytes);
  while (snapshot->maps_bytes < kMaxMapsBytes) {
    const ssize_t n = read(maps, buffer, sizeof(buffer));
    if (n <= 0 || pwrite(sink, buffer, static_cast<size_t>(n), begin + static_cast<off_t>(snapshot->maps_bytes)) != n) break;
    snapshot->maps_bytes += static_cast<uint64_t>(n);
  }
  close(maps);
  return true;
}

}  // namespace

void WriteStackSnapshot(pid_t tid, int sink) {
  StackSnapshot snapshot;
  if (ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) {
    Fail(&snapshot, SnapshotStep::kAttach, errno);
  } else {
    if (Stop(tid, &snapshot) && ReadRegisters(tid, &snapshot)) {
      CopyStack(tid, sink, &snapshot);
      CopyMaps(tid, sink, &snapshot);
    }
    // Not left to our end: a traced process that is killed is its tracer's to wait for, and its pid namespace waits for that.
    if (ptrace(PTRACE_DETACH, tid, nullptr, nullptr) != 0 && snapshot.failed == SnapshotStep::kStop) {
      // It goes on, or dies, and stops for us once it can.
      kill(tid, SIGKILL);
      int status = 0;
      while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {
      }
    }
  }
  if (pwrite(sink, &snapshot, sizeof(snapshot), 0) < 0) return;  // Its absence is told.
}

}  // namespace brood::child
