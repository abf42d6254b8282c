// Many children at once, and what is left of those that have ended (test_many_processes, active_children).
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "launcher/children.h"
#include "launcher/light_guardian.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

using ChildrenTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ChildrenTest);

TEST_P(ChildrenTest, AHundredAtOnceAllEndWithTheirOwnResult) {
  std::vector<Process> processes;
  for (int i = 0; i < 100; ++i) processes.push_back(context_.Start(Identity, i).value());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(processes[static_cast<size_t>(i)].Result<int>().value_or(-1), i);
}

TEST_P(ChildrenTest, AHundredSleepersThatAreTerminatedAtOnceAllSaySo) {
  std::vector<Process> processes;
  for (int i = 0; i < 100; ++i) processes.push_back(context_.Start(Sleep).value());
  EXPECT_EQ(ActiveChildren().size(), 100u);
  for (Process& process : processes) EXPECT_EQ(process.Terminate(), absl::OkStatus());
  for (Process& process : processes) EXPECT_EQ(process.Join()->exit_code(), -SIGTERM);
}

TEST_P(ChildrenTest, AskingForActiveChildrenReapsThoseThatHaveEnded) {
  const std::set<pid_t> before = ChildrenOfThisProcess();
  std::vector<Process> processes;
  for (int i = 0; i < 5; ++i) processes.push_back(context_.Start(Nothing).value());
  for (Process& process : processes) ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  EXPECT_TRUE(ActiveChildren().empty());
  EXPECT_EQ(ChildrenOfThisProcess(), before);
  for (Process& process : processes) EXPECT_EQ(process.exit_code(), 0);
}

// Of CPython's a finished child is a zombie until the next call of the library.
TEST_P(ChildrenTest, AChildThatHasEndedIsNoZombieThoughNobodyAsks) {
  if (GetParam() == StartMethod::kFork && !internal::LightGuardiansWork()) {
    GTEST_SKIP() << "with a sanitizer, or on this processor, a guardian is a fork, which an embedder's wait(2) may see";
  }
  const std::set<pid_t> before = ChildrenOfThisProcess();
  std::vector<Process> processes;
  for (int i = 0; i < 5; ++i) processes.push_back(context_.Start(Nothing).value());
  for (Process& process : processes) ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  for (const pid_t pid : ChildrenOfThisProcess()) {
    if (before.contains(pid)) continue;
    char state;  // After its report a guardian sleeps or ends.
    do {
      state = StateOf(pid);
    } while (state != 'S' && state != 'Z' && state != 0);
    EXPECT_NE(state, 'Z') << pid;
  }
  // And nobody else sees them.
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), before.empty() ? -1 : 0);
}

TEST_P(ChildrenTest, WhatItsGuardianHeldIsFreeWhenAChildHasEndedThoughNobodyAsks) {
  RawPipe pipe;
  Process process = context_.Start({.stdout_spec = Stdio::Fd(pipe.writer.get())}, Nothing).value();
  pipe.writer.reset();
  EXPECT_TRUE(EndsWithinPatience(pipe.reader.get()));
  EXPECT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
}

TEST_P(ChildrenTest, AGuardianThatIsStoppedAfterTheEndDelaysNoJoin) {
  const std::set<pid_t> before = ChildrenOfThisProcess();
  Process process = context_.Start(Nothing).value();
  ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  for (const pid_t pid : ChildrenOfThisProcess()) {
    if (!before.contains(pid)) kill(pid, SIGSTOP);
  }
  EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
}

TEST_P(ChildrenTest, IgnoringSigchldTakesNoOutcomeAway) {
  signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(context_.Call(Identity, 7).value_or(-1), 7);
  Process process = context_.Start(Sleep).value();
  ASSERT_EQ(process.Terminate(), absl::OkStatus());
  EXPECT_EQ(process.Join()->exit_code(), -SIGTERM);
  signal(SIGCHLD, SIG_DFL);
}

TEST_P(ChildrenTest, AChildThatWasReapedElsewhereIsNeverAliveForEver) {
  Process process = context_.Start(Nothing).value();
  ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  while (waitpid(-1, nullptr, __WALL | WNOHANG) > 0) {  // Whatever has ended.
  }
  const absl::StatusOr<Outcome> outcome = process.Join(absl::Milliseconds(kPatienceMs));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(outcome->StatusWord() == "ok" || outcome->StatusWord() == "lost") << outcome->ToString();
  EXPECT_FALSE(process.IsAlive());
}

}  // namespace
}  // namespace brood
