// A flag that processes wait for.
//
//   BROOD_ASSIGN_OR_RETURN(brood::Event ready, brood::Event::Create());
//   context.Start(Server, ready);
//   BROOD_RETURN_IF_ERROR(ready.Wait(absl::Seconds(10)));
//
// A handle, as Lock. Nobody owns anything in an event, so that no death changes it. Thread-safe.
#ifndef BROOD_IPC_EVENT_H_
#define BROOD_IPC_EVENT_H_

#include <atomic>
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

class Event {
 public:
  Event() = default;  // Empty: every operation is FailedPrecondition.

  // Clear at first. Errors as Lock's.
  static absl::StatusOr<Event> Create();
  static absl::StatusOr<Event> FromDescriptor(UniqueFd fd);
  absl::StatusOr<UniqueFd> Descriptor() const;

  // Sets the flag, and releases everybody who waits. Setting it again does nothing.
  absl::Status Set() const;
  absl::Status Clear() const;
  absl::StatusOr<bool> IsSet() const;

  // Until the flag is set, or was set during the wait and cleared again. Errors: DeadlineExceeded.
  absl::Status Wait(absl::Duration timeout = absl::InfiniteDuration()) const;

  static void DescribeTo(internal::Description& to) { to.Word("event"); }

 private:
  using Word = std::atomic<uint32_t>;
  Event(std::shared_ptr<internal::Region> region, Word* word) : region_(std::move(region)), word_(word) {}

  std::shared_ptr<internal::Region> region_;
  Word* word_ = nullptr;  // Bit 0: set. Bit 1: somebody sleeps. The rest counts how often it was set.
};

}  // namespace brood

#endif  // BROOD_IPC_EVENT_H_
