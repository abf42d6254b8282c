#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/raw_syscall_child.h"
#include "forkserver/keeper_state_child.h"

namespace brood::child {
namespace {

constexpr long kIdleSeconds = 10;  // As the supervisor has patience with idle slots.

long Retry(long result) { return result == -EINTR ? 1 : 0; }

bool IsKept(const Keeper& keeper, int fd) { return fd == keeper.report || keeper.output.Owns(fd); }

}  // namespace

long Receive(int socket, uint64_t secret, brood::internal::RawRequest* order, bool* lost) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(order->fds))];
  iovec part = {order->data, sizeof(order->data)};
  msghdr header = {};
  long bytes;
  do {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    bytes = RawSyscall(SYS_recvmsg, socket, &header, MSG_CMSG_CLOEXEC, 0, 0, secret);
  } while (Retry(bytes) != 0);
  order->fd_count = 0;
  order->size = bytes > 0 ? static_cast<size_t>(bytes) : 0;
  if (bytes <= 0) return bytes;
  *lost = (header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0;
  for (cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr; rights = CMSG_NXTHDR(&header, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    order->fd_count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(order->fds, CMSG_DATA(rights), order->fd_count * sizeof(int));
  }
  return bytes;
}

void Send(const Keeper& keeper, const KeeperNote& note, int fd) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part = {const_cast<KeeperNote*>(&note), sizeof(note)};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof(int));
  }
  // Waits if the supervisor is behind: there is one order at a time, so it is not for long.
  while (Retry(RawSyscall(SYS_sendmsg, keeper.socket, &header, MSG_NOSIGNAL, 0, 0, keeper.slot.secret())) != 0) {
  }
}

void Report(Keeper& keeper, const KeeperNote& note) {
  if (keeper.report < 0) return Send(keeper, note, -1);
  // One write below PIPE_BUF into an empty pipe. Who has closed the other end has no use for it; all signals are blocked.
  static_assert(sizeof(note) < PIPE_BUF);
  RawSyscall(SYS_write, keeper.report, &note, static_cast<long>(sizeof(note)));
  RawSyscall(SYS_close, keeper.report);
  keeper.report = -1;
}

bool AwaitNext(const Keeper& keeper) {
  if (!keeper.is_leased) return true;
  pollfd polled = {keeper.socket, POLLIN, 0};
  timespec left = {.tv_sec = kIdleSeconds, .tv_nsec = 0};
  long ready;
  while ((ready = RawSyscall(SYS_ppoll, &polled, 1, &left, nullptr, 0)) == -EINTR) {
  }
  return ready != 0;
}

void CloseFds(const Keeper& keeper) {
  const brood::internal::RawRequest& order = keeper.order.request;
  // Most have come one after the other.
  for (size_t i = 0, end; i < order.fd_count; i = end) {
    end = i + 1;
    if (IsKept(keeper, order.fds[i])) continue;
    while (end < order.fd_count && order.fds[end] == order.fds[end - 1] + 1 && !IsKept(keeper, order.fds[end])) ++end;
    if (end - i > 1 && RawSyscall(SYS_close_range, order.fds[i], order.fds[end - 1], 0) == 0) continue;
    for (size_t one = i; one < end; ++one) RawSyscall(SYS_close, order.fds[one]);
  }
}

}  // namespace brood::child
