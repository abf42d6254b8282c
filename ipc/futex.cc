#include "ipc/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/time/time.h"
#include "base/status.h"

namespace brood::internal {
namespace {

long Futex(const void* word, int operation, uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

}  // namespace

int64_t Slices::Next() { return std::min(count_++ == 0 ? kShort : kLong, absl::ToInt64Nanoseconds(deadline_.Left())); }

absl::Status FutexWait(const void* word, uint32_t expected, int64_t nanoseconds) {
  timespec timeout = {};
  timeout.tv_sec = nanoseconds / 1'000'000'000;
  timeout.tv_nsec = nanoseconds % 1'000'000'000;
  if (Futex(word, FUTEX_WAIT, expected, &timeout) == 0) return absl::OkStatus();
  if (errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR) return absl::OkStatus();
  return ErrnoStatus(errno, "futex", "wait");
}

void FutexWake(const void* word, int count) {
  // Cannot fail on a word that is mapped; where a filter forbids it the sleepers find out by their slices.
  Futex(word, FUTEX_WAKE, static_cast<uint32_t>(count), nullptr);
}

}  // namespace brood::internal
