#include "ipc/socket_io.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace brood::internal {
namespace {

// Whether to try again after `error`; if not, `error` becomes what to return.
bool TryAgain(int fd, short events, const Deadline& deadline, int& error) {
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
  // Without a deadline the kernel may do the waiting: one call instead of three for a peer that is slow.
  const int flags = deadline.infinite() ? 0 : MSG_DONTWAIT;
  while (true) {
    const ssize_t count = child::SendWithFds(fd, pieces.data(), pieces.size(), handles.data(), handles.size(), flags);
    if (count > 0) return {.bytes = static_cast<size_t>(count)};
    int error = count == 0 ? EIO : errno;
    if (!TryAgain(fd, POLLOUT, deadline, error)) return {.error = error};
  }
}

IoResult ReceiveSome(int fd, absl::Span<const iovec> pieces, std::vector<UniqueFd>& handles, bool& handles_lost,
                     const Deadline& deadline) {
  const int flags = deadline.infinite() ? 0 : MSG_DONTWAIT;
  int numbers[kMaxHandlesPerCall];
  while (true) {
    const child::FdMessage message =
        child::ReceiveWithFds(fd, pieces.data(), pieces.size(), numbers, kMaxHandlesPerCall, flags);
    if (message.bytes >= 0) {
      for (size_t i = 0; i < message.fd_count; ++i) handles.emplace_back(numbers[i]);
      handles_lost |= message.fds_lost;
      return {.bytes = static_cast<size_t>(message.bytes)};
    }
    int error = errno;
    if (!TryAgain(fd, POLLIN, deadline, error)) return {.error = error};
  }
}

}  // namespace brood::internal
