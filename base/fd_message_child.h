// Descriptors that travel over a Unix socket with the bytes of one message. SCM_RIGHTS in unix(7).
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_BASE_FD_MESSAGE_CHILD_H_
#define BROOD_BASE_FD_MESSAGE_CHILD_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

namespace brood::child {

inline constexpr size_t kMaxFdsOfMessage = 253;  // SCM_MAX_FD: what the kernel takes in one sendmsg(2).

// As sendmsg(2), with `fd_count` descriptors, at most kMaxFdsOfMessage. Goes on when interrupted, and raises no SIGPIPE.
ssize_t SendWithFds(int socket, const iovec* parts, size_t part_count, const int* fds, size_t fd_count, int flags);

struct FdMessage {
  ssize_t bytes = -1;    // As recvmsg(2): -1 and errno, 0 at the end, or for a record without bytes.
  size_t fd_count = 0;   // In `fds`, close-on-exec, the caller's to close.
  bool cut = false;      // There were more bytes. MSG_TRUNC
  bool fds_lost = false; // There were more descriptors than `capacity`, or than this process may open. MSG_CTRUNC
};

// As recvmsg(2). Goes on when interrupted.
FdMessage ReceiveWithFds(int socket, const iovec* parts, size_t part_count, int* fds, size_t capacity, int flags);

}  // namespace brood::child

#endif  // BROOD_BASE_FD_MESSAGE_CHILD_H_
