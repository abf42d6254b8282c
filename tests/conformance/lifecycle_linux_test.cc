// What of a process object's life is about guardians and about forks of its owner.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "launcher/process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

void SayGuardian(const UniqueFd& pipe) {
  const pid_t numbers[] = {getppid(), getpid()};
  (void)!write(pipe.get(), numbers, sizeof(numbers));
  Sleep();
}
BROOD_TARGET(SayGuardian);

using LifecycleTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(LifecycleTest);

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
