// A target that is not sandboxed may signal its guardian, which is a process of its own user: what holds though it stops it.

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/executor.h"
#include "sandbox/plan.h"

namespace brood {
namespace {

// "State" or another key of a process, up to the first blank.
std::string StatusOf(pid_t pid, std::string_view key) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  std::string name, value;
  while (file >> name && std::getline(file >> std::ws, value)) {
    if (name == absl::StrCat(key, ":")) return value.substr(0, value.find_first_of(" \t"));
  }
  return "";
}

// The guardian of this process: its parent, or its init's. Not by its own name, which it takes once we are born.
pid_t Guardian() {
  const pid_t parent = getppid();
  return StatusOf(parent, "Name") == "brood-init" ? std::atoi(StatusOf(parent, "PPid").c_str()) : parent;
}

// Returns once it has stopped. False if it cannot be.
bool StopGuardian() {
  const pid_t guardian = Guardian();
  if (guardian <= 1 || kill(guardian, SIGSTOP) != 0) return false;
  while (StatusOf(guardian, "State") != "T") {
    if (StatusOf(guardian, "State").empty()) return false;
    sched_yield();
  }
  return true;
}

// --- targets: one behaviour each ---

int StopsGuardianAndSleeps() {
  if (!StopGuardian()) return 1;
  for (;;) pause();
}
BROOD_TARGET(StopsGuardianAndSleeps);

// Four processes, each of which has less than the limit.
int StopsGuardianAndAllocates() {
  if (!StopGuardian()) return 1;
  for (int i = 0; i < 3 && fork() != 0; ++i) {
  }
  std::vector<char> memory(size_t{100} << 20, 1);
  for (;;) pause();
}
BROOD_TARGET(StopsGuardianAndAllocates);

// --- helpers ---

bool IsReadable(int fd) {
  pollfd polled = {fd, POLLIN, 0};
  return poll(&polled, 1, 20'000) == 1;
}

LaunchOptions Limited(void (*set)(Policy&)) {
  Policy policy = BuiltinPolicy("none").value();
  set(policy);
  LaunchOptions options;
  options.policy = CompilePolicy(policy).value();
  return options;
}

LaunchOptions ShortWall() {
  return Limited([](Policy& policy) { policy.limits.wall_time = absl::Milliseconds(300); });
}

class StoppedGuardianTest : public testing::TestWithParam<StartMethod> {
 protected:
  const Context context_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Methods, StoppedGuardianTest,
                         testing::Values(StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer),
                         [](const auto& info) { return std::string(StartMethodName(info.param)); });

TEST_P(StoppedGuardianTest, TheWallLimitHoldsThoughNothingIsAsked) {
  absl::StatusOr<Process> process = context_.Start(ShortWall(), StopsGuardianAndSleeps);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_TRUE(IsReadable(process->sentinel()));
  const Outcome outcome = process->Join(absl::ZeroDuration()).value();
  EXPECT_EQ(outcome.StatusWord(), "timeout") << outcome.ToString();
  EXPECT_LT(outcome.usage.wall_time, absl::Seconds(5));
}

TEST_P(StoppedGuardianTest, ATaskThatReachesTheWallLimitGetsTheOutcome) {
  absl::StatusOr<Executor> executor = Executor::Create(context_, {.workers = 1, .launch = ShortWall()});
  ASSERT_TRUE(executor.ok()) << executor.status();
  const absl::Status status = executor->Submit(StopsGuardianAndSleeps).Get(absl::Seconds(20)).status();
  ASSERT_TRUE(OutcomeOf(status).has_value()) << status;
  EXPECT_EQ(OutcomeOf(status)->StatusWord(), "timeout") << status;
}

// Whoever starts it waits to hear that it runs.
TEST_P(StoppedGuardianTest, StartReturnsThoughTheTargetStoppedItFirst) {
  for (int i = 0; i < 10; ++i) {
    absl::StatusOr<Process> process = context_.Start(StopsGuardianAndSleeps);
    ASSERT_TRUE(process.ok()) << process.status();
    ASSERT_TRUE(process->Kill().ok());
    EXPECT_EQ(process->Join(absl::Seconds(20)).value().exit_code(), -SIGKILL);
  }
}

// The limit is kept by looking at the tree now and then.
TEST_P(StoppedGuardianTest, ALimitThatIsSampledHolds) {
  LaunchOptions options = Limited([](Policy& policy) {
    policy.limits.memory_bytes = 256 << 20;
    policy.allow_weaker.insert(Layer::kMemory);
  });
  absl::StatusOr<Process> process = context_.Start(options, StopsGuardianAndAllocates);
  ASSERT_TRUE(process.ok()) << process.status();
  const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(20));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->StatusWord(), "memory") << outcome->ToString();
}

}  // namespace
}  // namespace brood
