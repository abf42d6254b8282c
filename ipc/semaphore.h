// Counting semaphores between processes that know who holds their units.
//
//   BROOD_ASSIGN_OR_RETURN(auto slots, brood::BoundedSemaphore::Create(4));   // At most four at once.
//   BROOD_ASSIGN_OR_RETURN(auto items, brood::Semaphore::Create(0));          // Counts what was announced.
//
// A handle, as Lock: copies, here and in other processes, are the same semaphore; thread-safe. An operation that need
// not wait makes no system call.
//
// Deaths. What a process has acquired and not released is on record. When it dies, a caller that finds no unit free
// gets Aborted until somebody calls Recover, which gives back what dead processes held. Units beyond the initial value
// are announcements and belong to nobody: a semaphore that begins with 0 never reports a death.
#ifndef BROOD_IPC_SEMAPHORE_H_
#define BROOD_IPC_SEMAPHORE_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "ipc/region.h"
#include "ipc/shared_object.h"

namespace brood {
namespace internal {
struct SemaphoreMemory;
}

template <bool kBounded>
class BasicSemaphore {
 public:
  static constexpr uint32_t kMaxValue = INT32_MAX;

  BasicSemaphore() = default;  // Empty: every operation is FailedPrecondition.

  // Errors as Lock's; InvalidArgument (more than kMaxValue; the descriptor of the other kind of semaphore).
  static absl::StatusOr<BasicSemaphore> Create(uint32_t initial = 1);
  static absl::StatusOr<BasicSemaphore> FromDescriptor(UniqueFd fd);
  absl::StatusOr<UniqueFd> Descriptor() const;

  // Takes one unit, waiting for it. A timeout of zero does not wait.
  //
  // Errors: DeadlineExceeded, Aborted (none is free, and dead processes hold some), ResourceExhausted (more than 1024
  //   processes hold units), DataLoss (another process damaged it).
  absl::Status Acquire(absl::Duration timeout = absl::InfiniteDuration()) const;

  // Gives back `units`, which anybody may do. Errors: FailedPrecondition (more than the initial value of a bounded one,
  //   or than kMaxValue; nothing is given back), InvalidArgument (0 units), DataLoss.
  absl::Status Release(uint32_t units = 1) const;

  // Gives back what dead processes hold; how many units that were, 0 if none.
  absl::StatusOr<uint32_t> Recover() const;

  // How many are free now.
  absl::StatusOr<uint32_t> Value() const;

  static void DescribeTo(internal::Description& to) { to.Word(kBounded ? "bounded_semaphore" : "semaphore"); }

 private:
  BasicSemaphore(std::shared_ptr<internal::Region> region, internal::SemaphoreMemory* memory)
      : region_(std::move(region)), memory_(memory) {}

  std::shared_ptr<internal::Region> region_;
  internal::SemaphoreMemory* memory_ = nullptr;
};

using Semaphore = BasicSemaphore<false>;
using BoundedSemaphore = BasicSemaphore<true>;  // Releasing more than was acquired is an error.

}  // namespace brood

#endif  // BROOD_IPC_SEMAPHORE_H_
