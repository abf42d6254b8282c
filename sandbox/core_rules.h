// What a child must not undo though its policy allows the call: its limit of core dumps, and its set of CPUs.
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

// Where there is a set of CPUs, calls that would change it fail: an affinity is anybody's to widen. sched_setaffinity(2)
void KeepCpuSet(const Policy& policy, uint32_t unlisted, FilterEntries& entries);

// Where the time stamp counter is disabled, what would enable it again fails. PR_SET_TSC(2const)
void KeepTscDisabled(const Policy& policy, uint32_t unlisted, FilterEntries& entries);

}  // namespace brood

#endif  // BROOD_SANDBOX_CORE_RULES_H_
