// The bytes below framing.h: whole reads and writes on a pipe, a socket, a file or memory. Not for others.
#ifndef BROOD_SERIALIZATION_FRAMING_IO_H_
#define BROOD_SERIALIZATION_FRAMING_IO_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace brood::internal {

// `what` is what the bytes are, for messages: "process data". Waits where the handle is non-blocking. Never raises SIGPIPE.
//
// Errors: Unavailable (the other end is closed), the system's.
absl::Status WriteAll(int fd, const char* data, size_t size, std::string_view what);

// Reads up to `size` bytes, less only at the end of the file. Errors: DeadlineExceeded, the system's.
absl::StatusOr<size_t> ReadUpTo(int fd, char* data, size_t size, absl::Time deadline, std::string_view what);

}  // namespace brood::internal

#endif  // BROOD_SERIALIZATION_FRAMING_IO_H_
