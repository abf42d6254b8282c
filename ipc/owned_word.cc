#include "ipc/owned_word.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood::internal {
namespace {

// How often to look before sleeping. Most locks are held for less time than a sleep takes to begin.
constexpr int kSpins = 100;

}  // namespace

absl::Status HolderDiedError(std::string_view what) {
  return absl::AbortedError(absl::StrCat("acquire ", what,
                                         ": the process that held it died, and what it protects may be "
                                         "half-changed; call Recover(), repair it, and release"));
}

absl::StatusOr<OwnedWord::Result> OwnedWord::Acquire(const Region& region, uint64_t me, const Deadline& deadline) {
  uint64_t seen = 0;
  if (value_.compare_exchange_strong(seen, me << kIdShift, std::memory_order_acquire)) return Result::kAcquired;
  for (int spin = 0; spin < kSpins && OwnerOf(seen) != 0 && !deadline.passed(); ++spin) {
    __builtin_ia32_pause();
    seen = value_.load(std::memory_order_relaxed);
  }
  Slices slices(deadline);
  for (;;) {
    seen = value_.load(std::memory_order_acquire);
    if (OwnerOf(seen) == 0) {
      // Once asleep, this process cannot know whether others still are: its release must wake.
      const uint64_t mine = (me << kIdShift) | (slices.first() ? 0 : kContended);
      if (value_.compare_exchange_weak(seen, mine, std::memory_order_acquire)) return Result::kAcquired;
      continue;
    }
    if ((seen & kDead) != 0) return Result::kHolderDied;
    const bool last_look = deadline.passed();
    if (last_look || !slices.first()) {
      BROOD_ASSIGN_OR_RETURN(const bool died, HolderDied(region));
      if (died) return Result::kHolderDied;
      if (last_look) {
        seen = 0;  // Given back while we asked.
        const bool free =
            value_.compare_exchange_strong(seen, (me << kIdShift) | kContended, std::memory_order_acquire);
        return free ? Result::kAcquired : Result::kTimedOut;
      }
    }
    if ((seen & kContended) == 0) {
      if (!value_.compare_exchange_weak(seen, seen | kContended, std::memory_order_relaxed)) continue;
      seen |= kContended;
    }
    BROOD_RETURN_IF_ERROR(FutexWait(low(), static_cast<uint32_t>(seen), slices.Next()));
  }
}

absl::StatusOr<bool> OwnedWord::HolderDied(const Region& region) {
  uint64_t seen = value_.load(std::memory_order_acquire);
  if (OwnerOf(seen) == 0) return false;
  if ((seen & kDead) != 0) return true;
  BROOD_ASSIGN_OR_RETURN(const bool alive, region.IsAlive(OwnerOf(seen)));
  if (alive) return false;
  // An id is never issued twice: unless it was given back meanwhile, the word still names the dead one, and for ever.
  const uint64_t dead = OwnerOf(seen);
  while (OwnerOf(seen) == dead) {
    if ((seen & kDead) != 0) return true;
    if (value_.compare_exchange_weak(seen, seen | kDead, std::memory_order_acq_rel)) {
      FutexWake(low(), kEverybody);
      return true;
    }
  }
  return false;
}

absl::StatusOr<bool> OwnedWord::TakeOver(const Region& region, uint64_t me) {
  BROOD_ASSIGN_OR_RETURN(const bool died, HolderDied(region));
  if (!died) return false;
  uint64_t seen = value_.load(std::memory_order_acquire);
  while ((seen & kDead) != 0) {
    if (value_.compare_exchange_weak(seen, (me << kIdShift) | kContended, std::memory_order_acq_rel)) return true;
  }
  return false;
}

bool OwnedWord::Release(uint64_t owner) {
  if (owner == 0) return false;
  uint64_t seen = owner << kIdShift;
  if (value_.compare_exchange_strong(seen, 0, std::memory_order_release)) return true;
  while (OwnerOf(seen) == owner) {
    if (!value_.compare_exchange_weak(seen, 0, std::memory_order_release)) continue;
    if ((seen & kContended) != 0) FutexWake(low(), 1);
    return true;
  }
  return false;
}

}  // namespace brood::internal
