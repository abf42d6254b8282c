#include "base/fd_message_child.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace brood::child {
namespace {

constexpr size_t kFdBytes = kMaxFdsOfMessage * sizeof(int);
// More than the descriptors need: whoever shares the socket may have asked for credentials or time stamps as well.
constexpr size_t kOthers = 256;

msghdr HeaderOf(const iovec* parts, size_t part_count) {
  msghdr header = {};
  header.msg_iov = const_cast<iovec*>(parts);  // The kernel does not write to it.
  header.msg_iovlen = part_count;
  return header;
}

}  // namespace

ssize_t SendWithFds(int socket, const iovec* parts, size_t part_count, const int* fds, size_t fd_count, int flags) {
  if (fd_count > kMaxFdsOfMessage) {
    errno = EINVAL;
    return -1;
  }
  msghdr header = HeaderOf(parts, part_count);
  alignas(cmsghdr) char control[CMSG_SPACE(kFdBytes)];
  if (fd_count > 0) {
    const size_t length = fd_count * sizeof(int);
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(length);
    memset(control, 0, CMSG_SPACE(length));
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(rights), fds, length);
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL | flags);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

FdMessage ReceiveWithFds(int socket, const iovec* parts, size_t part_count, int* fds, size_t capacity, int flags) {
  FdMessage message;
  msghdr header;
  alignas(cmsghdr) char control[CMSG_SPACE(kFdBytes) + kOthers];
  do {
    header = HeaderOf(parts, part_count);
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    message.bytes = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | flags);
  } while (message.bytes < 0 && errno == EINTR);
  if (message.bytes < 0) return message;
  message.cut = (header.msg_flags & MSG_TRUNC) != 0;
  message.fds_lost = (header.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr; rights = CMSG_NXTHDR(&header, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    const size_t passed = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < passed; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
      if (message.fd_count < capacity) {
        fds[message.fd_count++] = fd;
      } else {
        close(fd);
        message.fds_lost = true;
      }
    }
  }
  return message;
}

}  // namespace brood::child
