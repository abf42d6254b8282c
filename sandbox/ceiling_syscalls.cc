#include "sandbox/ceiling_syscalls.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/syscall_groups.h"

namespace brood::internal {
namespace {

// What an action lets through, as bits: one is within another if it has no bit that the other has not. To be logged and to
// be reported are two things, of which neither stands for the other.
using Rights = unsigned;
constexpr Rights kNothing = 0, kToFail = 1, kLogged = 3, kReported = 5, kAll = 7;

Rights RightsOf(SyscallAction action) {
  switch (action) {
    case SyscallAction::kKill:
      return kNothing;
    case SyscallAction::kErrno:
      return kToFail;
    case SyscallAction::kLog:
      return kLogged;
    case SyscallAction::kNotify:
      return kReported;
    case SyscallAction::kAllow:
      return kAll;
  }
  return kAll;
}

bool IsWithin(Rights asked, Rights ceiling) { return (asked & ~ceiling) == 0; }

using Argument = std::tuple<unsigned, int, uint64_t, uint64_t, unsigned>;

struct Case {
  std::set<Argument> args;  // All must hold.
  Rights rights = kNothing;
  auto operator<=>(const Case&) const = default;
};

// What happens with one system call, as seccomp_compiler.cc reads the rules.
struct Entry {
  unsigned layer = 0;
  std::optional<Rights> base;  // Where no case holds. Nothing: what happens to unlisted ones.
  bool by_name = false;        // That is what a rule says which names the call itself: one for its group does not count.
  std::vector<Case> cases;     // The first that holds counts.
};

using Entries = std::map<std::string, Entry, std::less<>>;

absl::StatusOr<Entries> EntriesOf(const Policy& policy) {
  Entries entries;
  for (const SyscallRule& rule : policy.syscalls) {
    Case one = {.args = {}, .rights = RightsOf(rule.action)};
    for (const auto& [index, op, value, mask, width] : rule.args) {
      one.args.emplace(index, static_cast<int>(op), value, op == ArgumentRule::Op::kMaskedEqual ? mask : 0, width);
    }
    for (const std::string& name : rule.names) {
      std::vector<std::string_view> members = {name};
      const bool group = !name.empty() && name[0] == '@';
      if (group) {
        members = SyscallGroupMembers(name);
        if (members.empty()) return absl::InvalidArgumentError(absl::StrCat("policy: syscalls: unknown group ", name));
      }
      for (const std::string_view member : members) {
        Entry& entry = entries[std::string(member)];
        if (rule.layer < entry.layer) continue;
        if (rule.layer > entry.layer) entry = {.layer = rule.layer, .base = {}, .cases = {}};
        if (!rule.args.empty()) {
          entry.cases.push_back(one);
        } else if (!group || !entry.by_name) {
          entry.base = one.rights;
          entry.by_name = !group;
        }
      }
    }
  }
  // It gives ENOSYS unless a rule names it. seccomp_compiler.cc
  Entry& clone3 = entries["clone3"];
  if (!clone3.base.has_value() && clone3.cases.empty()) clone3.base = kToFail;
  return entries;
}

struct Filter {
  std::vector<Case> cases;
  Rights base = kNothing;

  // What some arguments, and what all have.
  Rights Most() const {
    Rights most = base;
    for (const Case& one : cases) most |= one.rights;
    return most;
  }
  Rights Least() const { return base & LeastOfCases(); }
  Rights LeastOfCases() const {
    Rights least = kAll;
    for (const Case& one : cases) least &= one.rights;
    return least;
  }
};

Filter FilterOf(const Entries& entries, std::string_view name, const Policy& policy) {
  const auto found = entries.find(name);
  const Rights unlisted = RightsOf(policy.unlisted);
  if (found == entries.end()) return {.cases = {}, .base = unlisted};
  return {.cases = found->second.cases, .base = found->second.base.value_or(unlisted)};
}

// The bits of an argument that must have a value: what comparisons for equality are. Others compare no bits.
struct Bits {
  uint64_t mask = 0;
  uint64_t value = 0;
};

Bits BitsOf(const Argument& argument) {
  const auto& [index, op, value, mask, width] = argument;
  const uint64_t compared = width == 32 ? 0xffffffff : ~uint64_t{0};
  if (op == static_cast<int>(ArgumentRule::Op::kEqual)) return {compared, value};
  if (op == static_cast<int>(ArgumentRule::Op::kMaskedEqual)) return {mask & compared, value};
  return {};
}

bool Implies(const Argument& narrow, const Argument& wide) {
  if (narrow == wide) return true;
  const Bits wanted = BitsOf(wide);
  const Bits given = BitsOf(narrow);
  return std::get<0>(narrow) == std::get<0>(wide) && wanted.mask != 0 && (wanted.mask & ~given.mask) == 0 &&
         (given.value & wanted.mask) == wanted.value;
}

// Whether `wide` holds whenever `narrow` does, as far as that is seen of each argument alone.
bool Implies(const Case& narrow, const Case& wide) {
  return std::all_of(wide.args.begin(), wide.args.end(), [&](const Argument& by) {
    return std::any_of(narrow.args.begin(), narrow.args.end(), [&](const Argument& one) { return Implies(one, by); });
  });
}

// Whether the two never hold for one call.
bool Exclude(const Case& one, const Case& other) {
  return std::any_of(one.args.begin(), one.args.end(), [&](const Argument& a) {
    return std::any_of(other.args.begin(), other.args.end(), [&](const Argument& b) {
      const Bits first = BitsOf(a);
      const Bits second = BitsOf(b);
      return std::get<0>(a) == std::get<0>(b) && ((first.value ^ second.value) & first.mask & second.mask) != 0;
    });
  });
}

bool Contains(const std::vector<Case>& cases, const Case& one) { return std::find(cases.begin(), cases.end(), one) != cases.end(); }

// What the ceiling gives at the least to a call for which `asked` holds: the first of its cases that does so too counts, and which
// that is depends on the other arguments, up to one that holds for sure.
Rights LeastWhere(const Case& asked, const Filter& ceiling) {
  Rights least = kAll;
  for (const Case& one : ceiling.cases) {
    if (Exclude(asked, one)) continue;
    least &= one.rights;
    if (Implies(asked, one)) return least;
  }
  return least & ceiling.base;
}

// Each case that is asked for is no more than what the ceiling gives to the same calls.
bool AreWithin(const std::vector<Case>& asked, const Filter& ceiling) {
  return std::all_of(asked.begin(), asked.end(), [&](const Case& one) { return IsWithin(one.rights, LeastWhere(one, ceiling)); });
}

// A list of exceptions: all of the ceiling's, in their order, and others that let through no more than any of those.
bool IsWithinExceptions(const Filter& asked, const Filter& ceiling) {
  std::vector<Case> same;
  for (const Case& one : asked.cases) {
    if (Contains(ceiling.cases, one)) {
      same.push_back(one);
    } else if (!IsWithin(one.rights, ceiling.Least())) {
      return false;
    }
  }
  return same == ceiling.cases;
}

bool IsWithin(const Filter& asked, const Filter& ceiling) {
  if (IsWithin(asked.Most(), ceiling.Least())) return true;
  if (!IsWithin(asked.base, ceiling.base)) return false;
  if (asked.cases == ceiling.cases) return true;
  if (IsWithin(asked.base, ceiling.Least()) && AreWithin(asked.cases, ceiling)) return true;
  const auto all = [&](auto holds) { return std::all_of(ceiling.cases.begin(), ceiling.cases.end(), holds); };
  return all([&](const Case& one) { return IsWithin(one.rights, ceiling.base); }) && IsWithinExceptions(asked, ceiling);
}

}  // namespace

absl::Status CheckSyscalls(const Policy& ceiling, const Policy& asked) {
  if (!ceiling.filter_syscalls) return absl::OkStatus();
  if (!asked.filter_syscalls) {
    return absl::PermissionDeniedError("policy: filter_syscalls: false, which is more than the server allows");
  }
  if (!IsWithin(RightsOf(asked.unlisted), RightsOf(ceiling.unlisted))) {
    return absl::PermissionDeniedError("policy: unlisted: lets through more than the server allows");
  }
  BROOD_ASSIGN_OR_RETURN(const Entries allowed, EntriesOf(ceiling));
  BROOD_ASSIGN_OR_RETURN(const Entries wanted, EntriesOf(asked));
  for (const Entries* entries : {&allowed, &wanted}) {
    for (const auto& [name, unused] : *entries) {
      if (IsWithin(FilterOf(wanted, name, asked), FilterOf(allowed, name, ceiling))) continue;
      return absl::PermissionDeniedError(absl::StrCat("policy: syscalls: ", name, ", of which the server allows less"));
    }
  }
  return absl::OkStatus();
}

}  // namespace brood::internal
