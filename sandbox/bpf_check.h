// Looks at a filter that somebody else has made, as the kernel does before it takes one: kernel/seccomp.c, seccomp_check_filter();
// net/core/filter.c, bpf_check_classic(). What the kernel refuses it refuses without a reason.
//
//   BROOD_ASSIGN_OR_RETURN(const std::vector<sock_filter> program, ReadBpf(file));
#ifndef BROOD_SANDBOX_BPF_CHECK_H_
#define BROOD_SANDBOX_BPF_CHECK_H_

#include <linux/filter.h>

#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// Instructions that brood has to add to another's filter: see sandbox/plan_bpf.h.
inline constexpr size_t kBpfPrelude = 5;
inline constexpr size_t kMaxBpfLength = 4096 - kBpfPrelude;  // BPF_MAXINSNS
inline constexpr size_t kMaxBpfFiles = 16;

// Errors: InvalidArgument, naming the file, the instruction and what is wrong with it.
absl::StatusOr<std::vector<sock_filter>> ReadBpf(const BpfFile& file);

}  // namespace brood

#endif  // BROOD_SANDBOX_BPF_CHECK_H_
