// The pool's end of what a pool and one of its workers say to each other: a socket, on Windows a pipe. Not for users.
//
// Under the pool's lock, all of it, but what waiters on Linux do with the descriptor.
#ifndef BROOD_LAUNCHER_EXECUTOR_WORKER_STREAM_H_
#define BROOD_LAUNCHER_EXECUTOR_WORKER_STREAM_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::internal {

class WorkerStream {
 public:
  // Makes both ends. `*worker` is for a child, which reads and writes it as a file.
  static absl::StatusOr<std::unique_ptr<WorkerStream>> Make(UniqueFd* worker);
  virtual ~WorkerStream() = default;

  virtual int descriptor() const = 0;

  // Sends what goes now of these bytes, and says how many went; where not all did, call it again with the others when the
  // stream is writable. Nothing: the worker has gone, or does not read any more.
  virtual std::optional<size_t> Send(std::string_view first, std::string_view second) = 0;

  // Appends what has come. `more`: there may be more. Errors: OutOfRange (end of the stream).
  virtual absl::Status Receive(std::string& to, bool& more) = 0;

  // The worker reads the end.
  virtual void EndSending() = 0;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_WORKER_STREAM_H_
