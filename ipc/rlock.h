// A lock that the thread that holds it may acquire again.
//
//   BROOD_ASSIGN_OR_RETURN(brood::RLock lock, brood::RLock::Create());
//
// As Lock (lock.h), deaths included, but it belongs to one thread of one process, which releases it as often as it
// acquired it. A thread that ends without releasing it leaves it held by its process.
#ifndef BROOD_IPC_RLOCK_H_
#define BROOD_IPC_RLOCK_H_

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "ipc/owned_word.h"
#include "ipc/region.h"
#include "ipc/shared_object.h"

namespace brood {

class Condition;
namespace internal {
class ValueMemory;
}

class RLock {
 public:
  RLock() = default;  // Empty: every operation is FailedPrecondition.

  // Also from the descriptor of a Value or an Array: their own lock. Errors as Lock.
  static absl::StatusOr<RLock> Create();
  static absl::StatusOr<RLock> FromDescriptor(UniqueFd fd);
  absl::StatusOr<UniqueFd> Descriptor() const;

  // As Lock, and at once if this thread holds it.
  absl::Status Acquire(absl::Duration timeout = absl::InfiniteDuration()) const;

  // Errors: FailedPrecondition (this thread does not hold it).
  absl::Status Release() const;

  // As Lock. The caller has then acquired it once.
  absl::Status Recover() const;

  // Whether anybody holds it now.
  absl::StatusOr<bool> IsHeld() const;

  static void DescribeTo(internal::Description& to) { to.Word("rlock"); }

 private:
  friend class Condition;
  friend class internal::ValueMemory;
  RLock(std::shared_ptr<internal::Region> region, internal::OwnedWord* word)
      : region_(std::move(region)), word_(word) {}

  // For Condition. Suspend releases it altogether and says how often it was acquired; Resume acquires it as often.
  absl::StatusOr<bool> IsHeldHere() const;
  absl::StatusOr<uint64_t> Suspend() const;
  absl::Status Resume(uint64_t depth) const;
  absl::StatusOr<bool> HolderDied() const { return word_->HolderDied(*region_); }

  std::shared_ptr<internal::Region> region_;
  internal::OwnedWord* word_ = nullptr;
};

}  // namespace brood

#endif  // BROOD_IPC_RLOCK_H_
