#include "ipc/monitor.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"

namespace brood::internal {

absl::StatusOr<Monitor> Monitor::Enter(const Region& region, OwnedWord& word, const Deadline& deadline) {
  BROOD_ASSIGN_OR_RETURN(Member * self, region.Self());
  const Deadline patience = std::max(deadline, Deadline(absl::Seconds(1)));
  for (;;) {
    BROOD_ASSIGN_OR_RETURN(const OwnedWord::Result result, word.Acquire(region, self->id, patience));
    if (result == OwnedWord::Result::kAcquired) return Monitor(&word, self, false);
    if (result == OwnedWord::Result::kTimedOut) {
      return absl::DeadlineExceededError(absl::StrCat("use ", KindName(region.kind()),
                                                      ": a process that is inside it does not go on; was it stopped?"));
    }
    BROOD_ASSIGN_OR_RETURN(const bool taken, word.TakeOver(region, self->id));
    if (taken) return Monitor(&word, self, true);
  }
}

void Monitor::Leave() {
  if (word_ != nullptr) std::exchange(word_, nullptr)->Release(self_->id);
}

}  // namespace brood::internal
