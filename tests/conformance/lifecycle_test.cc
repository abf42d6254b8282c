// What can be asked of a process object before its start, while it runs, after its end and after Close (_TestProcess).
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "launcher/children.h"
#include "launcher/process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

int64_t OwnPid() { return getpid(); }
BROOD_TARGET(OwnPid);

// Whether programs that this process starts are daemons: unless said otherwise, and where it is said that not.
std::vector<bool> DaemonFlagsOfPrograms() {
  const bool by_default = Process::Start({.argv = {"true"}})->daemon();
  const bool refused = Process::Start({.argv = {"true"}, .daemon = false})->daemon();
  const bool asked = Process::Start({.argv = {"true"}, .daemon = true})->daemon();
  return {by_default, refused, asked};
}
BROOD_TARGET(DaemonFlagsOfPrograms);

void SayGuardian(const UniqueFd& pipe) {
  const pid_t numbers[] = {getppid(), getpid()};
  (void)!write(pipe.get(), numbers, sizeof(numbers));
  Sleep();
}
BROOD_TARGET(SayGuardian);

using LifecycleTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(LifecycleTest);

TEST_P(LifecycleTest, ThePidIsWhatTheChildSays) {
  Process process = context_.Start(OwnPid).value();
  const pid_t pid = process.pid();
  EXPECT_EQ(process.Result<int64_t>().value(), pid);
  EXPECT_EQ(process.pid(), pid);
}

TEST_P(LifecycleTest, ACreatorsDaemonFlagIsTheDefaultAndAnExplicitOneWins) {
  EXPECT_EQ(context_.Call(DaemonFlagsOfPrograms).value(), (std::vector<bool>{false, false, true}));
  EXPECT_EQ(context_.Call({.daemon = true}, DaemonFlagsOfPrograms).value(), (std::vector<bool>{true, false, true}));
}

TEST_P(LifecycleTest, AskingWhetherItLivesReapsIt) {
  Process process = context_.Start(Nothing).value();
  ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  EXPECT_FALSE(process.IsAlive());
  EXPECT_TRUE(ActiveChildren().empty());
  EXPECT_EQ(process.exit_code(), 0);
}

TEST_P(LifecycleTest, JoiningAgainGivesTheSameOutcomeAtOnce) {
  Process process = context_.Start(Sleep).value();
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join().ok());
  for (const absl::Duration timeout : {absl::InfiniteDuration(), absl::ZeroDuration(), -absl::Seconds(1)}) {
    EXPECT_EQ(process.Join(timeout)->exit_code(), -SIGKILL);
  }
}

TEST_P(LifecycleTest, AfterCloseOnlyTheNameAndTheFlagAreKnown) {
  Process process = context_.Start({.name = "n", .daemon = true}, Nothing).value();
  ASSERT_TRUE(process.Join().ok());
  ASSERT_EQ(process.Close(), absl::OkStatus());
  EXPECT_EQ(process.name(), "n");
  EXPECT_TRUE(process.daemon());
  EXPECT_EQ(process.pid(), 0);
  EXPECT_EQ(process.sentinel(), -1);
  EXPECT_FALSE(process.exit_code().has_value());
  EXPECT_FALSE(process.IsAlive());
  for (const absl::Status& status : {process.Join().status(), process.Terminate(), process.Kill(), process.Signal(SIGINT),
                                     process.Start(), process.Result<void>(), process.set_daemon(false)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  }
}

TEST_P(LifecycleTest, AChildWhoseGuardianIsKilledIsLostAndDoesNotLiveOn) {
  RawPipe pipe;
  Process process = context_.Start(SayGuardian, pipe.writer).value();
  pid_t numbers[2] = {};
  ASSERT_EQ(read(pipe.reader.get(), numbers, sizeof(numbers)), static_cast<ssize_t>(sizeof(numbers)));
  const UniqueFd child = OpenPid(numbers[1]);
  ASSERT_EQ(kill(numbers[0], SIGKILL), 0);
  const absl::StatusOr<Outcome> outcome = process.Join(absl::Milliseconds(kPatienceMs));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->StatusWord(), "lost") << outcome->ToString();
  EXPECT_FALSE(process.IsAlive());
  EXPECT_TRUE(IsReadable(child.get(), kPatienceMs));
}

// test_error_on_stdio_flush: what the parent's streams do is nobody else's affair.
TEST_P(LifecycleTest, AParentWhoseOutputIsBrokenStillStartsChildren) {
  const pid_t pid = fork();
  if (pid == 0) {
    const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
    dup2(full.get(), STDOUT_FILENO);
    std::fputs("is never written", stdout);
    const bool with_full = context_.Call({.stdout_spec = Stdio::Null()}, Identity, 7).value_or(0) == 7;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    const bool with_none = context_.Call(Identity, 8).value_or(0) == 8;
    _exit(with_full && with_none ? 0 : with_full ? 2 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace brood
