// Messages on a pipe, a socket or a memfd: a header that says what follows, then the bytes.
//
//   BROOD_RETURN_IF_ERROR(WriteMessage(fd, MessageType::kResult, bytes));
//   BROOD_ASSIGN_OR_RETURN(const std::string bytes, ReadMessage(fd, MessageType::kResult));
//
// The header has its own checksum and the length a bound; both are checked before anything is allocated or waited for.
// Any one flipped bit, header or body, is found. The checksum guards against accidents: who can write to the handle can
// write any message, so what is read is verified as well (verify.h).
//
// Functions may be called from any thread; one handle by one thread at a time. SIGPIPE is never raised.
#ifndef BROOD_SERIALIZATION_FRAMING_H_
#define BROOD_SERIALIZATION_FRAMING_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace brood {

enum class MessageType : uint16_t {
  kPreparationData = 1,
  kProcessData = 2,
  kResult = 3,
  kOutcome = 4,
  kJob = 5,
  kRequest = 6,
  kReply = 7,
};

// "preparation data"; "message of type 99" for one that has no name.
std::string MessageTypeName(MessageType type);

inline constexpr size_t kFrameHeaderBytes = 32;
inline constexpr uint64_t kMaxMessageBytes = uint64_t{64} << 20;

struct ReadOptions {
  uint64_t max_bytes = kMaxMessageBytes;         // Of the body; a longer one is refused before it is read.
  absl::Time deadline = absl::InfiniteFuture();  // For the whole message.
};

// The message as bytes: header and body.
std::string FrameMessage(MessageType type, std::string_view body);

// Writes the whole message; waits as long as a non-blocking handle asks for it.
//
// Errors: Unavailable (the other end is closed), what ErrnoStatus says of the rest.
absl::Status WriteMessage(int fd, MessageType type, std::string_view body);

// Reads one message, which must be of that type, and nothing beyond it. The result is aligned for Verified().
//
// Errors: OutOfRange (end of file before the first byte), DataLoss (end of file within the message, not a message,
//   flipped bits), InvalidArgument (another type, another version, longer than `max_bytes`), DeadlineExceeded.
absl::StatusOr<std::string> ReadMessage(int fd, MessageType type, const ReadOptions& options = {});

}  // namespace brood

#endif  // BROOD_SERIALIZATION_FRAMING_H_
