// What an Executor promises of tasks and their results, once for each start method. Many of these are CPython's
// Lib/test/test_concurrent_futures: test_process_pool.py, test_init.py.
#include "tests/conformance/executor.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

using testing::HasSubstr;

void TakeDescriptor(const UniqueFd&) {}
BROOD_TARGET(TakeDescriptor);

int Unregistered(int x) { return x; }

ExitCode ReturnExitCode(int code) { return {code}; }
BROOD_TARGET(ReturnExitCode);

absl::StatusOr<int> Refuse(bool refuse) {
  if (refuse) return absl::NotFoundError("nothing here");
  return 1;
}
BROOD_TARGET(Refuse);

BROOD_FOR_EACH_START_METHOD(ExecutorTest);

TEST_P(ExecutorTest, ATaskGivesWhatItsFunctionReturned) {
  Executor executor = Make();
  const Future<int> future = executor.Submit(Square, 7);
  EXPECT_EQ(future.Get(kPatience).value_or(-1), 49);
  EXPECT_EQ(future.Get().value_or(-1), 49);
  EXPECT_TRUE(future.done());
  EXPECT_TRUE(executor.Submit(Nothing).Get(kPatience).ok());
  EXPECT_EQ(executor.Submit(Refuse, false).Get(kPatience).value_or(-1), 1);
  EXPECT_TRUE(executor.Shutdown(kPatience).ok());
}

TEST_P(ExecutorTest, AStatusAndAnExitCodeArriveAndTheWorkerGoesOn) {
  Executor executor = Make();
  const int64_t before = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  EXPECT_EQ(executor.Submit(Refuse, true).Get(kPatience).status(), absl::NotFoundError("nothing here"));
  EXPECT_TRUE(executor.Submit(ReturnExitCode, 0).Get(kPatience).ok());
  EXPECT_EQ(executor.Submit(ReturnExitCode, 3).Get(kPatience), absl::AbortedError("returned exit code 3"));
  EXPECT_EQ(executor.Submit(OwnPid).Get(kPatience).value_or(0), before);
}

TEST_P(ExecutorTest, AnExceptionArrivesWithTypeAndMessageAndTheWorkerGoesOn) {
  Executor executor = Make();
  const int64_t before = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  const absl::Status status = executor.Submit(Throw).Get(kPatience).status();
  EXPECT_EQ(status.message(), "std::invalid_argument: no such thing");
  EXPECT_EQ(status.GetPayload(kExceptionTypeUrl).value_or(absl::Cord()), "std::invalid_argument");
  EXPECT_FALSE(OutcomeOf(status).has_value());
  EXPECT_EQ(executor.Submit(OwnPid).Get(kPatience).value_or(0), before);
}

TEST_P(ExecutorTest, AWorkerThatDiesFailsItsOwnTaskWithTheOutcomeAndIsReplaced) {
  Executor executor = Make();
  const int64_t before = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  const Future<void> killed = executor.Submit(Die);
  const Future<int> behind = executor.Submit(Square, 3);
  const absl::Status status = killed.Get(kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  ASSERT_TRUE(OutcomeOf(status).has_value());
  EXPECT_EQ(OutcomeOf(status)->exit_code(), kDeathCode);
  EXPECT_EQ(behind.Get(kPatience).value_or(-1), 9);
  EXPECT_NE(executor.Submit(OwnPid).Get(kPatience).value_or(0), before);
}

TEST_P(ExecutorTest, AnExitInATaskEndsTheWorkerAndTheTaskTellsTheCode) {
  Executor executor = Make();
  const absl::Status status = executor.Submit(ExitWith, 3).Get(kPatience);
  EXPECT_THAT(status.message(), HasSubstr("exited with code 3"));
  EXPECT_EQ(executor.Submit(Square, 2).Get(kPatience).value_or(-1), 4);
}

// CPython's test_idle_process_reuse_one.
TEST_P(ExecutorTest, OneWorkerIsStartedForTasksThatComeOneAfterTheOther) {
  Executor executor = Make({.workers = 4});
  const int64_t first = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(executor.Submit(OwnPid).Get(kPatience).value_or(0), first);
  EXPECT_EQ(executor.worker_pids().size(), 1u);
}

// CPython's test_saturation.
TEST_P(ExecutorTest, ThereAreNeverMoreWorkersThanAllowed) {
  Executor executor = Make({.workers = 2});
  std::vector<Future<int64_t>> futures;
  for (int i = 0; i < 200; ++i) futures.push_back(executor.Submit(OwnPid));
  std::set<int64_t> pids;
  for (const auto& future : futures) pids.insert(future.Get(kPatience).value_or(0));
  EXPECT_LE(pids.size(), 2u);
  EXPECT_LE(executor.worker_pids().size(), 2u);
}

TEST_P(ExecutorTest, AFunctionThatIsNotRegisteredIsNotFound) {
  Executor executor = Make();
  EXPECT_EQ(executor.Submit(Unregistered, 1).Get(kPatience).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(ExecutorTest, DescriptorsInArgumentsAreRefusedAndInAnInitialiserTheyWork) {
  RawPipe pipe;
  std::optional<Executor> executor = Make({.initializer = Initializer(HoldDescriptor, pipe.writer)});
  pipe.writer.reset();
  EXPECT_EQ(executor->Submit(TakeDescriptor, pipe.reader).Get(kPatience).code(), absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(executor->Submit(WriteToHeld, 'h').Get(kPatience).ok());
  executor.reset();  // The set-up, and its descriptors, go with it.
  EXPECT_EQ(ReadToEnd(pipe.reader.get()), "h");
}

TEST_P(ExecutorTest, SixteenMebibytesGoInAndOut) {
  Executor executor = Make();
  constexpr uint64_t kBytes = 16 << 20;
  EXPECT_EQ(executor.Submit(Count, std::string(kBytes, 'x')).Get(kPatience).value_or(0), kBytes);
  EXPECT_EQ(executor.Submit(Letters, kBytes).Get(kPatience).value_or("").size(), kBytes);
}

TEST_P(ExecutorTest, AWorkerThatDiesInItsInitialiserBreaksTheExecutorWithTheOutcome) {
  Executor executor = Make({.initializer = Initializer(Die)});
  const absl::Status status = executor.Submit(Square, 1).Get(kPatience).status();
  ASSERT_TRUE(OutcomeOf(status).has_value()) << status;
  EXPECT_EQ(OutcomeOf(status)->exit_code(), kDeathCode);
}

// CPython's test_max_tasks_early_shutdown.
TEST_P(ExecutorTest, ShutdownFinishesTasksThatNeedNewWorkers) {
  Executor executor = Make({.workers = 2, .max_tasks_per_child = 1});
  std::vector<Future<int>> futures;
  for (int i = 0; i < 6; ++i) futures.push_back(executor.Submit(Square, i));
  EXPECT_TRUE(executor.Shutdown(kPatience).ok());
  for (int i = 0; i < 6; ++i) EXPECT_EQ(futures[i].Get(absl::ZeroDuration()).value_or(-1), i * i);
}

}  // namespace
}  // namespace brood
