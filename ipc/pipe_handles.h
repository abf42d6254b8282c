// The two ends of a named pipe of bytes which nobody else can reach. Windows only; not for users: pipe.h is.
#ifndef BROOD_IPC_PIPE_HANDLES_H_
#define BROOD_IPC_PIPE_HANDLES_H_

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::internal {

enum class PipeTransfers {
  kOverlapped,   // Can be waited for with a deadline.
  kSynchronous,  // As those of a file.
};

struct PipeHandlesOptions {
  enum class Ways { kBoth, kSecondToFirst } ways = Ways::kBoth;
  PipeTransfers second = PipeTransfers::kOverlapped;  // The first end always is that.
};

// Neither is inherited by children.
struct PipeHandles {
  UniqueFd first;
  UniqueFd second;
};

absl::StatusOr<PipeHandles> NewPipeHandles(const PipeHandlesOptions& options);

}  // namespace brood::internal

#endif  // BROOD_IPC_PIPE_HANDLES_H_
