// What an Executor promises, once for each start method. Many of these are CPython's
// Lib/test/test_concurrent_futures/test_process_pool.py and test_deadlock.py.
#include "launcher/executor.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bootstrap/exit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Milliseconds(kPatienceMs);

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

int64_t OwnPid() { return getpid(); }
BROOD_TARGET(OwnPid);

void RaiseKill() { raise(SIGKILL); }
BROOD_TARGET(RaiseKill);

int Throw() { throw std::invalid_argument("no such thing"); }
BROOD_TARGET(Throw);

void ExitWith(int code) { Exit(code); }
BROOD_TARGET(ExitWith);

class ExecutorTest : public ConformanceTest {
 protected:
  Executor Make(ExecutorOptions options = {}) {
    if (options.workers == 0) options.workers = 1;
    return Executor::Create(context_, std::move(options)).value();
  }
};

BROOD_FOR_EACH_START_METHOD(ExecutorTest);

TEST_P(ExecutorTest, ATaskGivesWhatItsFunctionReturned) {
  Executor executor = Make();
  const Future<int> future = executor.Submit(Square, 7);
  EXPECT_EQ(future.Get(kPatience).value_or(-1), 49);
  EXPECT_EQ(future.Get().value_or(-1), 49);
  EXPECT_TRUE(future.done());
  EXPECT_TRUE(executor.Submit(Nothing).Get(kPatience).ok());
  EXPECT_TRUE(executor.Shutdown(kPatience).ok());
}

TEST_P(ExecutorTest, AWorkerThatDiesFailsItsOwnTaskWithTheOutcomeAndIsReplaced) {
  Executor executor = Make();
  const int64_t before = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  const Future<void> killed = executor.Submit(RaiseKill);
  const Future<int> behind = executor.Submit(Square, 3);
  const absl::Status status = killed.Get(kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  ASSERT_TRUE(OutcomeOf(status).has_value());
  EXPECT_EQ(OutcomeOf(status)->exit_code(), -SIGKILL);
  EXPECT_EQ(behind.Get(kPatience).value_or(-1), 9);
  EXPECT_NE(executor.Submit(OwnPid).Get(kPatience).value_or(0), before);
}

TEST_P(ExecutorTest, AnExceptionArrivesWithTypeMessageAndStackAndTheWorkerGoesOn) {
  Executor executor = Make();
  const int64_t before = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  const absl::Status status = executor.Submit(Throw).Get(kPatience).status();
  EXPECT_EQ(status.message(), "std::invalid_argument: no such thing");
  EXPECT_EQ(status.GetPayload(kExceptionTypeUrl).value_or(absl::Cord()), "std::invalid_argument");
  EXPECT_FALSE(OutcomeOf(status).has_value());
  EXPECT_EQ(executor.Submit(OwnPid).Get(kPatience).value_or(0), before);
}

TEST_P(ExecutorTest, AnExitInATaskEndsTheWorkerAndTheTaskTellsTheCode) {
  Executor executor = Make();
  const absl::Status status = executor.Submit(ExitWith, 3).Get(kPatience);
  EXPECT_THAT(status.message(), HasSubstr("exited with code 3"));
  EXPECT_EQ(executor.Submit(Square, 2).Get(kPatience).value_or(-1), 4);
}

}  // namespace
}  // namespace brood
