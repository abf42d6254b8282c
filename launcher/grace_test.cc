// The end of a wall time in three steps: SIGTERM, a while, the end of the tree.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"

namespace brood {
namespace {

void WaitForTerm() {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, nullptr);
  int got = 0;
  sigwait(&term, &got);
  (void)!write(STDOUT_FILENO, "told", 4);
}
BROOD_TARGET(WaitForTerm);

void WaitBeyondTerm() {
  WaitForTerm();
  while (true) pause();
}
BROOD_TARGET(WaitBeyondTerm);

struct Way {
  const char* policy;
  bool on_server;  // Of a forkserver, not by a guardian's birth from here.
};

class GraceTest : public testing::TestWithParam<Way> {
 protected:
  struct Result {
    Outcome outcome;
    std::string output;
  };

  static Result Run(const std::string& script, absl::Duration wall_time, std::optional<absl::Duration> grace) {
    Policy policy = BuiltinPolicy(GetParam().policy).value();
    policy.limits.wall_time = wall_time;
    policy.limits.grace = grace;
    LaunchOptions options;
    options.policy = CompilePolicy(policy).value();
    options.argv = {"sh", "-c", script};
    options.stdin_spec = options.stderr_spec = Stdio::Null();
    options.stdout_spec = Stdio::Capture();
    static const Context server(StartMethod::kForkServer);
    absl::StatusOr<Process> process = GetParam().on_server ? server.Launch(options) : Process::Launch(options);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return {};
    Result result;
    const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    if (outcome.ok()) result.outcome = *outcome;
    const UniqueFd out = process->TakeStdout();
    char buffer[256];
    const ssize_t length = read(out.get(), buffer, sizeof(buffer));
    result.output.assign(buffer, length > 0 ? static_cast<size_t>(length) : 0);
    return result;
  }
};

INSTANTIATE_TEST_SUITE_P(Ways, GraceTest, testing::Values(Way{"none", false}, Way{"strict", false}, Way{"none", true}, Way{"strict", true}),
                         [](const auto& info) { return std::string(info.param.policy) + (info.param.on_server ? "_server" : ""); });

TEST_P(GraceTest, AProgramThatEndsInItSaysItsLastWordsAndWasTooSlowAllTheSame) {
  const Result result = Run("trap 'echo last words; exit 3' TERM; sleep 100 & wait; echo waited", absl::Milliseconds(300), absl::Seconds(50));
  EXPECT_TRUE(std::holds_alternative<TimedOut>(result.outcome.ending)) << result.outcome.ToString();
  EXPECT_EQ(result.output, "last words\n");
  EXPECT_GE(result.outcome.usage.wall_time, absl::Milliseconds(300));
  EXPECT_LT(result.outcome.usage.wall_time, absl::Seconds(40));
}

// A shell runs its trap when the program that it waits for has ended. Without a session of its own a child is told alone.
TEST_P(GraceTest, WhatIsInTheProgramsGroupIsToldToo) {
  if (std::string_view(GetParam().policy) == "none") GTEST_SKIP() << "its group is the caller's";
  const Result result = Run("trap 'echo last words' TERM; sleep 100; echo slept $?", absl::Milliseconds(300), absl::Seconds(50));
  EXPECT_TRUE(std::holds_alternative<TimedOut>(result.outcome.ending)) << result.outcome.ToString();
  EXPECT_EQ(result.output, "last words\nslept 143\n");
}

TEST_P(GraceTest, AProgramThatDoesNotIsKilledWhenItIsOver) {
  const Result result = Run("trap 'echo told' TERM; while :; do sleep 100 & wait; done", absl::Milliseconds(300), absl::Milliseconds(500));
  EXPECT_TRUE(std::holds_alternative<TimedOut>(result.outcome.ending)) << result.outcome.ToString();
  EXPECT_EQ(result.output, "told\n");
  EXPECT_GE(result.outcome.usage.wall_time, absl::Milliseconds(800));
}

TEST_P(GraceTest, AProgramThatEndsInItsWallTimeKnowsNothingOfIt) {
  const Result result = Run("trap 'echo told' TERM; exit 3", absl::Seconds(50), absl::Milliseconds(1));
  EXPECT_EQ(result.outcome.exit_code(), 3) << result.outcome.ToString();
  EXPECT_EQ(result.output, "");
}

TEST_P(GraceTest, WithoutItTheTreeIsKilledAtOnce) {
  const Result result = Run("trap 'echo told' TERM; while :; do sleep 100; done", absl::Milliseconds(300), std::nullopt);
  EXPECT_TRUE(std::holds_alternative<TimedOut>(result.outcome.ending)) << result.outcome.ToString();
  EXPECT_EQ(result.output, "");
}

// Those of a forkserver have no guardian.
TEST(GraceOfFunctionsTest, IsGivenWithEveryStartMethod) {
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    for (const bool ends : {true, false}) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(method), ends ? " ends" : " does not end"));
      Policy policy = BuiltinPolicy("none").value();
      policy.limits.wall_time = absl::Milliseconds(400);
      policy.limits.grace = ends ? absl::Seconds(50) : absl::Milliseconds(300);
      LaunchOptions options;
      options.policy = CompilePolicy(policy).value();
      int pipes[2];
      ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
      const UniqueFd reader(pipes[0]);
      UniqueFd writer(pipes[1]);
      options.stdout_spec = Stdio::Fd(writer.get());
      absl::StatusOr<Process> process = Context(method).StartByName(options, ends ? "WaitForTerm" : "WaitBeyondTerm", {});
      ASSERT_TRUE(process.ok()) << process.status();
      const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(40));
      ASSERT_TRUE(outcome.ok()) << outcome.status();
      EXPECT_TRUE(std::holds_alternative<TimedOut>(outcome->ending)) << outcome->ToString();
      EXPECT_GE(outcome->usage.wall_time, ends ? absl::Milliseconds(400) : absl::Milliseconds(700));
      writer.reset();
      char told[8] = {};
      EXPECT_EQ(read(reader.get(), told, sizeof(told)), 4);
    }
  }
}

TEST(GracePolicyTest, NeedsAWallTimeAfterWhichItBegins) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.grace = absl::Seconds(1);
  EXPECT_EQ(CompilePolicy(policy).status().message(), "limits: grace begins when wall_time is over, and there is none");
}

}  // namespace
}  // namespace brood
