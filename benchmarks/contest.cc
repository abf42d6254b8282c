#include "benchmarks/contest.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

namespace brood {
namespace {

constexpr int kWarmUpRounds = 5;

// `sorted` is not empty.
double Percentile(const std::vector<double>& sorted, double percent) {
  const auto at = static_cast<size_t>(percent / 100 * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[at];
}

}  // namespace

void Contest::Run(int rounds) {
  std::mt19937 random(1);  // The same order in every run: what differs is the machine.
  for (int round = -kWarmUpRounds; round < rounds; ++round) {
    std::vector<size_t> order(contestants_.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    for (const size_t i : order) {
      Contestant& contestant = contestants_[i];
      if (contestant.once == nullptr) continue;
      const auto start = std::chrono::steady_clock::now();
      const absl::Status status = contestant.once();
      const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
      if (!status.ok()) {
        Skip(contestant.name, std::string(status.message()));
        contestant.once = nullptr;
      } else if (round >= 0) {
        contestant.times_us.push_back(time.count());
      }
    }
  }
}

std::vector<Row> Contest::Rows() const {
  std::vector<Row> rows;
  double floor_us = 0;
  for (const Contestant& contestant : contestants_) {
    // Half a measurement is none.
    if (contestant.once == nullptr || contestant.times_us.empty()) continue;
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
