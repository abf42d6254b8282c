#include "launcher/sent_messages_child.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>

namespace brood::child {
namespace {

constexpr uint32_t kMostMessages = 1024;  // More than UIO_MAXIOV are cut. sendmmsg(2).

}  // namespace

bool SentMessages::IsSend(int number) { return number == SYS_sendto || number == SYS_sendmsg || number == SYS_sendmmsg; }

bool SentMessages::NextWithAddress(SentMessage* out) {
  const auto& args = call_.data.args;
  if (call_.data.nr == SYS_sendto) {
    *out = {.index = 0, .address = args[4], .length = args[5] & 0xffffffff};
    return next_++ == 0 && out->address != 0;
  }
  const bool many = call_.data.nr == SYS_sendmmsg;
  const uint32_t count = many ? std::min(static_cast<uint32_t>(args[2]), kMostMessages) : 1;
  while (next_ < count) {
    const uint32_t index = next_++;
    mmsghdr message = {};  // It begins with the header of sendmsg(2).
    iovec ours = {&message.msg_hdr, sizeof(message.msg_hdr)};
    iovec theirs = {reinterpret_cast<void*>(args[1] + index * sizeof(message)), sizeof(message.msg_hdr)};
    if (process_vm_readv(static_cast<pid_t>(call_.pid), &ours, 1, &theirs, 1, 0) != static_cast<ssize_t>(ours.iov_len)) return false;
    if (message.msg_hdr.msg_name == nullptr) continue;
    *out = {.index = index, .address = reinterpret_cast<uint64_t>(message.msg_hdr.msg_name), .length = message.msg_hdr.msg_namelen};
    return true;
  }
  return false;
}

}  // namespace brood::child
