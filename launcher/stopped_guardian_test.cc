// A target that is not sandboxed may signal its guardian, which is a process of its own user: what holds though it stops it.

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
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

// Returns once it has stopped, which may be over then. False if it cannot be.
bool StopGuardian() {
  const pid_t guardian = Guardian();
  if (guardian <= 1 || kill(guardian, SIGSTOP) != 0) return false;
  constexpr uint64_t kStop = uint64_t{1} << (SIGSTOP - 1);
  while ((std::strtoull(StatusOf(guardian, "ShdPnd").c_str(), nullptr, 16) & kStop) != 0) sched_yield();
  return true;
}

// --- targets: one behaviour each ---

int StopsGuardianAndSleeps() {
  if (!StopGuardian()) return 1;
  for (;;) pause();
}
BROOD_TARGET(StopsGuardianAndSleeps);

// Waits for the word that the guardian has heard of the start.
bool StopGuardianAfter(const UniqueFd& pipe) {
  char byte;
  return read(pipe.get(), &byte, 1) == 1 && StopGuardian();
}

int StopsGuardianAndReturns(const UniqueFd& go) { return StopGuardianAfter(go) ? 5 : 1; }
BROOD_TARGET(StopsGuardianAndReturns);

void StopsGuardianAndSays(const UniqueFd& go, const UniqueFd& pipe) {
  if (StopGuardianAfter(go)) (void)!write(pipe.get(), "!", 1);
  for (;;) pause();
}
BROOD_TARGET(StopsGuardianAndSays);

// Four processes, each of which has less than the limit.
int StopsGuardianAndAllocates() {
  if (!StopGuardian()) return 1;
  for (int i = 0; i < 3 && fork() != 0; ++i) {
  }
  std::vector<char> memory(size_t{25} << 20, 1);
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

struct Ends {
  UniqueFd reader, writer;
};

Ends MakePipe() {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

TEST_P(StoppedGuardianTest, TheEndIsToldThoughNothingIsAsked) {
  const Ends go = MakePipe();
  absl::StatusOr<Process> process = context_.Start(StopsGuardianAndReturns, go.reader);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_EQ(write(go.writer.get(), "!", 1), 1);
  ASSERT_TRUE(IsReadable(process->sentinel()));
  EXPECT_EQ(process->Result<int>(absl::ZeroDuration()).value_or(-1), 5);
}

TEST_P(StoppedGuardianTest, TheTargetDiesWithItsOwner) {
  const Ends go = MakePipe();
  Ends said = MakePipe();
  const pid_t owner = fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    absl::StatusOr<Process> process = context_.Start(StopsGuardianAndSays, go.reader, said.writer);
    said.writer.reset();
    if (!process.ok() || write(go.writer.get(), "!", 1) != 1) _exit(1);
    for (;;) pause();
  }
  said.writer.reset();
  char byte;
  EXPECT_EQ(read(said.reader.get(), &byte, 1), 1);
  EXPECT_EQ(kill(owner, SIGKILL), 0);
  EXPECT_EQ(waitpid(owner, nullptr, 0), owner);
  // The target holds the other end.
  EXPECT_TRUE(IsReadable(said.reader.get())) << "the target outlived its owner";
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
    policy.limits.memory_bytes = 64 << 20;
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
