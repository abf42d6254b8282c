// What goes from a client to its forkserver: bytes and descriptors, any number of them, in one record of a
// SOCK_SEQPACKET socket, so that any number of threads may send without a lock.
//
// The server waits for nothing: a record is either whole when it arrives, or an error. What does not fit into the record
// (bytes beyond 64 KiB, descriptors beyond the kernel's 253) is in a sealed memfd and in a second socket, both of which
// are filled before the record is sent.
#ifndef BROOD_FORKSERVER_REQUEST_H_
#define BROOD_FORKSERVER_REQUEST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fd_message_child.h"
#include "base/unique_fd.h"

namespace brood::child {
struct SlotBirth;
}  // namespace brood::child

namespace brood::internal {

inline constexpr uint64_t kMaxRequestBytes = uint64_t{16} << 20;
inline constexpr size_t kMaxRequestFds = 8192;

struct Request {
  uint64_t tag = 0;
  int sender = 0;  // In a child of a keeper: that keeper, whose child it is unless that has ended. 0 in a slot.
  const child::SlotBirth* slot = nullptr;  // In a child that was born in a slot: what it does not have from its keeper.
  std::string bytes;
  std::vector<UniqueFd> fds;
  std::vector<UniqueFd> carriers;  // That have brought some of that, and are to be closed with the others.
};

struct SendOptions {
  absl::Duration patience = absl::InfiniteDuration();  // To wait for room in the socket.
  uint64_t tag = 0;                                    // Travels with it; the receiver knows what it means.
  size_t inline_bytes = size_t{64} << 10;              // More are put into a memfd. At most this default.
  std::array<uint64_t, 4> words = {};                  // As the tag, of who can have no use for the bytes.
};

// Errors: Unavailable (nobody is at the other end), DeadlineExceeded, what ErrnoStatus says of the rest.
absl::Status SendRequest(int socket, std::string_view bytes, const std::vector<int>& fds, const SendOptions& options);

// Takes the next record, which must be there. `request` gets the descriptors that came, in case of an error too.
//
// Errors: OutOfRange (end of file), DataLoss (not a whole request), ResourceExhausted (no room for its descriptors).
absl::Status ReceiveRequest(int socket, Request& request);

// A record as it came, for a receiver that must not allocate: of at most kRecordInlineBytes, see SendOptions.
inline constexpr size_t kRecordInlineBytes = 3072;
inline constexpr size_t kRawHeaderBytes = 64;  // In front of the sender's bytes.
struct RawRequest {
  size_t size = 0;
  size_t fd_count = 0;
  alignas(8) char data[kRecordInlineBytes + 64];
  int fds[child::kMaxFdsOfMessage];
};

// What the sender gave as SendOptions::tag; 0 if it is no request. Child-safe, see base/child_safe.h.
uint64_t TagOf(const RawRequest& raw);
uint64_t TagOf(const char* record, size_t size);

// SendOptions::words, of what is a request. Child-safe.
std::array<uint64_t, 4> WordsOf(const RawRequest& raw);

// How many of its descriptors come before the sender's, because they carry what did not fit. Child-safe.
size_t CarriersOf(const RawRequest& raw);

// Owns the `fd_count` descriptors from then on. Errors: as ReceiveRequest, but not OutOfRange.
absl::Status UnpackRequest(std::string_view record, const int* fds, size_t fd_count, Request& request);

// The bytes of a request that has no descriptors, where they lie in its record; empty if there are none, or not all there.
std::string_view BytesInPlace(std::string_view record);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_REQUEST_H_
