// A ChildPlan as bytes (serialization/plan.fbs), as part of a launch or of a slot.
#ifndef BROOD_LAUNCHER_PLAN_FLATBUFFER_H_
#define BROOD_LAUNCHER_PLAN_FLATBUFFER_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/status/status.h"
#include "flatbuffers/flatbuffers.h"
#include "sandbox/child_plan.h"
#include "serialization/plan_generated.h"

namespace brood::internal {

flatbuffers::Offset<fbs::Plan> WritePlan(flatbuffers::FlatBufferBuilder& builder, const ChildPlan& plan);

// A plan with all that it points to, except for texts, which stay in the message that it was read from.
struct ReceivedPlan {
  ReceivedPlan() = default;
  ReceivedPlan(const ReceivedPlan&) = delete;
  ReceivedPlan& operator=(const ReceivedPlan&) = delete;

  ChildPlan plan;
  std::vector<MountStep> mounts;
  std::vector<sock_filter> filter;
  std::deque<std::vector<sock_filter>> further_programs;
  std::vector<FurtherFilter> further_filters;
  std::vector<RlimitStep> rlimits;
  std::vector<uint32_t> groups;
  std::vector<DestinationRecord> destinations;
  std::vector<LandlockRule> landlock_rules;
};

// `from` has been verified. Errors: DataLoss (no plan that a child could carry out).
absl::Status ReadPlan(const fbs::Plan& from, ReceivedPlan& out);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_PLAN_FLATBUFFER_H_
