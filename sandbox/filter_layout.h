// Decisions about system calls -> BPF instructions: a binary search over intervals of numbers with the same decision, then
// the comparisons of arguments. Some 80 instructions for 300 rules, and eight comparisons to any of them.
#ifndef BROOD_SANDBOX_FILTER_LAYOUT_H_
#define BROOD_SANDBOX_FILTER_LAYOUT_H_

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// What a filter returns if all of `args` hold.
struct FilterCase {
  std::vector<ArgumentRule> args;
  uint32_t result = 0;  // SECCOMP_RET_*, with its data.
};

struct FilterDecision {
  std::vector<FilterCase> cases;  // The first that holds counts.
  uint32_t otherwise = 0;
};

// From this number on, until the next interval begins.
struct FilterInterval {
  uint32_t first = 0;
  FilterDecision decision;
};

// `intervals` begin with number 0 and are in order. Calls of an architecture other than `arch` (AUDIT_ARCH_*) return
// `foreign`.
//
// Errors: InvalidArgument: a comparison that no number can pass, too many of them, a filter that is too long for the kernel.
absl::StatusOr<std::vector<sock_filter>> LayOutFilter(uint32_t arch, uint32_t foreign,
                                                      const std::vector<FilterInterval>& intervals);

}  // namespace brood

#endif  // BROOD_SANDBOX_FILTER_LAYOUT_H_
