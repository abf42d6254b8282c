// Who reads what an Executor's workers send: the thread that waits for a task, or the supervisor, and none of them loses
// anything to the other. Once for each start method.
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/conformance/executor.h"

namespace brood {
namespace {

using ExecutorWaitTest = ExecutorTest;
BROOD_FOR_EACH_START_METHOD(ExecutorWaitTest);

TEST_P(ExecutorWaitTest, GetHasATimeoutAndTheTaskGoesOn) {
  RawPipe pipe;
  Executor executor = Make({.initializer = Initializer(HoldDescriptor, pipe.reader)});
  pipe.reader.reset();
  EXPECT_TRUE(executor.Submit(Nothing).Get(kPatience).ok());
  const Future<void> runs = executor.Submit(WaitForHeld);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(runs.Get(absl::Milliseconds(i)).code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_FALSE(runs.done());
  }
  pipe.writer.reset();
  EXPECT_TRUE(runs.Get(kPatience).ok());
  EXPECT_EQ(executor.Submit(Square, 3).Get(kPatience).value_or(-1), 9);
}

TEST_P(ExecutorWaitTest, SeveralThreadsMayWaitForOneTask) {
  RawPipe pipe;
  Executor executor = Make({.initializer = Initializer(HoldDescriptor, pipe.reader)});
  pipe.reader.reset();
  const Future<void> runs = executor.Submit(WaitForHeld);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([runs] { EXPECT_TRUE(runs.Get(kPatience).ok()); });
  EXPECT_FALSE(runs.Wait(absl::Milliseconds(20)));
  pipe.writer.reset();
  for (std::thread& thread : threads) thread.join();
}

TEST_P(ExecutorWaitTest, WhatWaitsBehindATaskRunsThoughAnotherThreadReadsItsResult) {
  RawPipe pipe;
  Executor executor = Make({.initializer = Initializer(HoldDescriptor, pipe.reader)});
  pipe.reader.reset();
  EXPECT_TRUE(executor.Submit(Nothing).Get(kPatience).ok());
  const Future<void> runs = executor.Submit(WaitForHeld);
  std::thread waits([runs] { EXPECT_TRUE(runs.Get().ok()); });
  const Future<int> behind = executor.Submit(Square, 3);
  pipe.writer.reset();
  EXPECT_EQ(behind.Get(kPatience).value_or(-1), 9);
  waits.join();
}

// It was done in time: that it was not asked about so long is not the worker's doing.
TEST_P(ExecutorWaitTest, AResultThatIsFetchedAfterTheTasksTimeIsStillAResult) {
  Executor executor = Make({.task_timeout = absl::Milliseconds(500)});
  const int64_t worker = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  const Future<int64_t> left_alone = executor.Submit(OwnPid);
  absl::SleepFor(absl::Milliseconds(600));  // Nothing happens when its time is over, so that there is nothing else to wait for.
  EXPECT_EQ(left_alone.Get(kPatience).value_or(0), worker);
  EXPECT_EQ(executor.Submit(OwnPid).Get(kPatience).value_or(0), worker);
}

TEST_P(ExecutorWaitTest, ADeathIsSeenByTheThreadThatReads) {
  Executor executor = Make();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(executor.Submit(Nothing).Get(kPatience).ok());
    const absl::Status status = executor.Submit(Die).Get();
    ASSERT_TRUE(OutcomeOf(status).has_value()) << status;
    EXPECT_EQ(OutcomeOf(status)->exit_code(), kDeathCode);
  }
}

TEST_P(ExecutorWaitTest, ALongResultIsReadByTheThreadThatWaits) {
  Executor executor = Make();
  for (const uint64_t size : {uint64_t{16000}, uint64_t{16384}, uint64_t{8} << 20}) {
    EXPECT_EQ(executor.Submit(Letters, size).Get(kPatience).value_or("").size(), size);
  }
}

TEST_P(ExecutorWaitTest, ShutdownNowEndsAThreadThatReads) {
  Executor executor = Make();
  EXPECT_TRUE(executor.Submit(Nothing).Get(kPatience).ok());
  const Future<void> runs = executor.Submit(Sleep);
  std::thread waits([runs] { EXPECT_EQ(runs.Get().code(), absl::StatusCode::kCancelled); });
  EXPECT_FALSE(runs.Wait(absl::Milliseconds(20)));
  executor.ShutdownNow();
  waits.join();
}

}  // namespace
}  // namespace brood
