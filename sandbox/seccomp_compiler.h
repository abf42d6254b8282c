// Policy -> BPF bytes, in the parent. The child only loads them.
#ifndef BROOD_SANDBOX_SECCOMP_COMPILER_H_
#define BROOD_SANDBOX_SECCOMP_COMPILER_H_

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

struct CompiledFilter {
  std::vector<sock_filter> instructions;
  bool notifies = false;      // Violations go to a listener.
  bool forbids_exec = false;  // Starting a program would itself be a violation: functions only.
};

// Compiles the filter of a policy for the native architecture. Foreign architectures, x32 and violations go to the
// listener; numbers newer than libseccomp's table, and clone3 unless a rule allows it, give ENOSYS.
//
// Errors: InvalidArgument, naming the rule: unknown system call or group, impossible argument.
absl::StatusOr<CompiledFilter> CompileFilter(const Policy& policy);

// The AUDIT_ARCH_* value of the calls that a filter looks at.
uint32_t NativeArch();

// Whether it is the name of a system call, of whatever architecture.
bool IsSyscallName(std::string_view name);

// "mount", or "unknown" if the number has no name. `arch` is an AUDIT_ARCH_* value.
std::string SyscallName(uint32_t arch, int64_t number);

// "x86_64", "x86", "x32", "aarch64", or the number in hex.
std::string ArchName(uint32_t arch, int64_t number);

}  // namespace brood

#endif  // BROOD_SANDBOX_SECCOMP_COMPILER_H_
