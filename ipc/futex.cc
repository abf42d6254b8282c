#include "ipc/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/status.h"

namespace brood::internal {
namespace {

int64_t Now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

long Futex(const void* word, int operation, uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

}  // namespace

Deadline::Deadline(absl::Duration timeout) {
  // A hundred years fit; more than that is for ever.
  if (timeout >= absl::Hours(24 * 365 * 100)) return;
  at_ = Now() + std::max<int64_t>(absl::ToInt64Nanoseconds(timeout), 0);
}

int64_t Deadline::LeftNanoseconds() const { return at_ == kNever ? kNever : std::max<int64_t>(at_ - Now(), 0); }

bool Deadline::Passed() const { return LeftNanoseconds() == 0; }

Deadline Deadline::NotBefore(absl::Duration least) const {
  Deadline result(least);
  result.at_ = std::max(result.at_, at_);
  return result;
}

int64_t Slices::Next() { return std::min(count_++ == 0 ? kShort : kLong, deadline_.LeftNanoseconds()); }

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
