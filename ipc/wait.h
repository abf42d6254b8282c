// Waits for any of several things: connections, listeners, sentinels of processes, descriptors of one's own.
//
//   BROOD_ASSIGN_OR_RETURN(auto ready, Wait({process.sentinel(), connection}, absl::Seconds(5)));
//   for (size_t i : ready) ...                        // Indices of what is ready; none when the timeout passed.
#ifndef BROOD_IPC_WAIT_H_
#define BROOD_IPC_WAIT_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace brood {

class Connection;

class Waitable {  // Borrows what it is made of.
 public:
  Waitable(int fd) : fd_(fd) {}           // NOLINT(google-explicit-constructor): lists mix all kinds.
  Waitable(const Connection& connection);  // NOLINT(google-explicit-constructor)

  int descriptor() const { return fd_; }
  bool sends_only() const { return sends_only_; }

 private:
  int fd_;
  bool sends_only_ = false;
};

// Waits until at least one of `objects` is ready (something to read, the peer's end, an error), and returns the indices
// of all that are, in order. A negative timeout polls. Any number of objects; each may stand there several times.
// Thread-safe.
//
// Errors: InvalidArgument (names the object: not open, or a connection that only sends; nothing to wait for, for ever).
absl::StatusOr<std::vector<size_t>> Wait(absl::Span<const Waitable> objects,
                                         absl::Duration timeout = absl::InfiniteDuration());

}  // namespace brood

#endif  // BROOD_IPC_WAIT_H_
