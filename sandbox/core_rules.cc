#include "sandbox/core_rules.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "sandbox/notice_child.h"

namespace brood {
namespace {

using Op = ArgumentRule::Op;

// One byte stands for none: a core_pattern that is a pipe ignores a limit of 0, but not 1, and a file is never cut to one
// byte. core(5); fs/coredump.c, "RLIMIT_CORE of 1".
constexpr uint64_t kNone = 1;

void Prepend(const char* name, std::vector<ArgumentRule> args, uint32_t result, uint32_t unlisted, FilterEntries& entries) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number < 0) return;  // Not of this architecture.
  FilterEntry& entry = entries[number];
  if (!entry.action.has_value()) entry.action = unlisted;
  entry.cases.insert(entry.cases.begin(), {std::move(args), result});
}

}  // namespace

std::optional<uint64_t> CoreLimit(const Policy& policy, const std::optional<uint64_t>& bytes) {
  if (!bytes && !policy.drop_privileges) return std::nullopt;
  return std::max(bytes.value_or(0), kNone);
}

void KeepCoreLimit(const Policy& policy, uint32_t unlisted, FilterEntries& entries) {
  const std::optional<uint64_t>& bytes = policy.limits.core_bytes ? policy.limits.core_bytes : policy.default_limits.core_bytes;
  if (CoreLimit(policy, bytes) != kNone) return;
  const auto is_core = [](unsigned index) { return ArgumentRule{.index = index, .op = Op::kEqual, .value = RLIMIT_CORE, .width = 32}; };
  const auto given = [](unsigned index) { return ArgumentRule{.index = index, .op = Op::kNotEqual, .value = 0}; };
  // Nothing would write the old limit to where it is asked for: that is refused. The other case is in front of it.
  Prepend("prlimit64", {is_core(1), given(2)}, SECCOMP_RET_ERRNO | EINVAL, unlisted, entries);
  Prepend("prlimit64", {is_core(1), given(2), {.index = 3, .op = Op::kEqual, .value = 0}}, SECCOMP_RET_ERRNO, unlisted, entries);
  Prepend("setrlimit", {is_core(0)}, SECCOMP_RET_ERRNO, unlisted, entries);
}

void KeepCpuSet(const Policy& policy, uint32_t unlisted, FilterEntries& entries) {
  if (!policy.limits.cpu_set && !policy.default_limits.cpu_set) return;
  FilterEntry& entry = entries[seccomp_syscall_resolve_name("sched_setaffinity")];
  const uint32_t action = entry.action.value_or(unlisted);
  const bool refused = action == NoticeAction(Notice::kViolation) || (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
  if (!refused || !entry.cases.empty()) entry = {.layer = entry.layer, .action = SECCOMP_RET_ERRNO | EPERM, .cases = {}};
}

void KeepTscDisabled(const Policy& policy, uint32_t unlisted, FilterEntries& entries) {
  if (!policy.process.disable_tsc) return;
  Prepend("prctl", {{.index = 0, .op = Op::kEqual, .value = PR_SET_TSC, .width = 32}}, SECCOMP_RET_ERRNO | EPERM, unlisted, entries);
}

}  // namespace brood
