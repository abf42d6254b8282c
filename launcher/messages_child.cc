#include "launcher/messages_child.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace brood::child {
namespace {

union Ancillary {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * kMaxPassedFds)];
};

}  // namespace

bool SendRecord(int socket, void* record, size_t size, const int* fds, int count, int flags) {
  iovec part = {record, size};
  Ancillary ancillary;
  memset(&ancillary, 0, sizeof(ancillary));
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (count > 0) {
    const size_t length = sizeof(int) * static_cast<size_t>(count);
    header.msg_control = ancillary.bytes;
    header.msg_controllen = CMSG_SPACE(length);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(rights), fds, length);
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL | flags);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}

bool SendMessage(int socket, InitMessage message, const int* fds, int count) {
  message.fd_count = static_cast<uint32_t>(count);
  return SendRecord(socket, &message, sizeof(message), fds, count, 0);
}

ssize_t ReceiveRecord(int socket, void* record, size_t size, int* fds, int capacity, int* count, int flags) {
  *count = 0;
  iovec part = {record, size};
  Ancillary ancillary;
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = ancillary.bytes;
  header.msg_controllen = sizeof(ancillary.bytes);
  ssize_t received;
  do {
    received = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | flags);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return received;
  for (cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr; rights = CMSG_NXTHDR(&header, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    const size_t passed = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < passed; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
      if (*count < capacity) {
        fds[(*count)++] = fd;
      } else {
        close(fd);
      }
    }
  }
  return received;
}

bool ReceiveMessage(int socket, InitMessage* message, int* fds, int capacity, int* count) {
  const ssize_t received = ReceiveRecord(socket, message, sizeof(*message), fds, capacity, count, 0);
  return received == static_cast<ssize_t>(sizeof(*message)) && message->magic == kReportMagic;
}

}  // namespace brood::child
