// What a slot is made of, as bytes (serialization/slot.fbs): from a caller to the supervisor of a forkserver.
//
// Two callers with the same bytes share slots, one after the other; fresh ones have each a slot of its own.
#ifndef BROOD_LAUNCHER_SLOT_REQUEST_H_
#define BROOD_LAUNCHER_SLOT_REQUEST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "launcher/launch_options.h"
#include "launcher/plan_flatbuffer.h"
#include "sandbox/cgroup.h"
#include "sandbox/plan.h"

namespace brood::internal {

struct SlotRequest {
  std::string bytes;  // Texts of the plan are in here.
  ReceivedPlan plan;
  uint64_t wall_ns = 0;
  uint64_t cpu_ns = 0;
  std::optional<CgroupRequest> cgroups;
  std::optional<std::vector<std::string>> environment;  // None: the server's.
  bool fresh = false;                                    // For one child alone.
};

// Errors: those of FitsSlot (slot_fitness.h).
absl::StatusOr<std::string> EncodeSlot(const CompiledPolicy& policy, Isolation isolation);

enum class SlotUse { kFunctions, kPrograms };

// The same, kept as long as the policy lives; null if it does not fit. Thread-safe.
std::shared_ptr<const std::string> SlotOf(const std::shared_ptr<const CompiledPolicy>& policy, SlotUse use, Isolation isolation);

// Errors: DataLoss (not well formed).
absl::StatusOr<std::unique_ptr<SlotRequest>> DecodeSlot(std::string_view bytes);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SLOT_REQUEST_H_
