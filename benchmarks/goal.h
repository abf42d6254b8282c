// What is wanted of a contestant: of its p50, or of the ratio or difference to that of another of the same contest, in one run.
#ifndef BROOD_BENCHMARKS_GOAL_H_
#define BROOD_BENCHMARKS_GOAL_H_

#include <optional>
#include <string>
#include <vector>

#include "benchmarks/contest.h"

namespace brood {

struct Goal {
  enum class Kind {
    kAtMostTimes,         // contestant / against <= limit
    kAtLeastTimesFaster,  // against / contestant >= limit
    kAtMostMoreNanoseconds,  // contestant - against <= limit
    kAtMostMicroseconds,     // contestant <= limit; on a machine that does nothing else
    kAtMostKibibytes,        // contestant <= limit
  };
  std::string id;  // Of one word, the same in every version.
  std::string workload;
  std::string contestant;
  Kind kind = Kind::kAtMostTimes;
  std::string against;
  double limit = 0;
};

struct Verdict {
  Goal goal;
  std::optional<double> measured;  // Ratio or difference; nothing if one of the two has no row.
};

// The goals whose workload is among the contests.
std::vector<Verdict> Judge(const std::vector<Goal>& goals, const std::vector<Contest>& contests);

std::string GoalText(const Goal& goal);            // "start and join: spawn at least 15 times faster than CPython, spawn"
std::string VerdictName(const Verdict& verdict);   // "met", "missed", "not measured"
std::optional<bool> IsMet(const Verdict& verdict);  // Nothing if it was not measured.

}  // namespace brood

#endif  // BROOD_BENCHMARKS_GOAL_H_
