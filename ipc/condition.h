// Waiting, with a lock, for another process to change something.
//
//   BROOD_ASSIGN_OR_RETURN(auto condition, brood::Condition::Create());       // With an RLock of its own.
//   BROOD_RETURN_IF_ERROR(condition.Acquire());
//   absl::Status status = condition.WaitFor([&] { return Ready(); }, absl::Seconds(5));
//   ...
//   BROOD_RETURN_IF_ERROR(condition.Release());
//
// A handle, as Lock; thread-safe. Those who wait are woken in the order in which they came.
//
// Deaths. If the lock's holder dies, everybody gets Aborted as from the lock itself, those who wait too, until Recover.
// A process that dies while it waits is passed over: a notification goes to one that lives.
#ifndef BROOD_IPC_CONDITION_H_
#define BROOD_IPC_CONDITION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "ipc/lock.h"
#include "ipc/region.h"
#include "ipc/rlock.h"
#include "serialization/codec.h"

namespace brood {
namespace internal {
struct ConditionMemory;
}

class Condition {
 public:
  static constexpr uint32_t kMaxWaiters = 1024;

  Condition() = default;  // Empty: every operation is FailedPrecondition.

  // Over a new RLock, or over a lock that has other uses too. Errors as Lock's.
  static absl::StatusOr<Condition> Create();
  static absl::StatusOr<Condition> Create(Lock lock);
  static absl::StatusOr<Condition> Create(RLock lock);

  // The lock's operations.
  absl::Status Acquire(absl::Duration timeout = absl::InfiniteDuration()) const;
  absl::Status Release() const;
  absl::Status Recover() const;

  // Releases the lock, waits for a notification, and acquires the lock again, as often as it was acquired.
  //
  // The lock is held on return, also with DeadlineExceeded, which is said of the notification only; it is not held with
  // Aborted (the lock's holder died: see Lock). Errors besides: FailedPrecondition (the caller does not hold the lock;
  //   with a Lock, the calling process), ResourceExhausted (kMaxWaiters wait already).
  absl::Status Wait(absl::Duration timeout = absl::InfiniteDuration()) const;

  // Until `predicate`, which is called with the lock held, is true. Errors as Wait; with DeadlineExceeded it was false.
  absl::Status WaitFor(const std::function<bool()>& predicate, absl::Duration timeout = absl::InfiniteDuration()) const;

  // Wakes up to `count` of those who wait; they go on when the caller has released the lock. Errors: FailedPrecondition
  //   (the caller does not hold the lock).
  absl::Status Notify(uint32_t count = 1) const;
  absl::Status NotifyAll() const { return Notify(kMaxWaiters); }

 private:
  friend struct Codec<Condition>;
  using AnyLock = std::variant<RLock, Lock>;
  Condition(std::shared_ptr<internal::Region> region, internal::ConditionMemory* memory, AnyLock lock)
      : region_(std::move(region)), memory_(memory), lock_(std::move(lock)) {}
  static absl::StatusOr<Condition> CreateOver(AnyLock lock);
  static absl::StatusOr<Condition> FromParts(UniqueFd fd, AnyLock lock);
  absl::Status CheckHeld(std::string_view operation) const;

  std::shared_ptr<internal::Region> region_;
  internal::ConditionMemory* memory_ = nullptr;
  AnyLock lock_;
};

// Travels with its lock.
template <>
struct Codec<Condition> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) { to.Word("condition"); }
  static void Encode(const Condition& value, WireWriter& to);
  static bool Decode(WireReader& from, Condition& value);
};

}  // namespace brood

#endif  // BROOD_IPC_CONDITION_H_
