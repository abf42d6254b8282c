#include "forkserver/reserve_child.h"

#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

#include "base/raw_syscall_child.h"
#include "forkserver/order_file_child.h"

namespace brood::child {

ReserveFds OpenReserve() {
  ReserveFds fds;
  fds.wake = static_cast<int32_t>(RawSyscall(SYS_eventfd2, 0, EFD_CLOEXEC));
  fds.taken = static_cast<int32_t>(RawSyscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
  return fds;
}

void* ReserveOrder(int order_file, const ReserveFds& fds) {
  // One that was killed before it woke has left its call, which would wake the next one to no order at all.
  pollfd poll_fd = {fds.wake, POLLIN, 0};
  const timespec now = {};
  uint64_t size;
  if (RawSyscall(SYS_ppoll, &poll_fd, 1, &now, nullptr, 0) > 0) RawSyscall(SYS_read, fds.wake, &size, static_cast<long>(sizeof(size)));
  const long written = RawSyscall(SYS_pwrite64, order_file, &fds, static_cast<long>(sizeof(fds)), kReserveOffset);
  return written == static_cast<long>(sizeof(fds)) ? Written(order_file, 0) : nullptr;
}

bool WakeReserve(const ReserveFds& fds, uint64_t order_size) {
  return RawSyscall(SYS_write, fds.wake, &order_size, static_cast<long>(sizeof(order_size))) == static_cast<long>(sizeof(order_size));
}

bool WasTaken(const ReserveFds& fds) {
  uint64_t count;
  return RawSyscall(SYS_read, fds.taken, &count, static_cast<long>(sizeof(count))) > 0;
}

size_t AwaitOrder(int order_file, ReserveFds* fds) {
  if (!ReadOrder(order_file, fds, sizeof(*fds), kReserveOffset)) return 0;
  // We have the other end of what wakes us in our own table, so its end would tell nothing. Of a keeper outside of our pid
  // namespace we cannot see whether it has gone before this; with it goes the init, and with that we. prctl(2), PR_SET_PDEATHSIG
  RawSyscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (RawSyscall(SYS_getppid) != fds->keeper) return 0;
  uint64_t size = 0;
  long got;
  do {
    got = RawSyscall(SYS_read, fds->wake, &size, static_cast<long>(sizeof(size)));
  } while (got == -EINTR);
  if (got != static_cast<long>(sizeof(size))) return 0;
  // A child may be to outlive its keeper; who is not says so again.
  RawSyscall(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
  return size;
}

bool TakeTable(const ReserveFds& reserve, int order_file, const int* fds, size_t count) {
  int last = std::max({2, order_file, reserve.wake, reserve.taken});
  for (size_t i = 0; i < count; ++i) last = std::max(last, fds[i]);
  // The kernel copies what is below, and no more.
  if (RawSyscall(SYS_close_range, last + 1, uint64_t{UINT_MAX}, int{CLOSE_RANGE_UNSHARE}) != 0) return false;
  const uint64_t one = 1;
  if (count > 0 && RawSyscall(SYS_write, reserve.taken, &one, static_cast<long>(sizeof(one))) < 0) return false;
  RawSyscall(SYS_close, reserve.wake);
  RawSyscall(SYS_close, reserve.taken);
  return true;
}

}  // namespace brood::child
