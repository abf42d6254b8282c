// Signals and codes of the program are told apart, and can't be forged.
#include <signal.h>

#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

class SignalsTest : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Policies, SignalsTest, testing::Values("strict", "default", "none"),
                         [](const auto& param) { return param.param; });

int SignalOf(const Ended& run) {
  const auto* signaled = std::get_if<Signaled>(&run.outcome.ending);
  return signaled != nullptr ? signaled->signal : 0;
}

int CodeOf(const Ended& run) {
  const auto* exited = std::get_if<Exited>(&run.outcome.ending);
  return exited != nullptr ? exited->code : -1;
}

TEST_P(SignalsTest, FiveEndsAreFiveOutcomes) {
  EXPECT_EQ(SignalOf(RunProgram(GetParam(), {"raises_segv"})), SIGSEGV);
  EXPECT_EQ(SignalOf(RunProgram(GetParam(), {"raises_kill"})), SIGKILL);
  EXPECT_EQ(SignalOf(RunProgram(GetParam(), {"aborts"})), SIGABRT);
  EXPECT_EQ(CodeOf(RunProgram(GetParam(), {"exits_with", "137"})), 137);
  EXPECT_EQ(CodeOf(RunProgram(GetParam(), {"exits_with", "255"})), 255);
}

TEST_P(SignalsTest, ASignalThatLooksLikeALimitIsASignal) {
  // With the limit as well: the kernel speaks of it by SIGKILL, so that SIGXCPU is always somebody's.
  EXPECT_EQ(SignalOf(RunProgram(GetParam(), {"raises_xcpu"}, {.policy = [](Policy& policy) {
                                  policy.default_limits.cpu_time = absl::Seconds(30);
                                }})),
            SIGXCPU);
  EXPECT_EQ(SignalOf(RunProgram(GetParam(), {"raises_term"})), SIGTERM);
}

TEST_P(SignalsTest, EverySignalThatEndsAProgramIsTold) {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    switch (number) {
      case SIGCHLD:
      case SIGCONT:
      case SIGURG:
      case SIGWINCH:  // Ignored by default,
      case SIGSTOP:
      case SIGTSTP:
      case SIGTTIN:
      case SIGTTOU:  // or no end. signal(7).
        continue;
      default:
        break;
    }
    const Ended run = RunProgram(GetParam(), {"raises", std::to_string(number)});
    EXPECT_EQ(SignalOf(run), number) << run.Text();
  }
}

TEST_P(SignalsTest, AnExitIsToldThoughTheInitWasStopped) {
  // Often enough to stop it before it has said that the program runs.
  for (int i = 0; i < 30; ++i) {
    const Ended run = RunProgram(GetParam(), {"stops_parent_and_exits", "launched"});
    ASSERT_EQ(CodeOf(run), 5) << run.Text();
    ASSERT_LT(run.outcome.usage.wall_time, absl::Seconds(5));
  }
}

TEST_P(SignalsTest, AForgedReportIsNotBelieved) {
  const Ended run = RunProgram(GetParam(), {"forges_status"});
  EXPECT_EQ(CodeOf(run), 77) << run.Text();
  EXPECT_TRUE(absl::StrContains(run.out, "reports written: 0")) << run.Text();
}

TEST_P(SignalsTest, TrappingTheRequestToEndDoesNotTurnATimeoutIntoSuccess) {
  const Ended run = RunProgram(GetParam(), {"traps_term"},
                               {.policy = [](Policy& policy) { policy.limits.wall_time = absl::Milliseconds(300); }});
  EXPECT_EQ(run.outcome.StatusWord(), "timeout") << run.Text();
}

}  // namespace
}  // namespace brood
