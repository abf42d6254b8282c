#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>

#include "base/child_safe.h"
#include "base/raw_syscall_child.h"
#include "forkserver/keeper_state_child.h"

namespace brood::child {
namespace {

constexpr uint64_t kLookNs = 100'000'000;
constexpr uint64_t kSoonestNs = 5'000'000;
constexpr int kTreePatienceMs = 10'000;

// Kills what has become ours, until there is nothing left. proc(5), /proc/pid/task/tid/children
bool EndOrphans() {
  const long self = RawSyscall(SYS_getpid);
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(self)).Add("/task/").AddNumber(static_cast<uint64_t>(self)).Add("/children");
  for (int waited = 0; waited < kTreePatienceMs; ++waited) {
    char text[4096];
    const long file = RawSyscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC);
    const long length = file >= 0 ? RawSyscall(SYS_read, file, text, sizeof(text) - 1) : 0;
    if (file >= 0) RawSyscall(SYS_close, file);
    text[length > 0 ? length : 0] = '\0';
    for (const char* at = text; *at != '\0';) {
      // Nobody but we reaps it, and only below: the number is its. The last one may be cut, and is met again.
      const char* const next = strchr(at, ' ');
      if (next == nullptr) break;
      RawSyscall(SYS_kill, ParseNumber(at), SIGKILL);
      at = next + 1;
    }
    for (;;) {
      const long pid = RawSyscall(SYS_wait4, -1, nullptr, WNOHANG | __WALL, nullptr);
      if (pid == -ECHILD) return true;
      if (pid <= 0 && pid != -EINTR) break;
    }
    const timespec pause = {.tv_sec = 0, .tv_nsec = 1'000'000};
    RawSyscall(SYS_nanosleep, &pause, nullptr);
  }
  return false;
}

// What ends the child of a slot besides its own end. By the clock, and not by a wait in which nothing came: a child can see to it
// that something always does. All times are of CLOCK_MONOTONIC, in nanoseconds.
class Limits {
 public:
  Limits(const KeptSlot& slot, uint64_t begin) : slot_(slot), begin_(begin) { Plan(begin); }

  // When Check is to be called next; UINT64_MAX: never.
  uint64_t next() const {
    const uint64_t wall = slot_.wall_ns() != 0 ? begin_ + slot_.wall_ns() : UINT64_MAX;
    return wall < look_ ? wall : look_;
  }

  KeeperNote::Cause Check(uint64_t now) {
    if (slot_.wall_ns() != 0 && now - begin_ >= slot_.wall_ns()) return KeeperNote::Cause::kWallTime;
    if (now < look_) return KeeperNote::Cause::kNone;
    // Of a tree that lost a process to its limit of memory the rest ends too, as without a slot.
    if (slot_.limits_memory() && slot_.HasOomKill()) return KeeperNote::Cause::kMemory;
    cpu_ns_ = slot_.limit_cpu_ns() != 0 ? slot_.CpuNs() : 0;
    if (slot_.limit_cpu_ns() != 0 && cpu_ns_ >= slot_.limit_cpu_ns()) return KeeperNote::Cause::kCpuTime;
    Plan(now);
    return KeeperNote::Cause::kNone;
  }

 private:
  void Plan(uint64_t now) {
    if (slot_.limits_memory()) look_ = now + kLookNs;
    if (slot_.limit_cpu_ns() == 0) return;
    // As late as the limit could be reached with all processors of the machine, but not so late that it is overrun.
    uint64_t soon = (slot_.limit_cpu_ns() - cpu_ns_) / slot_.processors();
    soon = soon < kSoonestNs ? kSoonestNs : soon < kLookNs ? soon : kLookNs;
    look_ = now + soon;
  }

  const KeptSlot& slot_;
  const uint64_t begin_;
  uint64_t cpu_ns_ = 0;
  uint64_t look_ = UINT64_MAX;
};

const timespec* Until(uint64_t time_ns, timespec* out) {
  if (time_ns == UINT64_MAX) return nullptr;
  const uint64_t now = MonotonicNanoseconds();
  const uint64_t left = now < time_ns ? time_ns - now : 0;
  out->tv_sec = static_cast<time_t>(left / 1'000'000'000u);
  out->tv_nsec = static_cast<long>(left % 1'000'000'000u);
  return out;
}

bool IsKill(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }

// Ends the child, and in a slot all that it has there, at once: the rest may be what keeps it.
void Kill(const Keeper& keeper, long child) {
  RawSyscall(SYS_kill, child, SIGKILL);  // The number is its until we reap it.
  if (keeper.slot.entered()) keeper.slot.EndAll();
}

}  // namespace

void Await(Keeper& keeper, int signals, long child, uint64_t begin, bool is_guardian, bool open, KeeperNote* note) {
  Limits limits(keeper.slot, begin);
  bool missed = false;
  const auto end = [&](KeeperNote::Cause cause) {
    if (note->cause == KeeperNote::Cause::kNone) note->cause = cause;
    Kill(keeper, child);
  };
  for (;;) {
    pollfd polls[] = {{signals, POLLIN, 0},
                      {keeper.socket, POLLIN, 0},
                      {keeper.slot.listener(), POLLIN, 0},
                      {open ? keeper.reserve_fds.taken : -1, POLLIN, 0},
                      {-1, 0, 0},
                      {-1, 0, 0}};
    keeper.output.AddPolls(polls + 4);
    timespec left;
    const bool limited = keeper.slot.entered() && note->cause == KeeperNote::Cause::kNone;
    const uint64_t next = limited ? limits.next() : UINT64_MAX;
    const long ready = RawSyscall(SYS_ppoll, polls, 6, Until(next, &left), nullptr, 0);
    if (ready < 0) continue;
    if (polls[3].revents != 0 && WasTaken(keeper.reserve_fds)) {
      CloseFds(keeper);
      open = false;
    }
    // First: it is told by nothing else, and its process is dead once this is over.
    if (polls[2].revents != 0 && keeper.slot.Receive(&note->violation, &missed)) end(KeeperNote::Cause::kViolation);
    keeper.output.Move(polls + 4);
    if (keeper.output.over_limit()) end(KeeperNote::Cause::kOutput);
    if (polls[0].revents != 0) {
      signalfd_siginfo ignored[2];
      RawSyscall(SYS_read, signals, ignored, sizeof(ignored));
      // Orphans too, each of which counts as a process until it is reaped.
      rusage usage;
      int status = 0;
      for (long pid; (pid = RawSyscall(SYS_wait4, -1, &status, WNOHANG | __WALL, &usage)) > 0;) {
        if (pid != child) continue;
        note->status = status;
        note->usage = usage;
        note->wall_ns = MonotonicNanoseconds() - begin;
        // A call that was forbidden had no effect, and its process ended before we could ask which it was: still a violation.
        if (missed && note->cause == KeeperNote::Cause::kNone) note->cause = KeeperNote::Cause::kViolation;
        // Nobody asked for this signal; and one that it has sent itself leaves the init as it is.
        if (note->cause == KeeperNote::Cause::kNone && IsKill(status) && keeper.slot.InitIsGone()) note->cause = KeeperNote::Cause::kInitGone;
        if (open) {
          CloseFds(keeper);
          WasTaken(keeper.reserve_fds);  // What it said last is not the next one's.
        }
        return;
      }
    }
    if (const uint64_t now = next != UINT64_MAX ? MonotonicNanoseconds() : 0; now >= next) {
      if (const KeeperNote::Cause cause = limits.Check(now); cause != KeeperNote::Cause::kNone) end(cause);
    }
    if (polls[1].revents == 0) continue;
    // Nobody has an order for us now; whatever else this is, it ends the child.
    alignas(8) char command[256];
    const long n = RawSyscall(SYS_read, keeper.socket, command, sizeof(command));
    if (n == -EAGAIN || n == -EINTR) continue;
    const OrderTag tag = n > 0 ? OrderTag::Decode(brood::internal::TagOf(command, static_cast<size_t>(n))) : OrderTag();
    if (tag.kind == OrderTag::Kind::kSignal) {
      // The number is the child's, and its group's, until we reap it. kill(2)
      const long signal = tag.flags & ~OrderTag::kGroup;
      RawSyscall(SYS_kill, (tag.flags & OrderTag::kGroup) != 0 ? -child : child, signal);
      continue;
    }
    if (is_guardian) RawSyscall(SYS_exit_group, 0);
    Kill(keeper, child);
    if (n > 0) continue;
    if (!keeper.slot.entered()) EndOrphans();
    RawSyscall(SYS_exit_group, 0);
  }
}

bool EndRest(const Keeper& keeper) {
  if (!keeper.slot.entered()) return RawSyscall(SYS_wait4, -1, nullptr, WNOHANG | __WALL, nullptr) == -ECHILD || EndOrphans();
  if (keeper.slot.InitIsGone()) return true;
  // What was a child of the child may become the init's after that has looked.
  for (int i = 0; keeper.slot.HasProcesses(); ++i) {
    if (i == 100 || !keeper.slot.EndAll()) return false;
  }
  return true;
}

}  // namespace brood::child
