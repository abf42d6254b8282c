// Slots as a Context uses them by itself.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "launcher/slot_testing.h"
#include "sandbox/plan.h"
#include "sandbox/plan_speculation.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

std::string Speak(const std::string& word) {
  std::cout << word << std::endl;
  std::cerr << "to stderr" << std::endl;
  return word + word;
}
BROOD_TARGET(Speak);

void Flood() {
  const std::string line(1 << 16, 'x');
  while (true) std::cout << line;
}
BROOD_TARGET(Flood);

std::string WhereIsIt() {
  char buffer[4096];
  return getcwd(buffer, sizeof(buffer)) != nullptr ? buffer : "";
}
BROOD_TARGET(WhereIsIt);

std::string Variable(const std::string& name) {
  const char* const value = getenv(name.c_str());
  return value != nullptr ? value : "none";
}
BROOD_TARGET(Variable);

std::string ReadAll(const UniqueFd& fd) {
  std::string text(4096, '\0');
  const ssize_t length = pread(fd.get(), text.data(), text.size(), 0);
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return text;
}

class SlotContextTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
    ASSERT_TRUE(policy.ok());
    Use(*policy);
  }

  void Use(const Policy& policy) {
    const auto plan = CompilePolicy(policy);
    ASSERT_TRUE(plan.ok()) << plan.status();
    options_.policy = *plan;
  }

  // As StartMethod::kSpawn does it, by a guardian: what both say must be the same.
  Outcome Run(StartMethod method, std::string_view target) {
    absl::StatusOr<Process> process = Context(method).StartByName(options_, target, {});
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return Outcome();
    const absl::StatusOr<Outcome> outcome = process->Join();
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.value_or(Outcome());
  }

  LaunchOptions options_;
};

TEST_F(SlotContextTest, ItsChildrenAreInSlots) {
  // In no pid namespace with their parent: that of a guardian's target is the init, which is in it.
  EXPECT_EQ(Run(StartMethod::kForkServer, "IsConfined").exit_code(), 0);
}

TEST_F(SlotContextTest, LandlockHoldsWithEveryStartMethod) {
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    const Outcome outcome = Run(method, "LandlockHolds");
    EXPECT_EQ(outcome.exit_code(), 0) << outcome.ToString();
    EXPECT_EQ(outcome.enforced.count(Layer::kLandlock), 1u);
  }
}

TEST_F(SlotContextTest, SpeculationIsMitigatedWithEveryStartMethod) {
  if ((PlanSpeculation(AskSpeculation()).off & 1u << PR_SPEC_STORE_BYPASS) == 0) GTEST_SKIP() << "this machine has no control of store bypass";
  for (const char* name : {"strict", "none"}) {
    Policy policy = BuiltinPolicy(name).value();
    policy.speculation = SpeculationControl::kMitigate;
    policy.allow_weaker.insert(Layer::kSpeculation);
    Use(policy);
    for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
      const Outcome outcome = Run(method, "CannotBypassStores");
      EXPECT_EQ(outcome.exit_code(), 0) << name << ": " << outcome.ToString();
      EXPECT_EQ(outcome.enforced.count(Layer::kSpeculation), 1u);
    }
  }
  Use(BuiltinPolicy("strict").value());
  EXPECT_EQ(Run(StartMethod::kForkServer, "CannotBypassStores").exit_code(), 1) << "or the test proves nothing";
}

TEST_F(SlotContextTest, LandlockLetsPosixQueuesBeMadeWhereThePolicyDoes) {
  Use(BuiltinPolicy("default").value());
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    EXPECT_EQ(Run(method, "MakePosixQueue").exit_code(), 0);
  }
}

TEST_F(SlotContextTest, OutputIsPassedOnAndTheValueComesBack) {
  options_.stdout_spec = Stdio::Capture();
  options_.stderr_spec = Stdio::Capture();
  for (int i = 0; i < 5; ++i) {
    auto process = Context(StartMethod::kForkServer).Start(options_, Speak, std::string("word"));
    ASSERT_TRUE(process.ok()) << process.status();
    const absl::StatusOr<std::string> value = process->Result<std::string>();
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_EQ(*value, "wordword");
    EXPECT_EQ(ReadAll(process->TakeStdout()), "word\n");
    EXPECT_EQ(ReadAll(process->TakeStderr()), "to stderr\n");
  }
}

TEST_F(SlotContextTest, MoreOutputThanAllowedEndsTheChild) {
  options_.stdout_spec = Stdio::Null();
  const Outcome outcome = Run(StartMethod::kForkServer, "Flood");
  EXPECT_EQ(outcome.StatusWord(), "output") << outcome.ToString();
  EXPECT_GT(outcome.stdout_result.bytes, uint64_t{16} << 20);
}

TEST_F(SlotContextTest, AForbiddenCallIsTheSameViolationAsWithoutASlot) {
  const Outcome slot = Run(StartMethod::kForkServer, "Mount");
  const Outcome guardian = Run(StartMethod::kFork, "Mount");
  ASSERT_TRUE(std::holds_alternative<Violation>(slot.ending)) << slot.ToString();
  ASSERT_TRUE(std::holds_alternative<Violation>(guardian.ending)) << guardian.ToString();
  EXPECT_EQ(std::get<Violation>(slot.ending).syscall, "mount");
  EXPECT_EQ(std::get<Violation>(slot.ending).args[2] != 0, std::get<Violation>(guardian.ending).args[2] != 0);
  EXPECT_EQ(slot.enforced, guardian.enforced);
}

TEST_F(SlotContextTest, ItIsTerminatedAndKilledAsAnyChild) {
  absl::StatusOr<Process> process = Context(StartMethod::kForkServer).Start(options_, Spin);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_TRUE(process->Terminate().ok());
  EXPECT_EQ(process->Join()->exit_code(), -SIGTERM);
  process = Context(StartMethod::kForkServer).Start(options_, Spin);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_TRUE(process->Kill().ok());
  EXPECT_EQ(process->Join()->exit_code(), -SIGKILL);
}

// Were there a way to the secret, there would be none to the capabilities of a new user namespace. namespaces(7)
TEST_F(SlotContextTest, ItsUserNamespaceMayHaveNoOtherBelowIt) {
  if (access("/proc/sys/user/max_user_namespaces", W_OK) != 0) GTEST_SKIP() << "/proc/sys/user cannot be written here: " << strerror(errno);
  absl::StatusOr<Process> process = Context(StartMethod::kForkServer).StartByName(options_, "Spin", {});
  ASSERT_TRUE(process.ok()) << process.status();
  const UniqueFd inside(open(absl::StrCat("/proc/", process->pid(), "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  const pid_t reader = fork();
  if (reader == 0) {
    int most = -1;
    if (setns(inside.get(), CLONE_NEWUSER) == 0) std::ifstream("/proc/sys/user/max_user_namespaces") >> most;
    _exit(most == 0 ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(waitpid(reader, &status, 0), reader);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(process->Kill(), absl::OkStatus());
}

TEST_F(SlotContextTest, TheWallTimeEndsIt) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
  ASSERT_TRUE(policy.ok());
  policy->limits.wall_time = absl::Milliseconds(100);
  Use(*policy);
  EXPECT_EQ(Run(StartMethod::kForkServer, "Spin").StatusWord(), "timeout");
}

TEST_F(SlotContextTest, EnvironmentAndDirectoryAreThoseOfTheStart) {
  const Context context(StartMethod::kForkServer);
  char hidden[] = "/tmp/slot_test.XXXXXX";  // The children have a /tmp of their own.
  ASSERT_NE(mkdtemp(hidden), nullptr);
  const UniqueFd before(open(".", O_PATH | O_CLOEXEC));
  ASSERT_EQ(chdir(hidden), 0);
  EXPECT_EQ(*context.Call(options_, WhereIsIt), "/");
  ASSERT_EQ(fchdir(before.get()), 0);
  rmdir(hidden);
  EXPECT_EQ(*context.Call(options_, Variable, std::string("WORD")), "none");
  options_.env = {"WORD=first"};
  options_.cwd = "/usr/lib";
  EXPECT_EQ(*context.Call(options_, WhereIsIt), "/usr/lib");
  EXPECT_EQ(*context.Call(options_, Variable, std::string("WORD")), "first");
  options_.env = {"WORD=second"};
  EXPECT_EQ(*context.Call(options_, Variable, std::string("WORD")), "second");
}

TEST_F(SlotContextTest, WhatAChildLeavesIsNotThereForTheNext) {
  EXPECT_EQ(Run(StartMethod::kForkServer, "WriteTmp").exit_code(), 0);
  EXPECT_EQ(Run(StartMethod::kForkServer, "TmpIsEmpty").exit_code(), 0);
  EXPECT_EQ(Run(StartMethod::kForkServer, "LeaveDaemons").exit_code(), 0);
  EXPECT_EQ(Run(StartMethod::kForkServer, "OthersAreThere").exit_code(), 0);
}

TEST_F(SlotContextTest, TwoThatLiveAtOnceDoNotSeeEachOther) {
  absl::StatusOr<Process> other = Context(StartMethod::kForkServer).Start(options_, Spin);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(Run(StartMethod::kForkServer, "OthersAreThere").exit_code(), 0);
  EXPECT_EQ(Run(StartMethod::kForkServer, "SignalAll").exit_code(), 0);
  EXPECT_TRUE(other->IsAlive());
  ASSERT_TRUE(other->Kill().ok());
}

TEST_F(SlotContextTest, APolicyThatHasNoSlotsIsCarriedOutForEachChild) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("default");
  ASSERT_TRUE(policy.ok());
  policy->syscalls.push_back({.names = {"keyctl"}, .layer = 1});
  Use(*policy);
  EXPECT_EQ(Run(StartMethod::kForkServer, "IsConfined").exit_code(), 1);  // It has a parent inside.
  EXPECT_EQ(Run(StartMethod::kForkServer, "Answer").exit_code(), 42);
}

}  // namespace
}  // namespace brood
