#include "launcher/messages_child.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd_message_child.h"

namespace brood::child {

namespace {

// The kernel counts for each user the descriptors that are under way, and takes no more when they are more than the sender may have
// open: what any program of the user's leaves in its sockets, a sandboxed one too, would keep us from speaking. unix(7), ETOOMANYREFS
bool RaiseOpenFiles(rlimit* before) {
  if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, before) != 0 || before->rlim_cur >= before->rlim_max) return false;
  const rlimit all = {before->rlim_max, before->rlim_max};
  return syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &all, nullptr) == 0;
}

}  // namespace

bool SendRecord(int socket, void* record, size_t size, const int* fds, int count, int flags) {
  const iovec part = {record, size};
  ssize_t sent = SendWithFds(socket, &part, 1, fds, static_cast<size_t>(count), flags);
  rlimit before = {};
  if (sent < 0 && errno == ETOOMANYREFS && RaiseOpenFiles(&before)) {
    sent = SendWithFds(socket, &part, 1, fds, static_cast<size_t>(count), flags);
    const int error = errno;
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &before, nullptr);
    errno = error;
  }
  return sent == static_cast<ssize_t>(size);
}

bool SendMessage(int socket, InitMessage message, const int* fds, int count) {
  message.fd_count = static_cast<uint32_t>(count);
  return SendRecord(socket, &message, sizeof(message), fds, count, 0);
}

ssize_t ReceiveRecord(int socket, void* record, size_t size, int* fds, int capacity, int* count, int flags) {
  const iovec part = {record, size};
  const FdMessage message = ReceiveWithFds(socket, &part, 1, fds, static_cast<size_t>(capacity), flags);
  *count = static_cast<int>(message.fd_count);
  return message.bytes;
}

bool ReceiveMessage(int socket, InitMessage* message, int* fds, int capacity, int* count) {
  const ssize_t received = ReceiveRecord(socket, message, sizeof(*message), fds, capacity, count, 0);
  return received == static_cast<ssize_t>(sizeof(*message)) && message->magic == kReportMagic;
}

}  // namespace brood::child
