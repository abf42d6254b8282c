#include "sandbox/ids.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace brood {
namespace {

struct Capability {
  std::string_view name;
  unsigned number;
};

constexpr Capability kCapabilities[] = {{"chown", 0}, {"dac_override", 1}, {"fowner", 3}, {"fsetid", 4},
                                        {"kill", 5},  {"setgid", 6},       {"setuid", 7}, {"net_bind_service", 10}};

}  // namespace

std::optional<uint64_t> CapabilityBit(std::string_view name) {
  for (const Capability& known : kCapabilities) {
    if (known.name == name) return uint64_t{1} << known.number;
  }
  return std::nullopt;
}

absl::Status CheckIds(const Policy& policy) {
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
