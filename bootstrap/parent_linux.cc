#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "bootstrap/current_process.h"

namespace brood {

bool Parent::IsAlive() const { return !Join(absl::ZeroDuration()).ok(); }

absl::Status Parent::Join(absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    timespec wait{};
    const timespec* limit = nullptr;
    if (deadline != absl::InfiniteFuture()) {
      wait = absl::ToTimespec(std::max(deadline - absl::Now(), absl::ZeroDuration()));
      limit = &wait;
    }
    // The parent's side writes nothing after the start, so whatever happens here is its end.
    pollfd polls = {sentinel_, POLLIN, 0};
    const int ready = ppoll(&polls, 1, limit, nullptr);
    if (ready > 0) return absl::OkStatus();
    if (ready == 0 && absl::Now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("join parent ", name_, ": still running"));
    }
    if (ready < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "poll the parent's sentinel");
  }
}

}  // namespace brood
