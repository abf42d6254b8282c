// Processes count under a lock while they are killed at random moments and replaced.
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <memory>
#include <random>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "ipc/lock.h"
#include "ipc/talking_child.h"

namespace brood {
namespace {

constexpr int kWorkers = 4;
constexpr int kKills = 150;

struct Protected {
  std::atomic<int> inside;       // Which worker is between acquire and release, plus 1.
  std::atomic<int> two_holders;  // How often another one was there already.
  std::atomic<int> broken;       // How often a half-made change was met without an error.
  std::atomic<int> recovered;
  // Together these are what the lock protects. Changed by loads and stores, so that a second holder would lose counts.
  std::atomic<uint64_t> first;
  std::atomic<uint64_t> done[kWorkers];
  std::atomic<uint64_t> second;

  uint64_t Sum() const {
    uint64_t sum = 0;
    for (const std::atomic<uint64_t>& count : done) sum += count;
    return sum;
  }
};

void Repair(Protected& data) {
  data.first = data.Sum();
  data.second = data.Sum();
}

void Enter(Protected& data, int worker, bool recovering) {
  const int other = data.inside.exchange(worker + 1);
  if (recovering) {
    Repair(data);
    data.recovered.fetch_add(1);
  } else {
    // Whoever was killed before it said that it had left had released, or this would be a recovery.
    if (other != 0) data.two_holders.fetch_add(1);
    if (data.first != data.second || data.first != data.Sum()) data.broken.fetch_add(1);
  }
}

int Count(const Lock& lock, Protected& data, int worker) {
  for (;;) {
    const absl::Status status = lock.Acquire();
    if (absl::IsAborted(status)) {
      const absl::Status recovery = lock.Recover();
      if (absl::IsFailedPrecondition(recovery)) continue;  // Another one did.
      BROOD_REQUIRE_OK(recovery);
      Enter(data, worker, true);
    } else {
      BROOD_REQUIRE_OK(status);
      Enter(data, worker, false);
    }
    data.first = data.first + 1;
    data.done[worker] = data.done[worker] + 1;
    data.second = data.second + 1;
    data.inside.store(0);
    BROOD_REQUIRE_OK(lock.Release());
  }
}

TEST(LockStressTest, CountsStayRightAndNobodyMeetsAnotherHolderWhileProcessesAreKilled) {
  auto* data = static_cast<Protected*>(
      mmap(nullptr, sizeof(Protected), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(static_cast<void*>(data), MAP_FAILED);
  const Lock lock = Lock::Create().value();
  std::vector<std::unique_ptr<TalkingChild>> workers(kWorkers);
  const auto start = [&](int worker) {
    workers[worker] =
        std::make_unique<TalkingChild>([&, worker](const TalkingChild::Parent&) { return Count(lock, *data, worker); });
  };
  for (int worker = 0; worker < kWorkers; ++worker) start(worker);

  std::mt19937 random(20240607);
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  for (int kill = 0; kill < kKills; ++kill) {
    // Some progress between the kills: after a recovery too, work goes on.
    const uint64_t goal = data->Sum() + random() % 200;
    while (data->Sum() < goal && absl::Now() < deadline) sched_yield();
    ASSERT_LT(absl::Now(), deadline) << "no progress after " << kill << " kills";
    const int victim = static_cast<int>(random() % kWorkers);
    EXPECT_EQ(workers[victim]->Kill(), -SIGKILL);
    start(victim);
  }
  for (auto& worker : workers) EXPECT_EQ(worker->Kill(), -SIGKILL);

  const absl::Status status = lock.Acquire();
  if (absl::IsAborted(status)) {
    ASSERT_TRUE(lock.Recover().ok());
    Repair(*data);
  } else {
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(data->two_holders, 0);
  EXPECT_EQ(data->broken, 0);
  EXPECT_GT(data->recovered, 0) << "no kill hit a holder: the test has tested nothing";
  EXPECT_EQ(data->first, data->Sum());
  EXPECT_EQ(data->second, data->Sum());
  munmap(data, sizeof(Protected));
}

}  // namespace
}  // namespace brood
