// Sleeping on a word of shared memory, and how long.
//
// futex(2) without FUTEX_PRIVATE_FLAG: the word may lie in any process's mapping of the same memory. Every sleep is cut
// into slices: whoever should have woken us may have been killed between its store and its wake.
#ifndef BROOD_IPC_FUTEX_H_
#define BROOD_IPC_FUTEX_H_

#include <cstdint>

#include "absl/status/status.h"
#include "ipc/deadline.h"

namespace brood::internal {

// The slices of one wait: a short one, so that a death is seen soon, then long ones, so that sleepers cost nothing.
class Slices {
 public:
  explicit Slices(const Deadline& deadline) : deadline_(deadline) {}
  int64_t Next();
  bool first() const { return count_ == 0; }

 private:
  static constexpr int64_t kShort = 2'000'000;
  static constexpr int64_t kLong = 50'000'000;
  Deadline deadline_;
  int count_ = 0;
};

// Sleeps until somebody wakes `word`, it is not `expected`, a signal comes, or `nanoseconds` have passed: the caller
// looks again in every case. Errors: PermissionDenied and the like, if a filter forbids futex(2).
// `word` is 32 bits that other processes change, also half of a larger atomic.
absl::Status FutexWait(const void* word, uint32_t expected, int64_t nanoseconds);

void FutexWake(const void* word, int count);
inline constexpr int kEverybody = INT32_MAX;

}  // namespace brood::internal

#endif  // BROOD_IPC_FUTEX_H_
