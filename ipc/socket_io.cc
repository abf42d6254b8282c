#include "ipc/socket_io.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace brood::internal {
namespace {

constexpr size_t kHandleBytes = kMaxHandlesPerCall * sizeof(int);
// More than the descriptors need: whoever shares the socket may have asked for credentials or time stamps as well.
constexpr size_t kControlBytes = CMSG_SPACE(kHandleBytes) + 256;

msghdr HeaderOf(absl::Span<const iovec> pieces) {
  msghdr header = {};
  header.msg_iov = const_cast<iovec*>(pieces.data());  // The kernel does not write to it.
  header.msg_iovlen = pieces.size();
  return header;
}

void TakeHandles(msghdr& header, std::vector<UniqueFd>& handles) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
      handles.emplace_back(fd);
    }
  }
}

// Whether to try again after `error`; if not, `error` becomes what to return.
bool TryAgain(int fd, short events, const Deadline& deadline, int& error) {
  if (error == EINTR) return true;
  if (error != EAGAIN) return false;
  error = WaitUntilReady(fd, events, deadline);
  return error == 0;
}

}  // namespace

int WaitUntilReady(int fd, short events, const Deadline& deadline) {
  while (true) {
    pollfd poll_fd = {.fd = fd, .events = events, .revents = 0};
    const Deadline::Timespec left = deadline.ToTimespec();
    const int ready = ppoll(&poll_fd, 1, left.get(), nullptr);
    if (ready > 0) return (poll_fd.revents & POLLNVAL) != 0 ? EBADF : 0;
    if (ready == 0) return ETIMEDOUT;
    if (errno != EINTR) return errno;
  }
}

IoResult SendSome(int fd, absl::Span<const iovec> pieces, absl::Span<const int> handles, const Deadline& deadline) {
  msghdr header = HeaderOf(pieces);
  alignas(cmsghdr) char control[CMSG_SPACE(kHandleBytes)] = {};
  if (!handles.empty()) {
    const size_t bytes = handles.size() * sizeof(int);
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(part), handles.data(), bytes);
  }
  // Without a deadline the kernel may do the waiting: one call instead of three for a peer that is slow.
  const int flags = MSG_NOSIGNAL | (deadline.infinite() ? 0 : MSG_DONTWAIT);
  while (true) {
    const ssize_t count = sendmsg(fd, &header, flags);
    if (count > 0) return {.bytes = static_cast<size_t>(count)};
    int error = count == 0 ? EIO : errno;
    if (!TryAgain(fd, POLLOUT, deadline, error)) return {.error = error};
  }
}

IoResult ReceiveSome(int fd, absl::Span<const iovec> pieces, std::vector<UniqueFd>& handles, bool& handles_lost,
                     const Deadline& deadline) {
  alignas(cmsghdr) char control[kControlBytes];
  const int flags = MSG_CMSG_CLOEXEC | (deadline.infinite() ? 0 : MSG_DONTWAIT);
  while (true) {
    msghdr header = HeaderOf(pieces);
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t count = recvmsg(fd, &header, flags);
    if (count >= 0) {
      TakeHandles(header, handles);
      if ((header.msg_flags & MSG_CTRUNC) != 0) handles_lost = true;
      return {.bytes = static_cast<size_t>(count)};
    }
    int error = errno;
    if (!TryAgain(fd, POLLIN, deadline, error)) return {.error = error};
  }
}

}  // namespace brood::internal
