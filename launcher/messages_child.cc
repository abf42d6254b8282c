#include "launcher/messages_child.h"

#include "base/fd_message_child.h"

namespace brood::child {

bool SendRecord(int socket, void* record, size_t size, const int* fds, int count, int flags) {
  const iovec part = {record, size};
  return SendWithFds(socket, &part, 1, fds, static_cast<size_t>(count), flags) == static_cast<ssize_t>(size);
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
