// A mutual exclusion lock between processes that survives the death of its holder.
//
//   BROOD_ASSIGN_OR_RETURN(brood::Lock lock, brood::Lock::Create());
//   context.Start(Worker, lock);                          // Or captured by a fork.
//
//   absl::Status status = lock.Acquire();
//   if (absl::IsAborted(status)) {                        // The holder was killed.
//     BROOD_RETURN_IF_ERROR(lock.Recover());              // Now we hold it:
//     Repair();                                           // what it protects may be half-changed.
//   }
//   ...
//   BROOD_RETURN_IF_ERROR(lock.Release());
//
// A handle: copies, in this process and in others, are the same lock. As Python's Lock it belongs to the process that
// acquired it, not to a thread, is not recursive, and may be released by anyone. No lock is fair. Acquiring a free lock
// makes no system call. Thread-safe, and usable through const handles.
//
// A holder dies when its process ends in any way, or drops its last handle of the lock. Then every waiter, present and
// future, in any process, gets Aborted until one of them has called Recover.
#ifndef BROOD_IPC_LOCK_H_
#define BROOD_IPC_LOCK_H_

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

class Lock {
 public:
  Lock() = default;  // Empty: every operation is FailedPrecondition.

  // Errors of Create and FromDescriptor: ResourceExhausted (memory, descriptors), InvalidArgument (not a lock's
  //   descriptor), NotFound (no /proc), and the code of an errno value that a sandbox gives.
  static absl::StatusOr<Lock> Create();
  static absl::StatusOr<Lock> FromDescriptor(UniqueFd fd);

  // A new descriptor, for FromDescriptor in another process.
  absl::StatusOr<UniqueFd> Descriptor() const;

  // Waits until the lock is free, and takes it. A timeout of zero does not wait.
  //
  // Errors: DeadlineExceeded (not acquired), Aborted (its holder died; not acquired), FailedPrecondition (an empty
  //   handle, or a forked child without the descriptor).
  absl::Status Acquire(absl::Duration timeout = absl::InfiniteDuration()) const;

  // Errors: FailedPrecondition (nobody holds it), Aborted (its holder died: Recover first).
  absl::Status Release() const;

  // Takes the lock over from a holder that died: the caller holds it then, and releases it when what it protects is
  // whole again. Of several callers one succeeds. Errors: FailedPrecondition (no dead process holds it: acquire it).
  absl::Status Recover() const;

  // Whether anybody holds it now.
  absl::StatusOr<bool> IsHeld() const;

  static void DescribeTo(internal::Description& to) { to.Word("lock"); }

 private:
  friend class Condition;
  Lock(std::shared_ptr<internal::Region> region, internal::OwnedWord* word) : region_(std::move(region)), word_(word) {}

  // For Condition.
  absl::StatusOr<bool> IsHeldHere() const;
  absl::StatusOr<uint64_t> Suspend() const;
  absl::Status Resume(uint64_t depth) const;
  absl::StatusOr<bool> HolderDied() const { return word_->HolderDied(*region_); }

  std::shared_ptr<internal::Region> region_;
  internal::OwnedWord* word_ = nullptr;
};

}  // namespace brood

#endif  // BROOD_IPC_LOCK_H_
