// What an Executor promises that only Linux can ask for: forks, signals, limits of this process, stacks. Once for each start
// method.
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <ranges>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/executor.h"

namespace brood {
namespace {

void IgnoreTermAndSleep() {
  signal(SIGTERM, SIG_IGN);
  while (true) pause();
}
BROOD_TARGET(IgnoreTermAndSleep);

// Is killed at some moment from now on, perhaps while the result is written.
std::string ReturnAndDie(uint64_t bytes, int64_t after_us) {
  itimerval timer = {};
  timer.it_value.tv_usec = after_us;
  setitimer(ITIMER_REAL, &timer, nullptr);
  return std::string(bytes, 'x');
}
BROOD_TARGET(ReturnAndDie);

using ExecutorLinuxTest = ExecutorTest;
BROOD_FOR_EACH_START_METHOD(ExecutorLinuxTest);

TEST_P(ExecutorLinuxTest, AnExceptionInATaskArrivesWithItsStack) {
  Executor executor = Make();
  const absl::Status status = executor.Submit(Throw).Get(kPatience).status();
  EXPECT_THAT(std::string(status.GetPayload(kStackTraceUrl).value_or(absl::Cord())), testing::HasSubstr("Throw"));
}

// CPython's test_large_pool.
TEST_P(ExecutorLinuxTest, TwoHundredWorkersRunAtOnce) {
  constexpr size_t kWorkers = 200;
  rlimit files = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit many = {.rlim_cur = files.rlim_max, .rlim_max = files.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &many), 0);
  {
    RawPipe gate;
    Executor executor = Make({.workers = kWorkers, .initializer = Initializer(HoldDescriptor, gate.reader)});
    gate.reader.reset();
    std::vector<Future<void>> futures;
    for (size_t i = 0; i < kWorkers; ++i) futures.push_back(executor.Submit(WaitForHeld));
    for (const auto& future : futures) {
      while (!future.running() && !future.done()) absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_EQ(executor.worker_pids().size(), kWorkers);
    gate.writer.reset();
    for (const auto& future : futures) EXPECT_EQ(future.Get(kPatience), absl::OkStatus());
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
}

// CPython's pool ends those that it has started (test_release_unused_processes).
TEST_P(ExecutorLinuxTest, AWorkerThatCannotBeStartedLeavesItsWorkToTheOthers) {
  RawPipe gate;
  Executor executor = Make({.workers = 4, .initializer = Initializer(HoldDescriptor, gate.reader)});
  const int64_t first = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  rlimit files = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit none_left = {.rlim_cur = 3, .rlim_max = files.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_left), 0);
  const Future<void> holds = executor.Submit(WaitForHeld);
  std::vector<Future<int64_t>> futures;
  for (int i = 0; i < 8; ++i) futures.push_back(executor.Submit(OwnPid));
  EXPECT_TRUE(absl::IsDeadlineExceeded(futures[0].Get(absl::Milliseconds(100)).status()));
  gate.writer.reset();
  EXPECT_EQ(holds.Get(kPatience), absl::OkStatus());
  for (const auto& future : futures) EXPECT_EQ(future.Get(kPatience).value_or(0), first);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
}

TEST_P(ExecutorLinuxTest, DeathAtAnyMomentOfWritingAResultIsTheResultOrTheOutcome) {
  Executor executor = Make();
  constexpr uint64_t kBytes = 8 << 20;
  for (int i = 0; i < 20; ++i) {
    const absl::StatusOr<std::string> result = executor.Submit(ReturnAndDie, kBytes, 500 * (i + 1)).Get(kPatience);
    if (result.ok()) {
      EXPECT_EQ(result->size(), kBytes);
    } else {
      ASSERT_TRUE(OutcomeOf(result.status()).has_value()) << result.status();
      EXPECT_EQ(OutcomeOf(result.status())->exit_code(), -SIGALRM);
    }
  }
  // The last one may have died just now, without a task: the next one gets another worker.
  EXPECT_EQ(executor.Submit(Square, 2).Get(kPatience).value_or(-1), 4);
}

TEST_P(ExecutorLinuxTest, ATaskThatIgnoresTheSignalIsKilledWhenItsGraceIsOver) {
  Executor executor = Make({.task_timeout = absl::Milliseconds(50), .grace = absl::Milliseconds(50)});
  const absl::Status status = executor.Submit(IgnoreTermAndSleep).Get(kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(OutcomeOf(status).has_value());
  EXPECT_EQ(OutcomeOf(status)->exit_code(), -SIGKILL);
}

TEST_P(ExecutorLinuxTest, AForkOfTheProcessCannotUseItAndDisturbsNothing) {
  Executor executor = Make();
  const Future<void> runs = executor.Submit(Sleep);
  const pid_t copy = fork();
  if (copy == 0) {
    const bool refused =
        executor.Submit(Square, 2).Get(absl::Seconds(1)).status().code() == absl::StatusCode::kFailedPrecondition;
    const bool unknown = !runs.done() && !runs.running() && !runs.Cancel(CancelRunning::kKill);
    executor.ShutdownNow();
    { const Executor gone = std::move(executor); }
    _exit(refused && unknown ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
  while (!runs.running() && !runs.done()) sched_yield();
  EXPECT_TRUE(runs.Cancel(CancelRunning::kKill));
  EXPECT_EQ(executor.Submit(Square, 2).Get(kPatience).value_or(-1), 4);
}

TEST_P(ExecutorLinuxTest, AMapInAForkOfTheProcessGetsOneErrorAndDisturbsNothing) {
  Executor executor = Make();
  auto results = executor.Map({.chunk_size = 1}, Square, std::views::iota(0, 100));
  EXPECT_EQ(results.Next()->result.value_or(-1), 0);
  const pid_t copy = fork();
  if (copy == 0) {
    const bool refused = results.Next()->result.status().code() == absl::StatusCode::kFailedPrecondition;
    const bool ended = !results.Next().has_value();
    _exit(refused && ended ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
  for (int i = 1; i < 100; ++i) EXPECT_EQ(results.Next()->result.value_or(-1), i * i);
}

TEST_P(ExecutorLinuxTest, ATaskForWhichNobodyWaitsDoesNotKeepItsWorker) {
  Executor executor = Make({.workers = 2});
  const int64_t first = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  for (int i = 0; i < 20; ++i) {
    const Future<int64_t> left_alone = executor.Submit(OwnPid);
    while (StateOf(static_cast<pid_t>(first)) != 'S') sched_yield();
  }
  EXPECT_TRUE(executor.Shutdown(kPatience).ok());
}

// Start method fork is refused while there is another thread, and pthread_join(3) returns a moment before it has gone.
TEST_P(ExecutorLinuxTest, ItsThreadHasGoneWithItAndAfterAShutdown) {
  for (int i = 0; i < 100; ++i) {
    std::optional<Executor> executor = Make();
    if (i % 2 == 0) {
      EXPECT_TRUE(executor->Shutdown(kPatience).ok());
    } else {
      executor.reset();
    }
    const absl::Status started = context_.Call(Nothing);
    ASSERT_TRUE(started.ok()) << i << ": " << started;
  }
}

}  // namespace
}  // namespace brood
