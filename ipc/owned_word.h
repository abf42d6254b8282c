// A lock in shared memory that knows who holds it: one 64-bit word with the holder's id and whether somebody waits.
//
// Taking and giving back an uncontended one is one atomic operation. The holder is named by the same store that takes
// the lock, so that there is no moment at which a killed process leaves it locked by nobody. A waiter asks, slice by
// slice, whether the holder lives (Region::IsAlive); a word whose holder died stays so until somebody takes it over.
//
// A waiter sleeps on the low half of the word, which holds the flags and part of the id: enough, because a sleeper
// needs only that whoever holds the word has been told that it must wake somebody.
#ifndef BROOD_IPC_OWNED_WORD_H_
#define BROOD_IPC_OWNED_WORD_H_

#include <atomic>
#include <bit>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ipc/futex.h"
#include "ipc/region.h"

namespace brood::internal {

class OwnedWord {
 public:
  enum class Result { kAcquired, kHolderDied, kTimedOut };

  // For the member `me`. kHolderDied: now and for everybody, until TakeOver. Errors: those of IsAlive and FutexWait.
  absl::StatusOr<Result> Acquire(const Region& region, uint64_t me, const Deadline& deadline);

  // Makes `me` the holder if the holder has died; false if it has not, or there is none.
  absl::StatusOr<bool> TakeOver(const Region& region, uint64_t me);

  // Gives back what `owner` holds and wakes one waiter. False if `owner` does not hold it.
  bool Release(uint64_t owner);

  uint64_t owner() const { return OwnerOf(value_.load(std::memory_order_acquire)); }  // 0: nobody.

  // Whether the holder has died. Remembered in the word.
  absl::StatusOr<bool> HolderDied(const Region& region);

 private:
  static constexpr uint64_t kContended = 1;  // Somebody sleeps, or did: releasing must wake.
  static constexpr uint64_t kDead = 2;       // The holder was found dead.
  static constexpr int kIdShift = 8;
  static uint64_t OwnerOf(uint64_t value) { return value >> kIdShift; }

  // Where the half that holds the flags lies. futex(2) takes 32 bits.
  const void* low() const {
    static_assert(std::endian::native == std::endian::little && sizeof(std::atomic<uint64_t>) == 8);
    return &value_;
  }

  std::atomic<uint64_t> value_;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && sizeof(OwnedWord) == 8);
static_assert(Region::kMaxId <= UINT64_MAX >> 8);

// Whoever died holding a lock, in a message.
absl::Status HolderDiedError(std::string_view what);

}  // namespace brood::internal

#endif  // BROOD_IPC_OWNED_WORD_H_
