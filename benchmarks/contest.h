// Measures contestants side by side: each round runs every one of them, in an order of its own, so that whatever
// else the machine does hits all alike. Ratios within one run are worth comparing; times are not.
//
//   Contest contest("program", "vfork+exec+wait");
//   contest.Add("vfork+exec+wait", [] { ... return absl::OkStatus(); });
//   contest.Add("library, strict", [&] { ... });
//   contest.Run(300);
//   for (const Row& row : contest.Rows()) ...
#ifndef BROOD_BENCHMARKS_CONTEST_H_
#define BROOD_BENCHMARKS_CONTEST_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace brood {

struct Row {
  std::string workload;
  std::string contestant;
  int n = 0;
  double p50_us = 0;
  double p99_us = 0;
  double per_second = 0;      // One after the other: 1 / mean.
  double ratio_to_floor = 0;  // Of the p50s of this run.
};

struct Skipped {
  std::string workload;
  std::string contestant;
  std::string reason;
};

class Contest {
 public:
  // `floor` is the contestant that the others are compared with; what is measured need not be time: "KiB".
  Contest(std::string workload, std::string floor, std::string unit = "us")
      : workload_(std::move(workload)), floor_(std::move(floor)), unit_(std::move(unit)) {}

  void Add(std::string name, std::function<absl::Status()> once);
  // One that measures itself, since it repeats something short: microseconds for each time.
  void AddTimed(std::string name, std::function<absl::StatusOr<double>()> once) {
    contestants_.push_back({.name = std::move(name), .once = std::move(once), .times_us = {}});
  }
  void Skip(std::string name, std::string reason) {
    skipped_.push_back({.workload = workload_, .contestant = std::move(name), .reason = std::move(reason)});
  }

  // How often a contestant runs before the next has its turn [1]. With 1 each finds the caches as another has left them, and has
  // beside it what the kernel still clears away of another's (network namespaces, in the background); with more, mostly its own.
  void SetTimesInARow(int times) { in_a_row_ = times; }

  // Once: `warm_up` rounds, then `rounds` that count. A contestant that fails is skipped from then on, with its reason.
  // What the contestants hold goes at the end.
  void Run(int rounds, int warm_up = 5);

  const std::string& workload() const { return workload_; }
  const std::string& unit() const { return unit_; }

  std::vector<Row> Rows() const;
  const std::vector<Skipped>& skipped() const { return skipped_; }

 private:
  struct Contestant {
    std::string name;
    std::function<absl::StatusOr<double>()> once;
    std::vector<double> times_us;  // Empty if it failed: half a measurement is none.
  };
  std::string workload_;
  std::string floor_;
  std::string unit_;
  int in_a_row_ = 1;
  void RunTurn(Contestant& contestant, bool counts);

  std::vector<Contestant> contestants_;
  std::vector<Skipped> skipped_;
};

}  // namespace brood

#endif  // BROOD_BENCHMARKS_CONTEST_H_
