#include "sandbox/filter_layout.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {
namespace {

using Code = std::vector<sock_filter>;

constexpr uint32_t kLow32 = 0xffffffff;
constexpr size_t kMaxJump = 255;  // What a conditional jump's distance holds. bpf(4).
// Where a test of arguments goes on, until the length of its case is known.
constexpr uint8_t kNext = 0;       // The next instruction.
constexpr uint8_t kFails = 255;    // The next case.
constexpr uint8_t kHolds = 254;    // The next test.

sock_filter Statement(unsigned code, uint32_t k) { return {static_cast<uint16_t>(code), 0, 0, k}; }
sock_filter Jump(unsigned test, uint32_t k, uint8_t yes, uint8_t no) {
  return {static_cast<uint16_t>(BPF_JMP | test | BPF_K), yes, no, k};
}
sock_filter Load(size_t offset) { return Statement(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
sock_filter Return(uint32_t result) { return Statement(BPF_RET | BPF_K, result); }

// Little endian, as every machine that brood runs on.
sock_filter LoadHalf(unsigned argument, bool high) {
  return Load(offsetof(seccomp_data, args) + argument * sizeof(uint64_t) + (high ? sizeof(uint32_t) : 0));
}

absl::Status Never(const ArgumentRule& rule, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("the comparison of argument ", rule.index, " can never hold: ", why));
}

// A narrow rule's value may be a negative number that was extended.
absl::StatusOr<ArgumentRule> Narrowed(ArgumentRule rule) {
  if (rule.width == 64) return rule;
  if (rule.width != 32) return absl::InvalidArgumentError(absl::StrCat("the width of a comparison is 32 or 64, not ", rule.width));
  const auto fits = [](uint64_t value) { return value <= kLow32 || value >= 0xffffffff80000000; };
  if (!fits(rule.value)) return Never(rule, "its value has more than 32 bits");
  if (rule.mask != std::numeric_limits<uint64_t>::max() && !fits(rule.mask)) return Never(rule, "its mask has more than 32 bits");
  rule.value &= kLow32;
  rule.mask &= kLow32;
  return rule;
}

void Compare(const ArgumentRule& rule, Code& code) {
  using Op = ArgumentRule::Op;
  const auto value_high = static_cast<uint32_t>(rule.value >> 32);
  const auto value_low = static_cast<uint32_t>(rule.value & kLow32);
  const bool wide = rule.width == 64;
  if (rule.op == Op::kMaskedEqual) {
    for (const bool high : {true, false}) {
      const auto mask = static_cast<uint32_t>(high ? rule.mask >> 32 : rule.mask & kLow32);
      if (mask == 0) continue;
      code.push_back(LoadHalf(rule.index, high));
      if (mask != kLow32) code.push_back(Statement(BPF_ALU | BPF_AND | BPF_K, mask));
      code.push_back(Jump(BPF_JEQ, high ? value_high : value_low, kNext, kFails));
    }
    return;
  }
  if (wide) {
    code.push_back(LoadHalf(rule.index, true));
    // Unless the high halves are equal they decide.
    switch (rule.op) {
      case Op::kEqual:
      case Op::kMaskedEqual:
        code.push_back(Jump(BPF_JEQ, value_high, kNext, kFails));
        break;
      case Op::kNotEqual:
        code.push_back(Jump(BPF_JEQ, value_high, kNext, kHolds));
        break;
      case Op::kGreater:
      case Op::kGreaterOrEqual:
        code.push_back(Jump(BPF_JGT, value_high, kHolds, kNext));
        code.push_back(Jump(BPF_JEQ, value_high, kNext, kFails));
        break;
      case Op::kLess:
      case Op::kLessOrEqual:
        code.push_back(Jump(BPF_JGT, value_high, kFails, kNext));
        code.push_back(Jump(BPF_JEQ, value_high, kNext, kHolds));
        break;
    }
  }
  code.push_back(LoadHalf(rule.index, false));
  switch (rule.op) {
    case Op::kEqual:
    case Op::kMaskedEqual:
      code.push_back(Jump(BPF_JEQ, value_low, kNext, kFails));
      break;
    case Op::kNotEqual:
      code.push_back(Jump(BPF_JEQ, value_low, kFails, kNext));
      break;
    case Op::kGreater:
      code.push_back(Jump(BPF_JGT, value_low, kNext, kFails));
      break;
    case Op::kGreaterOrEqual:
      code.push_back(Jump(BPF_JGE, value_low, kNext, kFails));
      break;
    case Op::kLess:
      code.push_back(Jump(BPF_JGE, value_low, kFails, kNext));
      break;
    case Op::kLessOrEqual:
      code.push_back(Jump(BPF_JGT, value_low, kFails, kNext));
      break;
  }
}

void Patch(Code& code, size_t begin, uint8_t mark, size_t target) {
  for (size_t i = begin; i < code.size(); ++i) {
    if (BPF_CLASS(code[i].code) != BPF_JMP) continue;
    for (__u8* jump : {&code[i].jt, &code[i].jf}) {
      if (*jump == mark) *jump = static_cast<uint8_t>(target - i - 1);
    }
  }
}

absl::Status AppendCase(const FilterCase& from, Code& code) {
  const size_t begin = code.size();
  Code own;
  for (const ArgumentRule& given : from.args) {
    if (given.index > 5) return absl::InvalidArgumentError(absl::StrCat("an argument's index must be 0 to 5, not ", given.index));
    BROOD_ASSIGN_OR_RETURN(const ArgumentRule rule, Narrowed(given));
    if (rule.op == ArgumentRule::Op::kMaskedEqual && (rule.value & ~rule.mask) != 0) {
      return Never(rule, "its value has bits that its mask lacks");
    }
    const size_t test = own.size();
    Compare(rule, own);
    Patch(own, test, kHolds, own.size());
  }
  own.push_back(Return(from.result));
  // Below the marks as well.
  if (own.size() >= kHolds) return absl::InvalidArgumentError("too many comparisons in one rule");
  Patch(own, 0, kFails, own.size());
  code.insert(code.begin() + static_cast<std::ptrdiff_t>(begin), own.begin(), own.end());
  return absl::OkStatus();
}

absl::StatusOr<Code> Search(const std::vector<FilterInterval>& intervals, size_t begin, size_t end) {
  Code code;
  if (end - begin == 1) {
    const FilterDecision& decision = intervals[begin].decision;
    for (const FilterCase& one : decision.cases) BROOD_RETURN_IF_ERROR(AppendCase(one, code));
    code.push_back(Return(decision.otherwise));
    return code;
  }
  const size_t middle = begin + (end - begin) / 2;
  BROOD_ASSIGN_OR_RETURN(const Code below, Search(intervals, begin, middle));
  BROOD_ASSIGN_OR_RETURN(const Code above, Search(intervals, middle, end));
  if (below.size() <= kMaxJump) {
    code.push_back(Jump(BPF_JGE, intervals[middle].first, static_cast<uint8_t>(below.size()), 0));
  } else {
    code.push_back(Jump(BPF_JGE, intervals[middle].first, 0, 1));
    code.push_back(Statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(below.size())));  // Has 32 bits.
  }
  code.insert(code.end(), below.begin(), below.end());
  code.insert(code.end(), above.begin(), above.end());
  return code;
}

bool SameResult(const FilterDecision& a, const FilterDecision& b) {
  return a.cases.empty() && b.cases.empty() && a.otherwise == b.otherwise;
}

}  // namespace

absl::StatusOr<std::vector<sock_filter>> LayOutFilter(uint32_t arch, uint32_t foreign,
                                                      const std::vector<FilterInterval>& intervals) {
  std::vector<FilterInterval> merged;
  for (const FilterInterval& interval : intervals) {
    if (merged.empty() || !SameResult(merged.back().decision, interval.decision)) merged.push_back(interval);
  }
  BROOD_ASSIGN_OR_RETURN(const Code search, Search(merged, 0, merged.size()));
  Code code = {Load(offsetof(seccomp_data, arch)), Jump(BPF_JEQ, arch, 1, 0), Return(foreign),
               Load(offsetof(seccomp_data, nr))};
  code.insert(code.end(), search.begin(), search.end());
  if (code.size() > BPF_MAXINSNS) {
    return absl::InvalidArgumentError(
        absl::StrCat("the filter has ", code.size(), " instructions, the kernel takes ", BPF_MAXINSNS));
  }
  return code;
}

}  // namespace brood
