#include <linux/seccomp.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "batch/policy_json.h"
#include "cli/allowing_line.h"
#include "sandbox/filter_answers.h"
#include "sandbox/learn/policy_text.h"
#include "sandbox/notice_child.h"
#include "sandbox/policy.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

bool Allows(const std::string& text, const PolicyOptions& options, const Violation& violation) {
  absl::StatusOr<Policy> policy = ParsePolicy(text, "policy");
  if (!policy.ok() || !ApplyPolicyOptions(options, *policy).ok()) return false;
  const absl::StatusOr<CompiledFilter> filter = CompileFilter(*policy);
  if (!filter.ok()) return false;
  uint64_t args[6];
  std::copy(violation.args.begin(), violation.args.end(), std::begin(args));
  return AnswerTo(filter->instructions.data(), filter->instructions.size(), static_cast<uint32_t>(violation.number), args) !=
         NoticeAction(Notice::kViolation);
}

std::string WithLineFirst(std::string text, const std::string& line) {
  const std::vector<TextRange> rules = ListElements(text, {"syscalls"});
  if (rules.empty()) return AddToList(std::move(text), {"syscalls"}, {{line, ""}});
  return text.insert(rules.front().begin, absl::StrCat(line, ", "));
}

}  // namespace

LinePlace PlaceOfLine(const std::string& text, const std::string& line, const PolicyOptions& options, const Violation& violation) {
  const std::string last = AddToList(text, {"syscalls"}, {{line, ""}});
  if (Allows(last, options, violation)) return LinePlace::kAnywhere;
  const std::string first = WithLineFirst(text, line);
  if (Allows(first, options, violation)) return LinePlace::kFirst;
  return Allows(last, {}, violation) || Allows(first, {}, violation) ? LinePlace::kOptions : LinePlace::kNowhere;
}

}  // namespace brood
