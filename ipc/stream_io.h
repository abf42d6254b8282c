// One transfer over what a Connection holds, with descriptors and a deadline: a stream socket, on Windows a pipe. Not for users:
// Connection is.
#ifndef BROOD_IPC_STREAM_IO_H_
#define BROOD_IPC_STREAM_IO_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"
#include "ipc/deadline.h"

namespace brood::internal {

// SCM_MAX_FD: what the Linux kernel takes in one sendmsg(2).
inline constexpr size_t kMaxHandlesPerCall = 253;

struct StreamPiece {
  char* data = nullptr;
  size_t size = 0;
};
inline constexpr size_t kMaxPieces = 3;

// Makes it this process's own, which no child inherits. InvalidArgument: it is no stream that a Connection can hold.
absl::Status PrepareStream(int stream);

// Sends some of `pieces`, at most kMaxPieces, which are not all empty, and with the first byte all of `handles`.
//
// Errors: DeadlineExceeded (nothing was sent), Aborted (the deadline passed, and nobody knows how much was sent: Windows),
//   Unavailable (the peer has closed), what the system says.
absl::StatusOr<size_t> SendSomeOf(int stream, absl::Span<const StreamPiece> pieces, absl::Span<const int> handles,
                                  const Deadline& deadline);

// Receives into `pieces`, which are not all empty; 0 at the end. What descriptors come is appended to `handles`, none for
// children; `handles_lost` is set if this process could not be given all of them. Errors: DeadlineExceeded, what the system says.
absl::StatusOr<size_t> ReceiveSomeInto(int stream, absl::Span<const StreamPiece> pieces, std::vector<UniqueFd>& handles,
                                       bool& handles_lost, const Deadline& deadline);

// Whether something can be received, or the end; false when the deadline passed.
absl::StatusOr<bool> AwaitReadable(int stream, const Deadline& deadline);

// Whether `handles` can be sent over it. Errors: FailedPrecondition (it carries none), InvalidArgument (one is not open).
absl::Status CheckHandles(int stream, absl::Span<const int> handles);

// So that the peer sees at once that no more will come, where there is such a thing.
void EndSending(int stream);

}  // namespace brood::internal

#endif  // BROOD_IPC_STREAM_IO_H_
