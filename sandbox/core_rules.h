// Core dumps: none for a child without privileges, unless its policy asks for some.
#ifndef BROOD_SANDBOX_CORE_RULES_H_
#define BROOD_SANDBOX_CORE_RULES_H_

#include <cstdint>
#include <optional>

#include "sandbox/network_rules.h"
#include "sandbox/policy.h"

namespace brood {

// RLIMIT_CORE for a child with that limit; nothing if the caller's stays.
std::optional<uint64_t> CoreLimit(const Policy& policy, const std::optional<uint64_t>& bytes);

// Where none are wanted, a child that changes the limit is told that it has done so, and it stays: everybody may lower a
// limit, and at 0 a core_pattern that is a pipe gets dumps again.
void KeepCoreLimit(const Policy& policy, uint32_t unlisted, FilterEntries& entries);

}  // namespace brood

#endif  // BROOD_SANDBOX_CORE_RULES_H_
