// An Executor whose workers are sandboxed, once for each start method.
#include <sys/mount.h>

#include <memory>
#include <variant>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "sandbox/plan.h"
#include "tests/conformance/executor.h"

namespace brood {
namespace {

void Mount() { mount("none", "/tmp", "tmpfs", 0, nullptr); }
BROOD_TARGET(Mount);

using ExecutorPolicyTest = ExecutorTest;
BROOD_FOR_EACH_START_METHOD(ExecutorPolicyTest);

LaunchOptions In(const Policy& policy) {
  LaunchOptions options;
  options.policy = CompilePolicy(policy).value();
  return options;
}

TEST_P(ExecutorPolicyTest, AViolationIsItsTasksOutcome) {
  Executor executor = Make({.launch = In(BuiltinPolicy("strict").value())});
  const absl::Status status = executor.Submit(Mount).Get(kPatience);
  ASSERT_TRUE(OutcomeOf(status).has_value()) << status;
  ASSERT_TRUE(std::holds_alternative<Violation>(OutcomeOf(status)->ending)) << status;
  EXPECT_EQ(std::get<Violation>(OutcomeOf(status)->ending).syscall, "mount");
  EXPECT_EQ(executor.Submit(Square, 3).Get(kPatience).value_or(-1), 9);
}

TEST_P(ExecutorPolicyTest, AWorkerIsReplacedSilentlyBeforeItsWallTimeIsOver) {
  Policy policy = BuiltinPolicy("strict").value();
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

TEST_P(ExecutorPolicyTest, ATaskThatReachesTheWallTimeGetsTheOutcome) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.limits.wall_time = absl::Milliseconds(400);
  Executor executor = Make({.launch = In(policy)});
  const absl::Status status = executor.Submit(Spin).Get(kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  ASSERT_TRUE(OutcomeOf(status).has_value());
  EXPECT_TRUE(std::holds_alternative<TimedOut>(OutcomeOf(status)->ending)) << status;
  EXPECT_EQ(executor.Submit(Square, 3).Get(kPatience).value_or(-1), 9);
}

TEST_P(ExecutorPolicyTest, WorkersAreSandboxedByThePolicyOfThePool) {
  for (const char* name : {"strict", "default", "networked", "none"}) {
    Executor executor = Make({.launch = In(BuiltinPolicy(name).value())});
    EXPECT_EQ(executor.Submit(Square, 7).Get(kPatience).value_or(-1), 49) << name;
    EXPECT_EQ(executor.Submit(Count, std::string(1 << 20, 'x')).Get(kPatience).value_or(0), uint64_t{1} << 20) << name;
    const absl::Status killed = executor.Submit(Die).Get(kPatience);
    ASSERT_TRUE(OutcomeOf(killed).has_value()) << name << killed;
    EXPECT_EQ(OutcomeOf(killed)->exit_code(), kDeathCode) << name;
    EXPECT_EQ(executor.Submit(Square, 3).Get(kPatience).value_or(-1), 9) << name;
  }
}

TEST_P(ExecutorPolicyTest, APolicyThatCannotBeMetFailsCreate) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.files.push_back({.source = "/nonexistent/source", .destination = "/nonexistent/source"});
  const auto compiled = CompilePolicy(policy);
  if (!compiled.ok()) GTEST_SKIP() << "refused when it is compiled: " << compiled.status();
  EXPECT_FALSE(Executor::Create(context_, {.workers = 1, .launch = {.policy = *compiled}}).ok());
}

}  // namespace
}  // namespace brood
