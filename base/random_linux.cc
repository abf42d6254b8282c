#include "base/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/status.h"

namespace brood {

absl::Status FillRandom(void* data, size_t size) {
  char* to = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t count = getrandom(to, size, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "getrandom");
    to += count;
    size -= static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

}  // namespace brood
