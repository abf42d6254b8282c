// What goes from a client to its forkserver: bytes and descriptors, any number of them, in one record of a
// SOCK_SEQPACKET socket, so that any number of threads may send without a lock.
//
// The server waits for nothing: a record is either whole when it arrives, or an error. What does not fit into the record
// (bytes beyond 64 KiB, descriptors beyond the kernel's 253) is in a sealed memfd and in a second socket, both of which
// are filled before the record is sent.
#ifndef BROOD_FORKSERVER_REQUEST_H_
#define BROOD_FORKSERVER_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace brood::internal {

inline constexpr uint64_t kMaxRequestBytes = uint64_t{16} << 20;
inline constexpr size_t kMaxRequestFds = 8192;

struct Request {
  std::string bytes;
  std::vector<UniqueFd> fds;
};

// Waits up to `patience` for room in the socket.
//
// Errors: Unavailable (nobody is at the other end), DeadlineExceeded, what ErrnoStatus says of the rest.
absl::Status SendRequest(int socket, std::string_view bytes, const std::vector<int>& fds, absl::Duration patience);

// Takes the next record, which must be there. `request` gets the descriptors that came, in case of an error too.
//
// Errors: OutOfRange (end of file), DataLoss (not a whole request), ResourceExhausted (no room for its descriptors).
absl::Status ReceiveRequest(int socket, Request& request);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_REQUEST_H_
