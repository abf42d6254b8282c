#include "benchmarks/report.h"

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "base/status.h"

namespace brood {

void PrintContest(const Contest& contest) {
  bool first = true;
  for (const Row& row : contest.Rows()) {
    if (first) {
      absl::PrintF("%-24s %7s %10s %10s %10s %9s\n", row.workload, "n", "p50 " + contest.unit(), "p99 " + contest.unit(),
                   contest.unit() == "us" ? "per second" : "", "p50/floor");
    }
    first = false;
    // Of what takes less than a microsecond the first digits are of interest.
    const int digits = row.p50_us < 10 ? 2 : row.p50_us < 100 ? 1 : 0;
    const std::string rate = contest.unit() == "us" ? absl::StrFormat("%.0f", row.per_second) : "";
    absl::PrintF("  %-22s %7d %10.*f %10.*f %10s %9.2f\n", row.contestant, row.n, digits, row.p50_us, digits, row.p99_us, rate,
                 row.ratio_to_floor);
  }
  for (const Skipped& skipped : contest.skipped()) {
    absl::PrintF("  %-22s skipped: %s\n", skipped.contestant, skipped.reason);
  }
  fflush(stdout);  // The next contest may take minutes.
}

void PrintVerdicts(const std::vector<Verdict>& verdicts) {
  if (verdicts.empty()) return;
  absl::PrintF("%-74s %9s  %s\n", "goal", "measured", "verdict");
  for (const Verdict& verdict : verdicts) {
    const std::string measured = verdict.measured.has_value() ? absl::StrFormat("%.2f", *verdict.measured) : "-";
    absl::PrintF("  %-72s %9s  %s\n", GoalText(verdict.goal), measured, VerdictName(verdict));
  }
}

absl::Status WriteJson(const std::vector<Contest>& contests, const std::vector<Verdict>& verdicts,
                       const std::string& path) {
  nlohmann::json rows = nlohmann::json::array();
  nlohmann::json skips = nlohmann::json::array();
  for (const Contest& contest : contests) {
    for (const Row& row : contest.Rows()) {
      nlohmann::json written = {
          {"workload", row.workload}, {"contestant", row.contestant}, {"n", row.n}, {"ratio_to_floor", row.ratio_to_floor}};
      written["p50_" + contest.unit()] = row.p50_us;
      written["p99_" + contest.unit()] = row.p99_us;
      if (contest.unit() == "us") written["per_second"] = row.per_second;
      rows.push_back(std::move(written));
    }
    for (const Skipped& skip : contest.skipped()) {
      skips.push_back({{"workload", skip.workload}, {"contestant", skip.contestant}, {"reason", skip.reason}});
    }
  }
  nlohmann::json goals = nlohmann::json::array();
  for (const Verdict& verdict : verdicts) {
    const Goal& goal = verdict.goal;
    nlohmann::json measured, met;  // null: not measured.
    if (verdict.measured.has_value()) measured = *verdict.measured;
    if (IsMet(verdict).has_value()) met = *IsMet(verdict);
    goals.push_back(
        {{"id", goal.id}, {"what", GoalText(goal)}, {"goal", goal.limit}, {"measured", measured}, {"met", met}});
  }
  const nlohmann::json whole = {{"v", 1}, {"rows", rows}, {"goals", goals}, {"skipped", skips}};
  const std::string text = whole.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  FILE* file = fopen(path.c_str(), "we");
  if (file == nullptr) return ErrnoStatus(errno, "open", path);
  const bool written = fwrite(text.data(), 1, text.size(), file) == text.size();
  return fclose(file) == 0 && written ? absl::OkStatus() : ErrnoStatus(errno, "write", path);
}

}  // namespace brood
