// What of a child's end is about what it leaves behind, what it executes, and about signals.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/time/clock.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// Leaves a process behind that holds all that it inherited.
int LeaveGrandchild() {
  if (fork() == 0) {
    setsid();
    while (true) pause();
  }
  return 7;
}
BROOD_TARGET(LeaveGrandchild);

// Becomes `cat`, which ends when stdin does.
void BecomeCat() {
  execlp("cat", "cat", nullptr);
  _exit(99);
}
BROOD_TARGET(BecomeCat);

using SentinelTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(SentinelTest);

TEST_P(SentinelTest, AGrandchildThatSurvivesDoesNotDelayTheEnd) {
  Process process = context_.Start(LeaveGrandchild).value();
  EXPECT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  const absl::StatusOr<Outcome> outcome = process.Join(absl::ZeroDuration());
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->exit_code(), 0);
  EXPECT_EQ(process.Result<int>().value(), 7);
}

TEST_P(SentinelTest, AProgramThatTheChildExecutesIsStillTheChild) {
  RawPipe pipe;
  LaunchOptions options;
  options.stdin_spec = Stdio::Fd(pipe.reader.get());
  Process process = context_.Start(options, BecomeCat).value();
  const absl::Time start = absl::Now();
  EXPECT_EQ(process.Join(absl::Milliseconds(200)).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
  EXPECT_FALSE(IsReadable(process.sentinel()));
  EXPECT_TRUE(process.IsAlive());
  pipe.writer.reset();
  EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
}

TEST_P(SentinelTest, AHandlerThatRunsDuringAJoinDisturbsNothing) {
  struct sigaction handler = {};
  handler.sa_handler = [](int) {};  // Without SA_RESTART.
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGUSR1, &handler, &before), 0);
  const pid_t self = getpid();
  RawPipe pipe;
  Process process = context_.Start(WaitForEnd, pipe.reader).value();
  const pid_t disturber = fork();
  if (disturber == 0) {
    // The pauses spread the signals over the join; nothing waits for them.
    for (int i = 0; i < 200; ++i) kill(self, SIGUSR1), usleep(100);
    _exit(0);
  }
  pipe.writer.reset();  // The disturber has a copy, and ends before the child can.
  EXPECT_EQ(process.Join()->exit_code(), 0);
  EXPECT_EQ(waitpid(disturber, nullptr, 0), disturber);
  sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
}  // namespace brood
