// The ids and capabilities that a policy gives to a program: which there can be.
#ifndef BROOD_SANDBOX_IDS_H_
#define BROOD_SANDBOX_IDS_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// The bit in the kernel's sets of a capability that a program may keep: one that counts for the ids, files and processes of its
// own user namespace alone. With any other what was set up could be undone; they give nothing. capabilities(7)
std::optional<uint64_t> CapabilityBit(std::string_view name);

// "4,44": numbers of groups. Errors: InvalidArgument, what was expected.
absl::StatusOr<std::vector<uint32_t>> ParseGroups(std::string_view text);

// Errors: InvalidArgument naming the field and what was expected.
absl::Status CheckIds(const Policy& policy);

}  // namespace brood

#endif  // BROOD_SANDBOX_IDS_H_
