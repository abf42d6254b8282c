#include "sandbox/seccomp_compiler.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "sandbox/syscall_groups.h"

namespace brood {
namespace {

// libseccomp takes SCMP_ACT_NOTIFY neither as default nor for a foreign architecture. A trace action with this number
// stands for a violation until the program is made, and is replaced in it.
constexpr uint16_t kViolationMark = 0x7b0d;
constexpr int kMaxSyscall = 1024;
constexpr uint32_t kX32Bit = 0x40000000;

struct Conditional {
  std::vector<ArgumentRule> args;
  uint32_t action = 0;
};

// What is to happen with one system call.
struct Entry {
  unsigned layer = 0;                      // Of the rules below: those of a higher layer replace them.
  std::optional<uint32_t> action;          // Unconditional.
  std::vector<Conditional> conditionals;   // Looked at before it.
};

absl::StatusOr<uint32_t> Action(SyscallAction action, int errno_value, std::string_view where) {
  switch (action) {
    case SyscallAction::kAllow:
      return SCMP_ACT_ALLOW;
    case SyscallAction::kLog:
      return SCMP_ACT_LOG;
    case SyscallAction::kKill:
      return SCMP_ACT_TRACE(kViolationMark);
    case SyscallAction::kErrno:
      if (errno_value <= 0 || errno_value > 4095) {
        return absl::InvalidArgumentError(absl::StrCat(where, ": the action errno needs an errno value from 1 to 4095"));
      }
      return SCMP_ACT_ERRNO(static_cast<uint32_t>(errno_value));
  }
  return absl::InvalidArgumentError(absl::StrCat(where, ": unknown action"));
}

int NumberOf(std::string_view name) { return seccomp_syscall_resolve_name(std::string(name).c_str()); }

bool KnownAnywhere(std::string_view name) {
  // A name that this architecture lacks has a negative pseudo number; __NR_SCMP_ERROR is no name at all.
  return NumberOf(name) != __NR_SCMP_ERROR;
}

absl::StatusOr<std::map<int, Entry>> CollectEntries(const Policy& policy) {
  std::map<int, Entry> entries;
  for (size_t i = 0; i < policy.syscalls.size(); ++i) {
    const SyscallRule& rule = policy.syscalls[i];
    const std::string where = absl::StrCat("syscalls[", i, "]");
    BROOD_ASSIGN_OR_RETURN(const uint32_t action, Action(rule.action, rule.errno_value, where));
    for (const ArgumentRule& argument : rule.args) {
      if (argument.index > 5) {
        return absl::InvalidArgumentError(absl::StrCat(where, ": an argument's index must be 0 to 5, not ", argument.index));
      }
    }
    for (const std::string& name : rule.names) {
      std::vector<std::string_view> members;
      const bool group = !name.empty() && name[0] == '@';
      if (group) {
        members = SyscallGroupMembers(name);
        if (members.empty()) return absl::InvalidArgumentError(absl::StrCat(where, ": unknown system call group ", name));
      } else {
        if (!KnownAnywhere(name)) return absl::InvalidArgumentError(absl::StrCat(where, ": unknown system call ", name));
        members = {name};
      }
      for (std::string_view member : members) {
        const int number = NumberOf(member);
        if (number < 0) continue;  // Of another architecture, or newer than this libseccomp: gives ENOSYS or a violation.
        Entry& entry = entries[number];
        if (rule.layer < entry.layer) continue;
        if (rule.layer > entry.layer) entry = Entry{rule.layer, std::nullopt, {}};
        if (rule.args.empty()) {
          entry = Entry{rule.layer, action, {}};
        } else {
          entry.conditionals.push_back({rule.args, action});
        }
      }
    }
  }
  return entries;
}

scmp_arg_cmp Compare(const ArgumentRule& rule) {
  const auto index = rule.index;
  switch (rule.op) {
    case ArgumentRule::Op::kEqual:
      return SCMP_CMP(index, SCMP_CMP_EQ, rule.value);
    case ArgumentRule::Op::kNotEqual:
      return SCMP_CMP(index, SCMP_CMP_NE, rule.value);
    case ArgumentRule::Op::kLess:
      return SCMP_CMP(index, SCMP_CMP_LT, rule.value);
    case ArgumentRule::Op::kLessOrEqual:
      return SCMP_CMP(index, SCMP_CMP_LE, rule.value);
    case ArgumentRule::Op::kGreater:
      return SCMP_CMP(index, SCMP_CMP_GT, rule.value);
    case ArgumentRule::Op::kGreaterOrEqual:
      return SCMP_CMP(index, SCMP_CMP_GE, rule.value);
    case ArgumentRule::Op::kMaskedEqual:
      return SCMP_CMP(index, SCMP_CMP_MASKED_EQ, rule.mask, rule.value);
  }
  return {};
}

sock_filter Statement(unsigned code, uint32_t k) { return {static_cast<uint16_t>(code), 0, 0, k}; }
sock_filter Jump(unsigned code, uint32_t k, uint8_t yes, uint8_t no) { return {static_cast<uint16_t>(code), yes, no, k}; }

uint32_t ReturnOf(uint32_t action) { return action; }  // libseccomp's action numbers are the kernel's. seccomp_init(3).

constexpr uint32_t kNumberOffset = offsetof(seccomp_data, nr);
constexpr uint32_t kArchOffset = offsetof(seccomp_data, arch);

uint32_t ArgumentOffset(unsigned index, bool high) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + index * 8 + (high ? 4 : 0));  // Little endian.
}

// Exceptions to an unconditional rule, which libseccomp cannot express: it drops the conditions then.
absl::Status AppendExceptions(int number, const Entry& entry, std::vector<sock_filter>* out) {
  std::vector<sock_filter> body;
  for (const Conditional& conditional : entry.conditionals) {
    std::vector<sock_filter> test;
    for (const ArgumentRule& rule : conditional.args) {
      if (rule.op != ArgumentRule::Op::kEqual && rule.op != ArgumentRule::Op::kMaskedEqual) {
        return absl::InvalidArgumentError(
            absl::StrCat("syscalls: ", SyscallName(seccomp_arch_native(), number),
                         ": an exception to a rule without args can use the operators == and &== only"));
      }
      const uint64_t mask = rule.op == ArgumentRule::Op::kEqual ? ~uint64_t{0} : rule.mask;
      for (bool high : {false, true}) {
        const uint32_t part = static_cast<uint32_t>(high ? mask >> 32 : mask);
        const uint32_t value = static_cast<uint32_t>(high ? rule.value >> 32 : rule.value);
        if (part == 0 && value == 0) continue;
        test.push_back(Statement(BPF_LD | BPF_W | BPF_ABS, ArgumentOffset(rule.index, high)));
        if (part != 0xffffffff) test.push_back(Statement(BPF_ALU | BPF_AND | BPF_K, part));
        test.push_back(Jump(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));  // Patched: on to the next test.
      }
    }
    test.push_back(Statement(BPF_RET | BPF_K, ReturnOf(conditional.action)));
    for (size_t i = 0; i + 1 < test.size(); ++i) {
      if (BPF_CLASS(test[i].code) == BPF_JMP) test[i].jf = static_cast<uint8_t>(test.size() - 1 - i);
    }
    body.insert(body.end(), test.begin(), test.end());
  }
  if (body.size() > 250) return absl::InvalidArgumentError("syscalls: too many exceptions for one system call");
  out->push_back(Statement(BPF_LD | BPF_W | BPF_ABS, kNumberOffset));
  out->push_back(Jump(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, static_cast<uint8_t>(body.size())));
  out->insert(out->end(), body.begin(), body.end());
  return absl::OkStatus();
}

int HighestKnown() {
  static const int highest = [] {
    int found = 0;
    for (int number = 0; number < kMaxSyscall; ++number) {
      std::unique_ptr<char, void (*)(void*)> name(seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), free);
      if (name != nullptr) found = number;
    }
    return found;
  }();
  return highest;
}

// What is decided before libseccomp's part: numbers that are newer than its table, and exceptions.
absl::StatusOr<std::vector<sock_filter>> Prefix(const std::map<int, Entry>& entries) {
  std::vector<sock_filter> body;
  body.push_back(Statement(BPF_LD | BPF_W | BPF_ABS, kNumberOffset));
  body.push_back(Jump(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0));
  body.push_back(Jump(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(HighestKnown()), 0, 1));
  body.push_back(Statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  for (const auto& [number, entry] : entries) {
    if (!entry.action.has_value() || entry.conditionals.empty()) continue;
    BROOD_RETURN_IF_ERROR(AppendExceptions(number, entry, &body));
  }
  std::vector<sock_filter> prefix;
  prefix.push_back(Statement(BPF_LD | BPF_W | BPF_ABS, kArchOffset));
  // seccomp_arch_native() is the kernel's AUDIT_ARCH_* value. seccomp_arch_add(3). A jump of "always" has 32 bits.
  prefix.push_back(Jump(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 1, 0));
  prefix.push_back(Statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(body.size())));
  prefix.insert(prefix.end(), body.begin(), body.end());
  return prefix;
}

absl::StatusOr<std::vector<sock_filter>> Export(scmp_filter_ctx context) {
  UniqueFd file(memfd_create("brood-filter", MFD_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, "memfd_create");
  const int result = seccomp_export_bpf(context, file.get());
  if (result != 0) return ErrnoStatus(-result, "seccomp_export_bpf");
  const off_t size = lseek(file.get(), 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<size_t>(size) / sizeof(sock_filter));
  if (pread(file.get(), program.data(), static_cast<size_t>(size), 0) != size) return ErrnoStatus(errno, "read the filter");
  return program;
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
    entries[clone3].action = SCMP_ACT_ERRNO(ENOSYS);
  }

  std::unique_ptr<void, void (*)(void*)> context(seccomp_init(unlisted), [](void* c) { seccomp_release(c); });
  if (context == nullptr) return absl::InternalError("seccomp_init failed");
  seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRACE(kViolationMark));
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // A binary tree. Ignored by libseccomp before 2.5.
  for (const auto& [number, entry] : entries) {
    int result = 0;
    if (entry.action.has_value()) {
      if (*entry.action != unlisted) result = seccomp_rule_add_array(context.get(), *entry.action, number, 0, nullptr);
    } else {
      for (const Conditional& conditional : entry.conditionals) {
        if (conditional.action == unlisted) continue;  // libseccomp refuses a rule that says what the default says.
        std::vector<scmp_arg_cmp> compares;
        for (const ArgumentRule& argument : conditional.args) compares.push_back(Compare(argument));
        result = seccomp_rule_add_array(context.get(), conditional.action, number, static_cast<unsigned>(compares.size()),
                                        compares.data());
        if (result != 0) break;
      }
    }
    if (result != 0) {
      return absl::InvalidArgumentError(absl::StrCat("syscalls: the rules for ", SyscallName(seccomp_arch_native(), number),
                                                     " contradict each other or use one argument twice: ",
                                                     ErrnoText(-result)));
    }
  }
  for (const char* name : {"execve", "execveat", "exit_group"}) {
    const auto found = entries.find(NumberOf(name));
    const uint32_t action = found != entries.end() ? found->second.action.value_or(unlisted) : unlisted;
    if (action == SCMP_ACT_TRACE(kViolationMark)) filter.forbids_exec = true;
  }
  BROOD_ASSIGN_OR_RETURN(std::vector<sock_filter> main, Export(context.get()));
  BROOD_ASSIGN_OR_RETURN(filter.instructions, Prefix(entries));
  filter.instructions.insert(filter.instructions.end(), main.begin(), main.end());
  for (sock_filter& instruction : filter.instructions) {
    if (instruction.code == (BPF_RET | BPF_K) && instruction.k == SCMP_ACT_TRACE(kViolationMark)) {
      instruction.k = SECCOMP_RET_USER_NOTIF;
      filter.notifies = true;
    }
  }
  if (filter.instructions.size() > BPF_MAXINSNS) {
    return absl::InvalidArgumentError(
        absl::StrCat("syscalls: the filter has ", filter.instructions.size(), " instructions, the kernel takes ", BPF_MAXINSNS));
  }
  return filter;
}

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
