#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/status.h"
#include "launcher/executor/protocol.h"
#include "launcher/executor/worker_io.h"

namespace brood::internal {

size_t ReadSome(int stream, char* to, size_t size) {
  ssize_t n;
  do {
    n = read(stream, to, size);
  } while (n < 0 && errno == EINTR);
  return n > 0 ? static_cast<size_t>(n) : 0;
}

void WriteAll(int stream, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(stream, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;  // Not of a socket whose other end is gone: that is SIGPIPE, and our end.
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

absl::StatusOr<void*> MapJournal(int journal) {
  void* const memory = mmap(nullptr, kJournalBytes, PROT_READ | PROT_WRITE, MAP_SHARED, journal, 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "mmap", "the worker's journal");
  return memory;
}

}  // namespace brood::internal
