#include "benchmarks/goal.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace brood {
namespace {

std::optional<double> P50(const std::vector<Row>& rows, const std::string& contestant) {
  for (const Row& row : rows) {
    if (row.contestant == contestant && row.p50_us > 0) return row.p50_us;
  }
  return std::nullopt;
}

double Measure(Goal::Kind kind, double own_us, double other_us) {
  switch (kind) {
    case Goal::Kind::kAtMostMicroseconds:
    case Goal::Kind::kAtMostKibibytes:
      return own_us;
    case Goal::Kind::kAtMostTimes:
      return own_us / other_us;
    case Goal::Kind::kAtLeastTimesFaster:
      return other_us / own_us;
    case Goal::Kind::kAtMostMoreNanoseconds:
      return (own_us - other_us) * 1000;
  }
  return 0;
}

}  // namespace

std::vector<Verdict> Judge(const std::vector<Goal>& goals, const std::vector<Contest>& contests) {
  std::vector<Verdict> verdicts;
  for (const Goal& goal : goals) {
    for (const Contest& contest : contests) {
      if (contest.workload() != goal.workload) continue;
      const std::vector<Row> rows = contest.Rows();
      const std::optional<double> own = P50(rows, goal.contestant);
      const std::optional<double> other = goal.against.empty() ? own : P50(rows, goal.against);
      Verdict verdict = {.goal = goal, .measured = std::nullopt};
      if (own.has_value() && other.has_value()) {
        verdict.measured = Measure(goal.kind, *own, *other);
      }
      verdicts.push_back(std::move(verdict));
    }
  }
  return verdicts;
}

std::string GoalText(const Goal& goal) {
  if (goal.kind == Goal::Kind::kAtMostTimes) {
    return absl::StrFormat("%s: %s at most %g times %s", goal.workload, goal.contestant, goal.limit, goal.against);
  }
  if (goal.kind == Goal::Kind::kAtMostMoreNanoseconds) {
    return absl::StrFormat("%s: %s at most %g ns more than %s", goal.workload, goal.contestant, goal.limit, goal.against);
  }
  if (goal.kind == Goal::Kind::kAtMostMicroseconds) {
    return absl::StrFormat("%s: %s at most %g us", goal.workload, goal.contestant, goal.limit);
  }
  if (goal.kind == Goal::Kind::kAtMostKibibytes) {
    return absl::StrFormat("%s: %s at most %g KiB", goal.workload, goal.contestant, goal.limit);
  }
  return absl::StrFormat("%s: %s at least %g times faster than %s", goal.workload, goal.contestant, goal.limit,
                         goal.against);
}

std::optional<bool> IsMet(const Verdict& verdict) {
  if (!verdict.measured.has_value()) return std::nullopt;
  return verdict.goal.kind == Goal::Kind::kAtLeastTimesFaster ? *verdict.measured >= verdict.goal.limit
                                                              : *verdict.measured <= verdict.goal.limit;
}

std::string VerdictName(const Verdict& verdict) {
  const std::optional<bool> met = IsMet(verdict);
  return !met.has_value() ? "not measured" : *met ? "met" : "missed";
}

}  // namespace brood
