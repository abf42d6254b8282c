// What of children that have ended only Linux has: zombies and guardians, and others in the process that wait for whatever ends.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "launcher/light_guardian.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

using ChildrenTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ChildrenTest);

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

// CPython's is alive for ever. What an embedder can reap of ours is a guardian, and that has told the outcome before it
// ends; the guardians of a forkserver are nobody's children here. Only a guardian that is killed before its report is lost,
// see LifecycleTest.
TEST_P(ChildrenTest, AChildWhoseGuardianIsReapedElsewhereHasItsTrueOutcome) {
  const std::set<pid_t> before = ChildrenOfThisProcess();
  Process process = context_.Start(Identity, 7).value();
  ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  size_t reaped = 0;
  for (const pid_t pid : ChildrenOfThisProcess()) {
    if (before.contains(pid)) continue;
    kill(pid, SIGKILL);  // Or it might sleep until we join.
    EXPECT_EQ(waitpid(pid, nullptr, __WALL), pid);
    ++reaped;
  }
  EXPECT_EQ(reaped, GetParam() == StartMethod::kForkServer ? 0u : 1u);
  const absl::StatusOr<Outcome> outcome = process.Join(absl::Milliseconds(kPatienceMs));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->StatusWord(), "ok") << outcome->ToString();
  EXPECT_EQ(process.Result<int>().value_or(-1), 7);
  EXPECT_FALSE(process.IsAlive());
}

TEST_P(ChildrenTest, AThreadThatReapsWhateverEndsTakesNoOutcomeAway) {
  const Context context(GetParam(), {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
  std::atomic<bool> done = false;
  std::thread thief([&] {
    while (!done) {
      if (waitpid(-1, nullptr, __WALL | WNOHANG) <= 0) std::this_thread::yield();
    }
  });
  for (int i = 0; i < 50; ++i) {
    Process process = context.Start(Identity, i).value();
    EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->StatusWord(), "ok");
    EXPECT_EQ(process.Result<int>().value_or(-1), i);
  }
  done = true;
  thief.join();
}

}  // namespace
}  // namespace brood
