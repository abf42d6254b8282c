// The measurements of several contests, and what was wanted of them, as a table and as JSON.
#ifndef BROOD_BENCHMARKS_REPORT_H_
#define BROOD_BENCHMARKS_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "benchmarks/contest.h"
#include "benchmarks/goal.h"

namespace brood {

// On stdout.
void PrintContest(const Contest& contest);
void PrintVerdicts(const std::vector<Verdict>& verdicts);

// {"v": 1, "rows": [...], "goals": [{"id", "what", "goal", "measured", "met"}, ...], "skipped": [...]}: the goal and what was
// measured are ratios of medians, null where there is none.
absl::Status WriteJson(const std::vector<Contest>& contests, const std::vector<Verdict>& verdicts,
                       const std::string& path);

}  // namespace brood

#endif  // BROOD_BENCHMARKS_REPORT_H_
