#include "benchmarks/contest.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

namespace brood {
namespace {

// `sorted` is not empty.
double Percentile(const std::vector<double>& sorted, double percent) {
  const auto at = static_cast<size_t>(percent / 100 * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[at];
}

}  // namespace

void Contest::Add(std::string name, std::function<absl::Status()> once) {
  AddTimed(std::move(name), [once = std::move(once)]() -> absl::StatusOr<double> {
    const auto start = std::chrono::steady_clock::now();
    const absl::Status status = once();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    if (!status.ok()) return status;
    return time.count();
  });
}

void Contest::RunTurn(Contestant& contestant, bool counts) {
  for (int i = 0; i < in_a_row_ && contestant.once != nullptr; ++i) {
    const absl::StatusOr<double> time_us = contestant.once();
    if (!time_us.ok()) {
      Skip(contestant.name, std::string(time_us.status().message()));
      contestant.once = nullptr;
      contestant.times_us.clear();
    } else if (counts) {
      contestant.times_us.push_back(*time_us);
    }
  }
}

void Contest::Run(int rounds, int warm_up) {
  std::mt19937 random(1);  // The same order in every run: what differs is the machine.
  for (int round = -warm_up; round < rounds; ++round) {
    std::vector<size_t> order(contestants_.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    for (const size_t i : order) RunTurn(contestants_[i], round >= 0);
  }
  for (Contestant& contestant : contestants_) contestant.once = nullptr;
}

std::vector<Row> Contest::Rows() const {
  std::vector<Row> rows;
  double floor_us = 0;
  for (const Contestant& contestant : contestants_) {
    if (contestant.times_us.empty()) continue;
    std::vector<double> sorted = contestant.times_us;
    std::sort(sorted.begin(), sorted.end());
    const double mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size());
    rows.push_back({.workload = workload_,
                    .contestant = contestant.name,
                    .n = static_cast<int>(sorted.size()),
                    .p50_us = Percentile(sorted, 50),
                    .p99_us = Percentile(sorted, 99),
                    .per_second = 1e6 / mean});
    if (contestant.name == floor_) floor_us = rows.back().p50_us;
  }
  for (Row& row : rows) row.ratio_to_floor = floor_us > 0 ? row.p50_us / floor_us : 0;
  return rows;
}

}  // namespace brood
