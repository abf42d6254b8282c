// An Executor whose workers have a wall time, without any other isolation: what every system enforces.
#include <variant>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "sandbox/plan.h"
#include "tests/conformance/executor.h"

namespace brood {
namespace {

using ExecutorWallTimeTest = ExecutorTest;
BROOD_FOR_EACH_START_METHOD(ExecutorWallTimeTest);

LaunchOptions In(const Policy& policy) {
  LaunchOptions options;
  options.policy = CompilePolicy(policy).value();
  return options;
}

TEST_P(ExecutorWallTimeTest, AWorkerIsReplacedSilentlyBeforeItsWallTimeIsOver) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.wall_time = absl::Seconds(2);
  Executor executor = Make({.launch = In(policy)});
  const absl::Time begin = absl::Now();
  const int64_t first = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  while (!executor.worker_pids().empty() && absl::Now() - begin < kPatience) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2)) << "it was ended by the limit";
  // Not one of the tasks that go on for longer than a worker may live meets its end.
  while (absl::Now() - begin < absl::Seconds(5)) ASSERT_TRUE(executor.Submit(OwnPid).Get(kPatience).ok());
  EXPECT_NE(first, 0);
}

TEST_P(ExecutorWallTimeTest, ATaskThatReachesTheWallTimeGetsTheOutcome) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.wall_time = absl::Seconds(2);
  Executor executor = Make({.launch = In(policy)});
  const absl::Status status = executor.Submit(Spin).Get(kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  ASSERT_TRUE(OutcomeOf(status).has_value());
  EXPECT_TRUE(std::holds_alternative<TimedOut>(OutcomeOf(status)->ending)) << status;
  EXPECT_EQ(executor.Submit(Square, 3).Get(kPatience).value_or(-1), 9);
}

}  // namespace
}  // namespace brood
