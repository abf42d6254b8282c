#include <windows.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "bootstrap/current_process.h"

namespace brood {

bool Parent::IsAlive() const { return !Join(absl::ZeroDuration()).ok(); }

// The sentinel is a handle of the parent that can be waited for and nothing else (SYNCHRONIZE).
absl::Status Parent::Join(absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    // A wait takes 49 days at most; rounded up, so that the rest of a millisecond is no loop.
    const absl::Duration left = std::clamp(deadline - absl::Now(), absl::ZeroDuration(), absl::Hours(24));
    const auto milliseconds = static_cast<DWORD>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
    const DWORD waited = WaitForSingleObject(HandleOf(sentinel_), milliseconds);
    if (waited == WAIT_OBJECT_0) return absl::OkStatus();
    if (waited == WAIT_FAILED) return LastErrorStatus("wait for parent", name_);
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("join parent ", name_, ": still running"));
    }
  }
}

}  // namespace brood
