// What bounds an Executor's tasks and workers, and how it ends; once for each start method.
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/executor.h"

namespace brood {
namespace {

using testing::HasSubstr;

UniqueFd g_gate;
int g_initialised = 0;
void KeepGate(UniqueFd gate) {
  g_gate = std::move(gate);
  ++g_initialised;
}
BROOD_TARGET(KeepGate);

void PassGate() { WaitForEnd(g_gate); }
BROOD_TARGET(PassGate);

int Initialised() { return g_initialised; }
BROOD_TARGET(Initialised);

int g_counted = 0;
int CountRuns() { return ++g_counted; }
BROOD_TARGET(CountRuns);

void FailToInitialise() { throw std::runtime_error("no such table"); }
BROOD_TARGET(FailToInitialise);

void Say(std::string text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}
BROOD_TARGET(Say);

template <typename R>
void AwaitRunning(const Future<R>& future) {
  for (const absl::Time end = absl::Now() + kPatience; !future.running() && absl::Now() < end;) std::this_thread::yield();
  ASSERT_TRUE(future.running());
}

class ExecutorLimitsTest : public ExecutorTest {
 protected:
  // Its tasks PassGate end when `gate`'s writer does.
  Executor MakeWithGate(RawPipe& gate, ExecutorOptions options = {}) {
    options.initializer = Initializer(KeepGate, std::move(gate.reader));
    return Make(std::move(options));
  }
};

BROOD_FOR_EACH_START_METHOD(ExecutorLimitsTest);

TEST_P(ExecutorLimitsTest, ATaskThatTakesTooLongIsEndedAndItsWorkerReplaced) {
  Executor executor = Make();
  const int64_t before = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  const Future<void> future = executor.Submit({.timeout = absl::Milliseconds(50)}, Sleep);
  const absl::Status status = future.Get(kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_TRUE(future.done());
  EXPECT_NE(executor.Submit(OwnPid).Get(kPatience).value_or(before), before);
}

// The supervisor tells a result while it does not hold the lock; what is submitted then has its time too.
TEST_P(ExecutorLimitsTest, ATimeoutHoldsHoweverSoonItIsSubmitted) {
  Executor executor = Make({.grace = absl::ZeroDuration()});
  for (int i = 0; i < 40; ++i) {
    const Future<void> first = executor.Submit(Nothing);
    std::thread waiter([first] { first.Wait(); });
    while (!first.done()) {
    }
    const absl::Status status = executor.Submit({.timeout = absl::Milliseconds(20)}, Sleep).Get(kPatience);
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
    waiter.join();
  }
}

TEST_P(ExecutorLimitsTest, AHugeTimeoutIsNone) {
  Executor executor = Make();
  EXPECT_EQ(executor.Submit({.timeout = absl::Hours(24.0 * 365 * 1000)}, Square, 3).Get(kPatience).value_or(-1), 9);
}

TEST_P(ExecutorLimitsTest, AQueuedTaskThatIsCancelledNeverRuns) {
  RawPipe gate;
  Executor executor = MakeWithGate(gate);
  const Future<void> holds = executor.Submit(PassGate);
  AwaitRunning(holds);
  const Future<int> queued = executor.Submit(CountRuns);
  EXPECT_TRUE(queued.Cancel());
  EXPECT_EQ(queued.Get(kPatience).status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(queued.Cancel());
  gate.writer.reset();
  EXPECT_TRUE(holds.Get(kPatience).ok());
  EXPECT_EQ(executor.Submit(CountRuns).Get(kPatience).value_or(0), 1);
}

TEST_P(ExecutorLimitsTest, ARunningTaskIsLeftAloneUnlessItsKillingIsAskedFor) {
  Executor executor = Make();
  const Future<void> runs = executor.Submit(Sleep);
  AwaitRunning(runs);
  EXPECT_FALSE(runs.Cancel());
  EXPECT_FALSE(runs.done());
  EXPECT_TRUE(runs.Cancel(CancelRunning::kKill));
  EXPECT_EQ(runs.Get(kPatience).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(executor.Submit(Square, 4).Get(kPatience).value_or(-1), 16);
}

TEST_P(ExecutorLimitsTest, AFullQueueTakesNothingMore) {
  RawPipe gate;
  Executor executor = MakeWithGate(gate, {.max_queued = 1});
  const Future<void> runs = executor.Submit(PassGate);
  AwaitRunning(runs);
  const Future<int> queued = executor.Submit(Square, 2);
  const absl::Status refused = executor.Submit({.wait_for_room = absl::ZeroDuration()}, Square, 3).Get(kPatience).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  // One that waits for room gets it.
  std::thread waits([&] { EXPECT_EQ(executor.Submit(Square, 5).Get(kPatience).value_or(-1), 25); });
  gate.writer.reset();
  waits.join();
  EXPECT_TRUE(runs.Get(kPatience).ok());
  EXPECT_EQ(queued.Get(kPatience).value_or(-1), 4);
  EXPECT_EQ(Executor::Create(context_, {.max_queued = 0}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(ExecutorLimitsTest, AWorkerIsReplacedAfterItsTasks) {
  Executor executor = Make({.max_tasks_per_child = 2});
  const int64_t first = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  EXPECT_EQ(executor.Submit(OwnPid).Get(kPatience).value_or(0), first);
  EXPECT_NE(executor.Submit(OwnPid).Get(kPatience).value_or(first), first);
}

TEST_P(ExecutorLimitsTest, TheInitialiserRunsOnceInEachWorker) {
  RawPipe gate;
  Executor executor = MakeWithGate(gate);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(executor.Submit(Initialised).Get(kPatience).value_or(-1), 1);
  EXPECT_FALSE(executor.Submit(Die).Get(kPatience).ok());
  EXPECT_EQ(executor.Submit(Initialised).Get(kPatience).value_or(-1), 1);
}

TEST_P(ExecutorLimitsTest, AnInitialiserThatFailsBreaksTheExecutorAndSaysWhy) {
  Executor executor = Make({.initializer = Initializer(FailToInitialise)});
  const Future<int> waits = executor.Submit(Square, 2);
  for (const absl::Status& status : {waits.Get(kPatience).status(), executor.Submit(Square, 2).Get(kPatience).status()}) {
    EXPECT_THAT(status.message(), HasSubstr("its initialiser failed"));
    EXPECT_THAT(status.message(), HasSubstr("std::runtime_error: no such table"));
  }
}

TEST_P(ExecutorLimitsTest, AnInitialiserThatHangsBreaksTheExecutorWhenItsTimeIsOver) {
  Executor executor = Make({.initializer = Initializer(Sleep), .start_timeout = absl::Milliseconds(50)});
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = executor.Submit(Square, 2).Get(kPatience).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
    EXPECT_THAT(status.message(), HasSubstr("not ready within 50ms"));
  }
}

TEST_P(ExecutorLimitsTest, TheTimeToStartIsNotThatOfTheTasks) {
  Executor executor = Make({.start_timeout = absl::Seconds(2)});
  EXPECT_TRUE(executor.Submit(Nothing).Get(kPatience).ok());
  EXPECT_EQ(executor.Submit(Sleep).Get(absl::Milliseconds(2200)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(executor.worker_pids().size(), 1u);
}

TEST_P(ExecutorLimitsTest, SeveralThreadsMaySubmitToSeveralWorkers) {
  Executor executor = Make({.workers = 3});
  std::vector<std::thread> threads;
  std::vector<int> right(4, 0);
  for (size_t i = 0; i < right.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 50; ++n) right[i] += executor.Submit(Square, n).Get(kPatience).value_or(-1) == n * n ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(4, 50));
  EXPECT_LE(executor.worker_pids().size(), 3u);
}

TEST_P(ExecutorLimitsTest, ArgumentsAndResultsAreBounded) {
  Executor executor = Executor::Create(Context(GetParam(), {.max_argument_bytes = 4096, .max_result_bytes = 4096}),
                                       {.workers = 1})
                          .value();
  EXPECT_EQ(executor.Submit(Count, std::string(8192, 'x')).Get(kPatience).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(executor.Submit(Letters, 8192).Get(kPatience).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(executor.Submit(Letters, 2).Get(kPatience).value_or(""), "xx");
}

TEST_P(ExecutorLimitsTest, ShutdownFinishesWhatThereIsAndTakesNothingNew) {
  RawPipe gate;
  Executor executor = MakeWithGate(gate);
  const Future<void> runs = executor.Submit(PassGate);
  const Future<int> queued = executor.Submit(Square, 6);
  EXPECT_EQ(executor.Shutdown(absl::ZeroDuration()).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(executor.Submit(Square, 2).Get(kPatience).status().code(), absl::StatusCode::kFailedPrecondition);
  gate.writer.reset();
  EXPECT_TRUE(executor.Shutdown(kPatience).ok());
  EXPECT_TRUE(runs.Get().ok());
  EXPECT_EQ(queued.Get().value_or(-1), 36);
}

TEST_P(ExecutorLimitsTest, ShutdownNowCancelsWhatRunsAndWhatWaits) {
  Executor executor = Make();
  const Future<void> runs = executor.Submit(Sleep);
  AwaitRunning(runs);
  const Future<int> queued = executor.Submit(Square, 6);
  executor.ShutdownNow();
  EXPECT_EQ(runs.Get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(queued.Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(executor.worker_pids().empty());
}

TEST_P(ExecutorLimitsTest, AFutureMayOutliveItsExecutor) {
  std::optional<Executor> executor = Make();
  const Future<int> future = executor->Submit(Square, 7);
  EXPECT_TRUE(future.Wait(kPatience));
  executor.reset();
  EXPECT_EQ(future.Get().value_or(-1), 49);
  EXPECT_FALSE(future.Cancel());
}

TEST_P(ExecutorLimitsTest, WhatItsOptionsBorrowMayGoAfterCreate) {
  RawPipe out;
  {
    Executor executor = Make({.launch = {.stdout_spec = Stdio::Fd(out.writer.get())}});
    out.writer.reset();
    EXPECT_FALSE(executor.Submit(Die).Get(kPatience).ok());
    EXPECT_TRUE(executor.Submit(Say, "from the second").Get(kPatience).ok());
  }
  EXPECT_EQ(ReadToEnd(out.reader.get()), "from the second");
}

}  // namespace
}  // namespace brood
