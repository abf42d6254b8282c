#include "sandbox/plan_ids.h"

#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/ids.h"
#include "sandbox/sub_ids.h"

namespace brood {

namespace {

// Of the calling process.
std::vector<uint32_t> OwnGroups() {
  std::vector<gid_t> own(static_cast<size_t>(std::max(getgroups(0, nullptr), 0)));
  own.resize(static_cast<size_t>(std::max(getgroups(static_cast<int>(own.size()), own.data()), 0)));
  own.push_back(getegid());
  return {own.begin(), own.end()};
}

absl::Status CheckGroups(const Policy& policy, const Machine& machine) {
  if (policy.groups.empty()) return absl::OkStatus();
  const Ids& ids = policy.ids;
  if (!policy.drop_privileges) return absl::InvalidArgumentError("groups: need drop_privileges, without which the program has all of its caller's");
  if (machine.can_drop_groups && machine.can_map_any_id) {
    for (const uint32_t group : policy.groups) {
      if (policy.namespaces.count(Layer::kUser) == 0 || (group != ids.gid && group >= ids.count)) continue;
      return absl::InvalidArgumentError(absl::StrCat("groups: ", group, " is also one of the sandbox's own ids; give that other ones, by ids"));
    }
    return absl::OkStatus();
  }
  if (ids.count > 1) {
    return absl::FailedPreconditionError("groups: with several ids this caller's groups are dropped, and only root can give others; ask for an ids.count of 1");
  }
  const std::vector<uint32_t> own = OwnGroups();
  for (const uint32_t group : policy.groups) {
    if (std::find(own.begin(), own.end(), group) != own.end()) continue;
    return absl::FailedPreconditionError(absl::StrCat("groups: ", group, " is none of this caller's, and only root can give others; run brood as root, or as a member of it"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PlanIds(const Policy& policy, const Machine& machine, std::deque<std::string>* texts, ChildPlan* plan) {
  const Ids& ids = policy.ids;
  if (const absl::Status valid = CheckIds(policy); !valid.ok()) return valid;
  for (const std::string& name : policy.capabilities) plan->kept_capabilities |= *CapabilityBit(name);
  const bool usual = ids.uid == kInsideId && ids.gid == kInsideId && ids.count == 1;
  BROOD_RETURN_IF_ERROR(CheckGroups(policy, machine));
  if (policy.namespaces.count(Layer::kUser) == 0) {
    if (usual && policy.capabilities.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError("ids, capabilities: need the user namespace, outside of which they would be the machine's");
  }
  if (!policy.capabilities.empty() && !policy.drop_privileges) {
    return absl::InvalidArgumentError("capabilities: need drop_privileges, which takes all others");
  }
  plan->inside_uid = ids.uid;
  plan->inside_gid = ids.gid;
  plan->id_count = ids.count;
  if (ids.count == 1) return absl::OkStatus();
  if (machine.can_map_any_id) {
    if (machine.ranges_count == 0) {
      return absl::FailedPreconditionError(
          "ids: the user namespace that brood runs in does not have the ids from 1627389952 on, of which each sandbox would get "
          "some; run brood outside, or as a user with sub-ids. subuid(5)");
    }
    plan->sub_uid = plan->sub_gid = machine.ranges_base;
    plan->sub_ranges = machine.ranges_count / ids.count;
    return absl::OkStatus();
  }
  const SubIds own = FindSubIds(machine.uid);
  if (own.count == 0) {
    return absl::FailedPreconditionError(absl::StrCat("ids: ", own.why, "; ", own.remedy, "; or ask for a count of 1"));
  }
  if (own.count < ids.count - 1) {
    return absl::FailedPreconditionError(absl::StrCat("ids: ", ids.count, " need ", ids.count - 1, " besides the own one, and /etc/subuid and /etc/subgid have ",
                                                      own.count, " in a row; ask for a count of at most ", own.count + 1));
  }
  plan->sub_uid = own.first_uid;
  plan->sub_gid = own.first_gid;
  plan->sub_ranges = 1;
  plan->uid_mapper = texts->emplace_back(own.uid_mapper).c_str();
  plan->gid_mapper = texts->emplace_back(own.gid_mapper).c_str();
  // newgidmap leaves setgroups(2) to whoever has ids of their own. user_namespaces(7)
  plan->drop_groups = policy.drop_privileges;
  return absl::OkStatus();
}

}  // namespace brood
