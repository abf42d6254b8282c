#include "sandbox/ids.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace brood {
namespace {

struct Capability {
  std::string_view name;
  unsigned number;
};

constexpr Capability kCapabilities[] = {{"chown", 0}, {"dac_override", 1}, {"fowner", 3}, {"fsetid", 4},
                                        {"kill", 5},  {"setgid", 6},       {"setuid", 7}, {"net_bind_service", 10}};

absl::Status CheckGroups(const Policy& policy) {
  const std::vector<uint32_t>& groups = policy.groups;
  if (groups.empty()) return absl::OkStatus();
  if (groups.size() > kMaxGroups) return absl::InvalidArgumentError(absl::StrCat("groups: ", groups.size(), " of them; at most ", kMaxGroups));
  for (const uint32_t group : groups) {
    if (group == 0 || group > kMaxId) return absl::InvalidArgumentError(absl::StrCat("groups: expected numbers from 1, since 0 is root's, to ", kMaxId, ", got ", group));
    if (std::count(groups.begin(), groups.end(), group) > 1) return absl::InvalidArgumentError(absl::StrCat("groups: ", group, " is there twice"));
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<uint64_t> CapabilityBit(std::string_view name) {
  for (const Capability& known : kCapabilities) {
    if (known.name == name) return uint64_t{1} << known.number;
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<uint32_t>> ParseGroups(std::string_view text) {
  std::vector<uint32_t> groups;
  for (const std::string_view number : absl::StrSplit(text, ',')) {
    uint32_t group = 0;
    if (!absl::SimpleAtoi(number, &group)) return absl::InvalidArgumentError(absl::StrCat("expected numbers of groups, as in 4,44, got \"", text, "\""));
    groups.push_back(group);
  }
  return groups;
}

absl::Status CheckIds(const Policy& policy) {
  if (const absl::Status valid = CheckGroups(policy); !valid.ok()) return valid;
  const Ids& ids = policy.ids;
  if (ids.count == 0 || ids.count > kMaxIds) return absl::InvalidArgumentError(absl::StrCat("ids: count is 1 to ", kMaxIds));
  if (ids.count > 1 && std::max(ids.uid, ids.gid) >= ids.count) {
    return absl::InvalidArgumentError(absl::StrCat("ids: uid and gid must be below the count, ", ids.count));
  }
  if (std::max(ids.uid, ids.gid) > kMaxId) return absl::InvalidArgumentError(absl::StrCat("ids: uid and gid are at most ", kMaxId));
  for (const std::string& name : policy.capabilities) {
    if (CapabilityBit(name).has_value()) continue;
    const std::string known =
        absl::StrJoin(kCapabilities, ", ", [](std::string* out, const Capability& one) { absl::StrAppend(out, one.name); });
    return absl::InvalidArgumentError(
        absl::StrCat("capabilities: \"", name, "\" is none that a program can keep without undoing its sandbox; there are ", known));
  }
  return absl::OkStatus();
}

}  // namespace brood
