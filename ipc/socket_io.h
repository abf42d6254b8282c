// One transfer over a stream socket, with descriptors and a deadline. Not for users: Connection is.
//
// Interrupted calls go on (signal(7), "Interruption of system calls"), SIGPIPE is never raised, and neither O_NONBLOCK
// nor a socket's own time-outs change anything: both belong to the open file, which other processes may share.
#ifndef BROOD_IPC_SOCKET_IO_H_
#define BROOD_IPC_SOCKET_IO_H_

#include <sys/uio.h>

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "base/fd_message_child.h"
#include "base/unique_fd.h"
#include "ipc/deadline.h"
#include "ipc/stream_io.h"

namespace brood::internal {

struct IoResult {
  size_t bytes = 0;  // At least 1, or 0 at the end of the stream.
  int error = 0;     // errno, ETIMEDOUT when the deadline passed; then nothing was transferred.
};

// Waits until `fd` has one of `events`, an error or a hang-up. 0 or an errno, ETIMEDOUT among them.
int WaitUntilReady(int fd, short events, const Deadline& deadline);

// Sends some of `pieces`, which are not all empty, and with the first byte all of `handles`, at most
// kMaxHandlesPerCall.
IoResult SendSome(int fd, absl::Span<const iovec> pieces, absl::Span<const int> handles, const Deadline& deadline);

// Receives into `pieces`, which are not all empty. What descriptors come with the bytes is appended to `handles`, all
// close-on-exec; `handles_lost` is set if the kernel could not give us all of them (EMFILE).
IoResult ReceiveSome(int fd, absl::Span<const iovec> pieces, std::vector<UniqueFd>& handles, bool& handles_lost,
                     const Deadline& deadline);

}  // namespace brood::internal

#endif  // BROOD_IPC_SOCKET_IO_H_
