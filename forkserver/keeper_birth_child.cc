#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdint>

#include "base/raw_syscall_child.h"
#include "forkserver/keeper_state_child.h"

namespace brood::child {
namespace {

constexpr uint64_t kCloneStack = 4096;  // Of a child's: the kernel wants a size to add to where it begins. clone3(2)

// A directory has a link for each thread, besides its own two: fs/proc/base.c, proc_task_getattr().
bool HasOneThread(int threads) {
  struct stat about = {};
  // If the server is gone, so are its threads.
  return RawSyscall(SYS_fstat, threads, &about) != 0 || about.st_nlink <= 3;
}

// Forks a child; more flags: CLONE_PIDFD, CLONE_FILES. Its pid; or -1 with `error`.
int Clone(Keeper& keeper, int more, void* order, int* pidfd, int32_t* error) {
  const KeeperHouse& house = *keeper.house;
  char* const stack = house.child_stack - keeper.number * 16;
  const int flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | more;
  if (!keeper.slot.TakeGroup()) {
    *error = KeeperNote::kHasNoGroup;
    return -1;
  }
  if (keeper.slot.group() < 0) {
    const long pid = brood_clone(static_cast<uint64_t>(flags) | SIGCHLD, stack, order, pidfd, house.thread_id);
    *error = pid < 0 ? static_cast<int32_t>(-pid) : 0;
    return pid < 0 ? -1 : static_cast<int>(pid);
  }
  clone_args arguments = {};
  arguments.flags = static_cast<uint64_t>(flags) | CLONE_INTO_CGROUP;
  if ((more & CLONE_PIDFD) != 0) arguments.pidfd = reinterpret_cast<uintptr_t>(pidfd);
  arguments.child_tid = reinterpret_cast<uintptr_t>(house.thread_id);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uintptr_t>(stack) - kCloneStack;
  arguments.stack_size = kCloneStack;
  arguments.cgroup = static_cast<uint64_t>(keeper.slot.group());
  const long pid = brood_clone_into(&arguments, sizeof(arguments), order, keeper.slot.secret());
  *error = pid < 0 ? static_cast<int32_t>(-pid) : 0;
  return pid < 0 ? -1 : static_cast<int>(pid);
}

void ClosePidfd(Keeper& keeper) {
  if (keeper.reserve_pidfd >= 0) RawSyscall(SYS_close, keeper.reserve_pidfd);
  keeper.reserve_pidfd = -1;
}

}  // namespace

void Reserve(Keeper& keeper) {
  if (!keeper.reserve_fds.valid() || !keeper.slot.may_reserve()) return;
  // A lock that another thread holds now would be held for ever in the child. fork(2), "NOTES"
  if (!HasOneThread(keeper.house->threads)) return;
  keeper.reserve_fds.keeper = keeper.order.keeper;
  void* const order = ReserveOrder(keeper.order_file, keeper.reserve_fds);
  if (order == nullptr) return;
  int32_t untold;
  const int pid = Clone(keeper, CLONE_FILES | CLONE_PIDFD, order, &keeper.reserve_pidfd, &untold);
  keeper.reserve = pid > 0 ? pid : 0;
}

void EndReserve(Keeper& keeper) {
  if (keeper.reserve == 0) return;
  RawSyscall(SYS_kill, keeper.reserve, SIGKILL);
  while (RawSyscall(SYS_wait4, keeper.reserve, nullptr, __WALL, nullptr) == -EINTR) {
  }
  keeper.reserve = 0;
  ClosePidfd(keeper);
}

namespace {

// Gives the child in reserve an order. 0: there is none, or it was killed.
int TakeReserve(Keeper& keeper, void* written) {
  const int pid = keeper.reserve;
  if (pid == 0) return 0;
  if (RawSyscall(SYS_wait4, pid, nullptr, WNOHANG | __WALL, nullptr) != 0) {
    keeper.reserve = 0;  // It has ended.
    ClosePidfd(keeper);
  } else if (WakeReserve(keeper.reserve_fds, SizeOf(written))) {
    keeper.reserve = 0;
    return pid;
  }
  EndReserve(keeper);
  if (keeper.slot.entered()) keeper.slot.TakeUsage();  // That it was killed is not told of the next.
  keeper.slot.ReturnGroup();
  return 0;
}

}  // namespace

bool Bear(Keeper& keeper, bool lost, KeeperNote* note, bool* open) {
  const brood::internal::RawRequest& order = keeper.order.request;
  const OrderTag tag = OrderTag::Decode(brood::internal::TagOf(order));
  note->kind = KeeperNote::Kind::kRefused;
  note->error = KeeperNote::kHasThreads;
  // A lock that another thread holds now would be held for ever in the child. fork(2), "NOTES"
  const bool alone = keeper.reserve != 0 || HasOneThread(keeper.house->threads);
  if (alone) note->error = EMFILE;
  if (!alone || lost) {
    CloseFds(keeper);
    return false;
  }
  void* const written = WriteOrder(keeper.order_file, keeper.order);
  if (written == nullptr) {
    note->error = errno;
    CloseFds(keeper);
    return false;
  }
  const bool tells = (tag.flags & OrderTag::kTell) != 0;
  int pid = TakeReserve(keeper, written);
  const bool reserved = pid != 0;
  note->error = 0;
  if (!reserved) {
    pid = Clone(keeper, tells ? CLONE_PIDFD : 0, written, &keeper.reserve_pidfd, &note->error);
    if (!tells || pid < 0) keeper.reserve_pidfd = -1;
    CloseFds(keeper);  // The child has its own: whoever waits for their end waits for that only.
    if (pid < 0) {
      note->retires = note->error == KeeperNote::kHasNoGroup ? 1 : 0;
      return false;
    }
  }
  note->pid = pid;
  if (tells) {
    note->kind = KeeperNote::Kind::kBorn;
    Send(keeper, *note, keeper.report < 0 ? keeper.reserve_pidfd : -1);
  }
  ClosePidfd(keeper);
  *open = reserved && order.fd_count > 0;
  return true;
}

}  // namespace brood::child
