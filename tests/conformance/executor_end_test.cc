// An Executor's queue, cancelling, and how it ends, once for each start method. See CPython's test_shutdown.py.
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/executor.h"

namespace brood {
namespace {

// Leaves an executor behind that nobody destroys, with a task that never ends.
void LeaveAnExecutor(int method) {
  auto* const executor =
      new Executor(Executor::Create(Context(static_cast<StartMethod>(method)), {.workers = 1}).value());
  const Future<void> future = executor->Submit(Spin);
  while (!future.running()) absl::SleepFor(absl::Milliseconds(1));
}
BROOD_TARGET(LeaveAnExecutor);

// Writes its worker's number, as text, and lives on.
void KeepAnExecutor(int method, const UniqueFd& pipe) {
  Executor executor = Executor::Create(Context(static_cast<StartMethod>(method)), {.workers = 1}).value();
  const std::string pid = std::to_string(executor.Submit(OwnPid).Get().value()) + "\n";
  for (const char digit : pid) WriteByte(pipe, digit);
  (void)executor.Submit(Spin).Get();
}
BROOD_TARGET(KeepAnExecutor);

// One worker, which runs a task until Go; two more may wait.
class ExecutorEndTest : public ExecutorTest {
 protected:
  void SetUp() override {
    ExecutorTest::SetUp();
    pipe_.emplace();
    executor_.emplace(Make({.initializer = Initializer(HoldDescriptor, pipe_->reader), .max_queued = 2}));
    pipe_->reader.reset();
    running_ = executor_->Submit(WaitForHeld);
    while (!running_->running()) absl::SleepFor(absl::Milliseconds(1));
  }
  void TearDown() override {
    running_.reset();
    executor_.reset();
    pipe_.reset();
    ExecutorTest::TearDown();
  }
  void Go() { pipe_->writer.reset(); }

  std::optional<RawPipe> pipe_;
  std::optional<Executor> executor_;
  std::optional<Future<void>> running_;
};

BROOD_FOR_EACH_START_METHOD(ExecutorEndTest);

TEST_P(ExecutorEndTest, AFullQueueBlocksSubmitUntilThereIsRoomOrItsTimeIsOver) {
  const Future<int> second = executor_->Submit(Square, 2);
  const Future<int> third = executor_->Submit(Square, 3);
  const absl::Time before = absl::Now();
  const Future<int> late = executor_->Submit({.wait_for_room = absl::Milliseconds(50)}, Square, 4);
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(50));
  EXPECT_EQ(late.Get(absl::ZeroDuration()).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(
      executor_->Submit({.wait_for_room = absl::ZeroDuration()}, Square, 4).Get(absl::ZeroDuration()).status().code(),
      absl::StatusCode::kResourceExhausted);
  std::thread other([this] { Go(); });
  EXPECT_EQ(executor_->Submit(Square, 5).Get(kPatience).value_or(-1), 25);
  other.join();
  EXPECT_EQ(second.Get(kPatience).value_or(-1), 4);
  EXPECT_EQ(third.Get(kPatience).value_or(-1), 9);
}

TEST_P(ExecutorEndTest, GetHasATimeoutAndTheTaskGoesOn) {
  EXPECT_EQ(running_->Get(absl::Milliseconds(1)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(running_->done());
  Go();
  EXPECT_TRUE(running_->Get(kPatience).ok());
}

TEST_P(ExecutorEndTest, ShutdownFinishesWhatWaitsAndTakesNothingMore) {
  const Future<int> waiting = executor_->Submit(Square, 2);
  EXPECT_EQ(executor_->Shutdown(absl::Milliseconds(1)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(executor_->Submit(Square, 3).Get(absl::ZeroDuration()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  Go();
  EXPECT_TRUE(executor_->Shutdown(kPatience).ok());
  EXPECT_EQ(waiting.Get(absl::ZeroDuration()).value_or(-1), 4);
  EXPECT_TRUE(executor_->worker_pids().empty());
  EXPECT_TRUE(executor_->Shutdown().ok());
  executor_->ShutdownNow();
}

TEST_P(ExecutorEndTest, ShutdownNowEndsAShutdownThatWaits) {
  std::thread waiting([this] { EXPECT_TRUE(executor_->Shutdown().ok()); });
  while (
      executor_->Submit({.wait_for_room = absl::ZeroDuration()}, Square, 1).Get(absl::ZeroDuration()).status().code() !=
      absl::StatusCode::kFailedPrecondition) {
    std::this_thread::yield();
  }
  executor_->ShutdownNow();
  waiting.join();
  EXPECT_EQ(running_->Get(absl::ZeroDuration()).code(), absl::StatusCode::kCancelled);
}

TEST_P(ExecutorEndTest, SubmitThatWaitsForRoomIsEndedByShutdown) {
  const Future<int> second = executor_->Submit(Square, 2);
  const Future<int> third = executor_->Submit(Square, 3);
  std::thread submitting([this] {
    EXPECT_THAT(executor_->Submit(Square, 4).Get().status().code(),
                testing::AnyOf(absl::StatusCode::kFailedPrecondition, absl::StatusCode::kCancelled));
  });
  executor_->ShutdownNow();
  submitting.join();
}

TEST_P(ExecutorEndTest, DestructionIsShutdownNow) {
  executor_.reset();
  EXPECT_EQ(running_->Get(absl::ZeroDuration()).code(), absl::StatusCode::kCancelled);
}

TEST_P(ExecutorEndTest, MovingItEndsWhatItIsMovedOver) {
  const Context context(GetParam(), {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
  Executor other = Executor::Create(context, {.workers = 1}).value();
  *executor_ = std::move(other);
  EXPECT_EQ(running_->Get(absl::ZeroDuration()).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(executor_->Submit(Square, 3).Get(kPatience).value_or(-1), 9);
  EXPECT_EQ(other.Submit(Square, 3).Get().status().code(), absl::StatusCode::kFailedPrecondition);  // NOLINT
}

using ExecutorUnwaitedTest = ExecutorTest;
BROOD_FOR_EACH_START_METHOD(ExecutorUnwaitedTest);

// CPython's test_shutdown_no_wait, and gh-132969, which hung.
TEST_P(ExecutorUnwaitedTest, AShutdownThatDoesNotWaitFinishesTasksThatNeedNewWorkers) {
  Executor executor = Make({.workers = 2, .max_tasks_per_child = 1});
  std::vector<Future<int>> futures;
  for (int i = 0; i < 6; ++i) futures.push_back(executor.Submit(Square, i));
  (void)executor.Shutdown(absl::ZeroDuration());
  for (int i = 0; i < 6; ++i) EXPECT_EQ(futures[i].Get(kPatience).value_or(-1), i * i);
  EXPECT_TRUE(executor.Shutdown(kPatience).ok());
}

using ExecutorOwnerTest = ExecutorTest;
BROOD_FOR_EACH_START_METHOD(ExecutorOwnerTest);

TEST_P(ExecutorOwnerTest, AProcessThatLeavesAnExecutorBehindEnds) {
  EXPECT_EQ(Run(LeaveAnExecutor, method()).outcome.ToString(), "exited with code 0");
}

TEST_P(ExecutorOwnerTest, AKilledOwnerLeavesNoWorker) {
  RawPipe pipe;
  absl::StatusOr<Process> owner = context_.Start(KeepAnExecutor, method(), pipe.writer);
  ASSERT_TRUE(owner.ok()) << owner.status();
  pipe.writer.reset();
  std::string text;
  for (char c = 0; c != '\n';) {
    ASSERT_TRUE(IsReadable(pipe.reader.get(), kPatienceMs));
    c = ReadByte(pipe.reader);
    ASSERT_NE(c, 0);
    text += c;
  }
  const UniqueFd worker = OpenPid(std::stoi(text));
  ASSERT_TRUE(worker.valid());
  EXPECT_TRUE(owner->Kill().ok());
  EXPECT_TRUE(IsReadable(worker.get(), kPatienceMs));
}

}  // namespace
}  // namespace brood
