#include "launcher/child_message.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/status.h"

namespace brood::internal {
namespace {

absl::Status WriteAt(int fd, std::string_view bytes) {
  off_t offset = 0;
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", "the child's message");
    offset += written;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> PrefilledMessage(std::string_view bytes) {
  constexpr size_t kSurelyFits = 4096;  // One page: what a pipe holds when its user is over the soft limit. pipe(7)
  int pipe_fds[2];
  if (bytes.size() <= kSurelyFits) {
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    UniqueFd reader(pipe_fds[0]);
    const UniqueFd writer(pipe_fds[1]);
    if (write(writer.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      return ErrnoStatus(errno, "write", "the child's message");
    }
    return reader;
  }
  UniqueFd memory(memfd_create("brood-message", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return ErrnoStatus(errno, "memfd_create");
  // pwrite leaves the offset, which the child shares, at the beginning.
  BROOD_RETURN_IF_ERROR(WriteAt(memory.get(), bytes));
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return ErrnoStatus(errno, "seal", "the child's message");
  }
  return memory;
}

}  // namespace brood::internal
