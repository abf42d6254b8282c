// A point that a number of processes or threads pass together.
//
//   BROOD_ASSIGN_OR_RETURN(brood::Barrier barrier, brood::Barrier::Create(3));
//   absl::StatusOr<uint32_t> arrived = barrier.Wait();      // 0, 1 or 2: in which order we came.
//
// A handle, as Lock; thread-safe; may be passed again and again.
//
// A barrier breaks when a party gives up waiting, is killed while it waits, or calls Abort. All who wait, and all who
// come later, then get Aborted until somebody calls Reset. A party that dies elsewhere is not known to the barrier, so
// that the others wait on: give Wait a timeout.
#ifndef BROOD_IPC_BARRIER_H_
#define BROOD_IPC_BARRIER_H_

#include <cstdint>
#include <functional>
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
struct BarrierMemory;
}

class Barrier {
 public:
  static constexpr uint32_t kMaxParties = 1024;

  Barrier() = default;  // Empty: every operation is FailedPrecondition.

  // Errors as Lock's; InvalidArgument (not 1 to kMaxParties).
  static absl::StatusOr<Barrier> Create(uint32_t parties);
  static absl::StatusOr<Barrier> FromDescriptor(UniqueFd fd);
  absl::StatusOr<UniqueFd> Descriptor() const;

  // Waits until as many have come as the barrier has parties. Gives the order of arrival, from 0.
  //
  // Whoever comes last runs its `action`, if it has one, before anybody goes on; its error breaks the barrier and is
  // returned. An exception of it does the same and passes through.
  //
  // Errors: DeadlineExceeded (and the barrier is broken now), Aborted (it is broken, and why: a party died, gave up, or
  //   aborted it, or it was reset during the wait).
  absl::StatusOr<uint32_t> Wait(absl::Duration timeout = absl::InfiniteDuration(),
                                const std::function<absl::Status()>& action = nullptr) const;

  // Breaks it.
  absl::Status Abort() const;

  // Makes it whole and empty. Those who wait get Aborted.
  absl::Status Reset() const;

  absl::StatusOr<bool> IsBroken() const;
  absl::StatusOr<uint32_t> Waiting() const;
  absl::StatusOr<uint32_t> Parties() const;

  static void DescribeTo(internal::Description& to) { to.Word("barrier"); }

 private:
  Barrier(std::shared_ptr<internal::Region> region, internal::BarrierMemory* memory)
      : region_(std::move(region)), memory_(memory) {}

  std::shared_ptr<internal::Region> region_;
  internal::BarrierMemory* memory_ = nullptr;
};

}  // namespace brood

#endif  // BROOD_IPC_BARRIER_H_
