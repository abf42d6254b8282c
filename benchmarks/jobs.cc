// Jobs whose process is there before they are: warm children, and workers whose memory is taken back.
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/status.h"
#include "benchmarks/contests.h"
#include "benchmarks/fork_helper.h"
#include "benchmarks/one_processor.h"
#include "benchmarks/ping_pong.h"
#include "bootstrap/target.h"
#include "forkserver/freeze.h"
#include "launcher/context.h"
#include "launcher/jobs/rewound_worker.h"
#include "launcher/jobs/warm_pool.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

// As those of EchoJob travel, there and back.
constexpr size_t kJobBytes = 64;
constexpr size_t kResultBytes = 28;
constexpr auto kGap = std::chrono::microseconds(200);

int64_t EchoJob(int64_t value) { return value; }
BROOD_TARGET(EchoJob);

constexpr size_t kWords = (size_t{1} << 30) / sizeof(uint64_t);
std::vector<uint64_t>* g_image = nullptr;

void LoadImage() {
  g_image = new std::vector<uint64_t>(kWords);
  for (size_t i = 0; i < kWords; i += 512) (*g_image)[i] = i;
}
BROOD_TARGET(LoadImage);

// Three reads at random and a write.
uint64_t TouchImage(uint64_t seed) {
  std::minstd_rand random(static_cast<unsigned>(seed));
  uint64_t sum = 0;
  for (int i = 0; i < 3; ++i) sum += (*g_image)[random() % kWords];
  (*g_image)[random() % kWords] = sum + 1;
  return sum;
}
BROOD_TARGET(TouchImage);
void TouchImageHere() { (void)TouchImage(static_cast<uint64_t>(getpid())); }

absl::StatusOr<double> AfterAGap(const std::function<absl::Status()>& once) {
  std::this_thread::sleep_for(kGap);
  const auto start = std::chrono::steady_clock::now();
  BROOD_RETURN_IF_ERROR(once());
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

absl::StatusOr<LaunchOptions> InPolicy(const char* name) {
  LaunchOptions options;
  BROOD_ASSIGN_OR_RETURN(const Policy policy, BuiltinPolicy(name));
  BROOD_ASSIGN_OR_RETURN(options.policy, CompilePolicy(policy));
  return options;
}

absl::StatusOr<std::shared_ptr<WarmPool>> MakePool(const char* policy) {
  WarmPoolOptions options = {.launch = {}, .low_water = 2, .high_water = 4};
  BROOD_ASSIGN_OR_RETURN(options.launch, InPolicy(policy));
  // They wait for longer than a job may take.
  BROOD_ASSIGN_OR_RETURN(WarmPool pool, WarmPool::Create(Context(StartMethod::kForkServer), std::move(options)));
  return std::make_shared<WarmPool>(std::move(pool));
}

absl::StatusOr<std::shared_ptr<RewoundWorker>> MakeWorker(const char* policy) {
  RewoundWorkerOptions options;
  BROOD_ASSIGN_OR_RETURN(options.launch, InPolicy(policy));
  const Context context(StartMethod::kForkServer, {.preload = {"LoadImage"}, .freeze = Freeze::kOn});
  BROOD_ASSIGN_OR_RETURN(RewoundWorker worker, RewoundWorker::Create(context, std::move(options)));
  return std::make_shared<RewoundWorker>(std::move(worker));
}

}  // namespace

Contest RunWarmJobs(int rounds) {
  Contest contest("job on a warm child", "ping-pong");
  const OneProcessor one;
  const auto ping_pong = std::make_shared<PingPong>(kJobBytes, kResultBytes);
  contest.AddTimed("ping-pong", [ping_pong] { return AfterAGap([&] { return ping_pong->Do(1); }); });
  for (const char* policy : {"none", "strict"}) {
    const std::string name = std::string("warm child, ") + policy;
    const absl::StatusOr<std::shared_ptr<WarmPool>> pool = MakePool(policy);
    if (!pool.ok()) {
      contest.Skip(name, std::string(pool.status().message()));
      continue;
    }
    contest.AddTimed(name, [pool = *pool]() -> absl::StatusOr<double> {
      BROOD_RETURN_IF_ERROR(pool->AwaitFull(absl::Seconds(30)));
      return AfterAGap([&]() -> absl::Status { return pool->Call(EchoJob, int64_t{7}).status(); });
    });
  }
  contest.Run(rounds);
  return contest;
}

Contest RunRewoundJobs(int rounds) {
  constexpr int kTimes = 10;  // What is taken back after one job is waited for by the next.
  Contest contest("job on a frozen GiB", "clone+work+wait");
  const OneProcessor one;
  const absl::StatusOr<std::shared_ptr<ForkHelper>> raw = ForkHelper::Start(
      [] {
        LoadImage();
        return FreezeProcess({}).status();
      },
      TouchImageHere);
  if (raw.ok()) {
    contest.AddTimed("clone+work+wait", [raw = *raw] { return raw->Fork(); });
  } else {
    contest.Skip("clone+work+wait", std::string(raw.status().message()));
  }
  for (const char* policy : {"none", "strict"}) {
    const std::string name = std::string("rewound worker, ") + policy;
    const absl::StatusOr<std::shared_ptr<RewoundWorker>> worker = MakeWorker(policy);
    if (!worker.ok()) {
      contest.Skip(name, std::string(worker.status().message()));
      continue;
    }
    contest.AddTimed(name, [worker = *worker]() -> absl::StatusOr<double> {
      const auto start = std::chrono::steady_clock::now();
      for (uint64_t i = 0; i < kTimes; ++i) BROOD_RETURN_IF_ERROR(worker->Call(TouchImage, i).status());
      const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
      if (!worker->retired().empty()) return absl::InternalError("a worker was retired: " + worker->retired().begin()->first);
      return time.count() / kTimes;
    });
  }
  contest.Run(rounds);
  return contest;
}

}  // namespace brood
