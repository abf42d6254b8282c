#include "sandbox/seccomp_compiler.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/core_rules.h"
#include "sandbox/errno_words.h"
#include "sandbox/filter_layout.h"
#include "sandbox/network_rules.h"
#include "sandbox/notice_child.h"
#include "sandbox/syscall_groups.h"

namespace brood {
namespace {

constexpr int kLargestGap = 32;  // Between numbers that a libseccomp knows.
constexpr uint32_t kX32Bit = 0x40000000;

absl::StatusOr<uint32_t> Action(SyscallAction action, int errno_value, std::string_view where) {
  switch (action) {
    case SyscallAction::kAllow:
      return SECCOMP_RET_ALLOW;
    case SyscallAction::kLog:
      return SECCOMP_RET_LOG;
    case SyscallAction::kKill:
      return NoticeAction(Notice::kViolation);
    case SyscallAction::kNotify:
      return NoticeAction(Notice::kReport);
    case SyscallAction::kErrno:
      if (errno_value == kSeemsToSucceed) return SECCOMP_RET_ERRNO;
      if (errno_value <= 0 || errno_value > kLargestErrno) {
        return absl::InvalidArgumentError(absl::StrCat(where, ": the action errno needs an errno value from 1 to 4095"));
      }
      return SECCOMP_RET_ERRNO | static_cast<uint32_t>(errno_value);
  }
  return absl::InvalidArgumentError(absl::StrCat(where, ": unknown action"));
}

int NumberOf(std::string_view name) { return seccomp_syscall_resolve_name(std::string(name).c_str()); }

// What can be wrong with comparisons is what their layout says.
absl::Status CheckComparisons(const std::vector<ArgumentRule>& args) {
  if (args.empty()) return absl::OkStatus();
  return LayOutFilter(seccomp_arch_native(), 0, {{0, {{{args, 0}}, 0}}}).status();
}

// Between the loading of the filter and the first instruction of the target, when nobody listens yet, brood makes these.
absl::Status CheckOwnCalls(const FilterEntries& entries, uint32_t unlisted) {
  constexpr uint32_t kReport = NoticeAction(Notice::kReport);
  for (const char* name : {"execve", "execveat", "exit_group", "write", "wait4", "close"}) {
    const auto found = entries.find(NumberOf(name));
    bool reported = found == entries.end() && unlisted == kReport;
    if (found != entries.end()) {
      reported = found->second.action.value_or(unlisted) == kReport;
      for (const FilterCase& one : found->second.cases) reported = reported || one.result == kReport;
    }
    if (!reported) continue;
    return absl::InvalidArgumentError(absl::StrCat("syscalls: the action notify is not possible for ", name,
                                                   ", which brood itself calls before the target runs"));
  }
  return absl::OkStatus();
}

absl::StatusOr<FilterEntries> CollectEntries(const Policy& policy) {
  FilterEntries entries;
  for (size_t i = 0; i < policy.syscalls.size(); ++i) {
    const SyscallRule& rule = policy.syscalls[i];
    const std::string where = absl::StrCat("syscalls[", i, "]");
    BROOD_ASSIGN_OR_RETURN(const uint32_t action, Action(rule.action, rule.errno_value, where));
    BROOD_RETURN_IF_ERROR(Annotate(CheckComparisons(rule.args), where));
    for (const std::string& name : rule.names) {
      std::vector<std::string_view> members;
      const bool group = !name.empty() && name[0] == '@';
      if (group) {
        members = SyscallGroupMembers(name);
        if (members.empty()) return absl::InvalidArgumentError(absl::StrCat(where, ": unknown system call group ", name));
      } else {
        if (!IsSyscallName(name)) return absl::InvalidArgumentError(absl::StrCat(where, ": unknown system call ", name));
        members = {name};
      }
      for (std::string_view member : members) {
        const int number = NumberOf(member);
        if (number < 0) continue;  // Of another architecture, or newer than this libseccomp: gives ENOSYS or a violation.
        FilterEntry& entry = entries[number];
        if (rule.layer < entry.layer) continue;
        if (rule.layer > entry.layer) entry = {.layer = rule.layer, .action = std::nullopt, .cases = {}};
        if (!rule.args.empty()) {
          entry.cases.push_back({rule.args, action});
        } else if (!group || !entry.by_name) {
          // Whoever names a call beside its group means that call, whichever stands first.
          entry.action = action;
          entry.by_name = !group;
        }
      }
    }
  }
  return entries;
}

int HighestKnown() {
  // Each look is a walk through all names, so not all numbers are looked up. Since Linux 5.1 all architectures number new
  // calls alike and without gaps, but for calls that one of them lacks.
  static const int highest = [] {
    int found = std::max(NumberOf("openat2"), 0);
    for (int number = found; number < found + kLargestGap; ++number) {
      std::unique_ptr<char, void (*)(void*)> name(seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), free);
      if (name != nullptr) found = number;
    }
    return found;
  }();
  return highest;
}

}  // namespace

absl::StatusOr<CompiledFilter> CompileFilter(const Policy& policy) {
  CompiledFilter filter;
  if (!policy.filter_syscalls) {
    if (!policy.syscalls.empty()) {
      return absl::InvalidArgumentError("syscalls: the policy has rules, but filter_syscalls is off");
    }
    return filter;
  }
  BROOD_ASSIGN_OR_RETURN(auto entries, CollectEntries(policy));
  BROOD_ASSIGN_OR_RETURN(const uint32_t unlisted, Action(policy.unlisted, policy.unlisted_errno, "unlisted"));
  // clone3 has its flags in memory, where a filter cannot look; libc falls back to clone on ENOSYS.
  if (const int clone3 = NumberOf("clone3"); clone3 > 0 && entries.find(clone3) == entries.end()) {
    entries[clone3].action = SECCOMP_RET_ERRNO | ENOSYS;
  }
  BROOD_RETURN_IF_ERROR(ServeConnections(policy.network, unlisted, entries));
  LeaveTcpToLandlock(policy, unlisted, entries);
  KeepCoreLimit(policy, unlisted, entries);
  KeepCpuSet(policy, unlisted, entries);
  KeepTscDisabled(policy, unlisted, entries);
  BROOD_RETURN_IF_ERROR(CheckOwnCalls(entries, unlisted));

  std::vector<FilterInterval> intervals;
  const auto highest = static_cast<uint32_t>(HighestKnown());
  for (uint32_t number = 0; number <= highest; ++number) {
    const auto found = entries.find(static_cast<int>(number));
    if (found == entries.end()) {
      intervals.push_back({number, {{}, unlisted}});
    } else {
      intervals.push_back({number, {found->second.cases, found->second.action.value_or(unlisted)}});
    }
  }
  intervals.push_back({highest + 1, {{}, SECCOMP_RET_ERRNO | ENOSYS}});
  if (seccomp_arch_native() == AUDIT_ARCH_X86_64) {
    intervals.push_back({kX32Bit, {{}, NoticeAction(Notice::kViolation)}});
    // No number, but what a tracer writes to skip a call. seccomp(2).
    intervals.push_back({std::numeric_limits<uint32_t>::max(), {{}, SECCOMP_RET_ERRNO | ENOSYS}});
  }
  const absl::StatusOr<std::vector<sock_filter>> instructions =
      LayOutFilter(seccomp_arch_native(), NoticeAction(Notice::kViolation), intervals);
  if (!instructions.ok()) return Annotate(instructions.status(), "syscalls");
  filter.instructions = *instructions;
  filter.notifies = true;  // A foreign architecture, if nothing else.
  for (const char* name : {"execve", "execveat", "exit_group"}) {
    const auto found = entries.find(NumberOf(name));
    const uint32_t action = found != entries.end() ? found->second.action.value_or(unlisted) : unlisted;
    if (action == NoticeAction(Notice::kViolation)) filter.forbids_exec = true;
    // Some arguments suffice: which brood's own call has nobody can say beforehand. No program is started by execveat.
    if (found == entries.end() || std::string_view(name) == "execveat") continue;
    for (const FilterCase& one : found->second.cases) {
      if (one.result == NoticeAction(Notice::kViolation)) filter.forbids_exec = true;
    }
  }
  return filter;
}

bool IsSyscallName(std::string_view name) {
  // A name that this architecture lacks has a negative pseudo number; __NR_SCMP_ERROR is no name at all.
  return NumberOf(name) != __NR_SCMP_ERROR;
}

uint32_t NativeArch() { return seccomp_arch_native(); }

std::string SyscallName(uint32_t arch, int64_t number) {
  uint32_t token = arch;
  if (arch == AUDIT_ARCH_X86_64 && (static_cast<uint64_t>(number) & kX32Bit) != 0) token = SCMP_ARCH_X32;
  std::unique_ptr<char, void (*)(void*)> name(seccomp_syscall_resolve_num_arch(token, static_cast<int>(number)), free);
  return name != nullptr ? std::string(name.get()) : "unknown";
}

std::string ArchName(uint32_t arch, int64_t number) {
  switch (arch) {
    case AUDIT_ARCH_X86_64:
      return (static_cast<uint64_t>(number) & kX32Bit) != 0 ? "x32" : "x86_64";
    case AUDIT_ARCH_I386:
      return "x86";
    case AUDIT_ARCH_AARCH64:
      return "aarch64";
    case AUDIT_ARCH_ARM:
      return "arm";
    default:
      return absl::StrCat("0x", absl::Hex(arch));
  }
}

}  // namespace brood
