#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "batch/scheduler.h"

namespace brood {

absl::StatusOr<HaltRule> ParseHaltRule(std::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("expected never, or now or soon with fail=N or fail=N%: soon,fail=3; got \"", text, "\""));
  if (text == "never") return HaltRule{};
  HaltRule rule;
  if (absl::ConsumePrefix(&text, "now,fail=")) {
    rule.when = HaltRule::When::kNow;
  } else if (absl::ConsumePrefix(&text, "soon,fail=")) {
    rule.when = HaltRule::When::kSoon;
  } else {
    return bad;
  }
  if (absl::ConsumeSuffix(&text, "%")) {
    if (!absl::SimpleAtod(text, &rule.percent) || !(rule.percent > 0 && rule.percent <= 100)) return bad;
  } else if (!absl::SimpleAtoi(text, &rule.failures) || rule.failures == 0) {
    return bad;
  }
  return rule;
}

absl::StatusOr<int> ParseParallel(std::string_view text) {
  constexpr int kMax = 10'000;
  const std::string_view whole = text;
  int number = 0;
  const bool percent = absl::ConsumeSuffix(&text, "%");
  if (!absl::SimpleAtoi(text, &number) || number < 1 || number > kMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected 1 to ", kMax, ", or a percentage of the CPUs such as 50%; got \"", whole, "\""));
  }
  return percent ? std::max(1, AvailableCpus() * number / 100) : number;
}

}  // namespace brood
