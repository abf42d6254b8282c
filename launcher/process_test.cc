#include "launcher/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "gtest/gtest.h"

namespace brood {
namespace {

std::shared_ptr<const CompiledPolicy> Compiled(std::string_view name) {
  absl::StatusOr<Policy> policy = BuiltinPolicy(name);
  EXPECT_TRUE(policy.ok()) << policy.status();
  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(*policy);
  EXPECT_TRUE(compiled.ok()) << compiled.status();
  return compiled.ok() ? *compiled : nullptr;
}

std::string ReadAll(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  ssize_t n;
  while ((n = pread(fd.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

class ProcessTest : public testing::TestWithParam<std::string> {
 protected:
  LaunchOptions Shell(const std::string& script) {
    LaunchOptions options;
    options.argv = {"sh", "-c", script};
    options.policy = policy_;
    options.stdin_spec = Stdio::Null();
    return options;
  }
  Outcome Run(const std::string& script) {
    absl::StatusOr<Process> process = Process::Launch(Shell(script));
    EXPECT_TRUE(process.ok()) << process.status();
    absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? *outcome : Outcome();
  }
  std::shared_ptr<const CompiledPolicy> policy_ = Compiled(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Policies, ProcessTest, testing::Values("none", "networked", "default", "strict"),
                         [](const auto& param) { return param.param; });

TEST_P(ProcessTest, ExitCodesAreExact) {
  for (int code : {0, 1, 7, 137, 255}) {
    const Outcome outcome = Run("exit " + std::to_string(code));
    ASSERT_TRUE(std::holds_alternative<Exited>(outcome.ending)) << outcome.ToString();
    EXPECT_EQ(outcome.exit_code(), code);
  }
}

TEST_P(ProcessTest, SignalsOfTheProgramAreTrue) {
  for (int number : {SIGSEGV, SIGKILL, SIGABRT, SIGTERM}) {
    const Outcome outcome = Run("kill -" + std::to_string(number) + " $$; exit 3");
    const auto* signaled = std::get_if<Signaled>(&outcome.ending);
    ASSERT_NE(signaled, nullptr) << outcome.ToString();
    EXPECT_EQ(signaled->signal, number);
    EXPECT_EQ(outcome.exit_code(), -number);
    EXPECT_EQ(outcome.ShellExitCode(), 128 + number);
  }
}

TEST_P(ProcessTest, CapturesBothStreamsExactly) {
  LaunchOptions options = Shell("printf out; printf err >&2");
  options.stdout_spec = Stdio::Capture();
  options.stderr_spec = Stdio::Capture();
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(outcome->ok()) << outcome->ToString();
  EXPECT_EQ(ReadAll(process->TakeStdout()), "out");
  EXPECT_EQ(ReadAll(process->TakeStderr()), "err");
  EXPECT_EQ(outcome->stdout_result.bytes, 3u);
}

TEST_P(ProcessTest, StartFailsWithNotFoundWhenProgramIsMissing) {
  LaunchOptions options = Shell("");
  options.argv = {"/nonexistent/program"};
  EXPECT_EQ(Process::Start(options).status().code(), absl::StatusCode::kNotFound) << Process::Start(options).status();
  options.argv = {"no-such-program-anywhere"};
  EXPECT_EQ(Process::Start(options).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(ProcessTest, NotExecutableIsToldFromNotFound) {
  LaunchOptions options = Shell("");
  options.argv = {"/usr/bin"};
  absl::StatusOr<Process> process = Process::Launch(options);
  ASSERT_TRUE(process.ok());
  absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
  ASSERT_TRUE(outcome.ok());
  const auto* failed = std::get_if<SetupFailed>(&outcome->ending);
  ASSERT_NE(failed, nullptr) << outcome->ToString();
  EXPECT_EQ(failed->step, "exec");
  EXPECT_EQ(failed->error_number, EACCES);
  EXPECT_EQ(outcome->ShellExitCode(), 126);
}

TEST_P(ProcessTest, JoinTimesOutAndTheChildRunsOn) {
  absl::StatusOr<Process> process = Process::Start(Shell("sleep 60"));
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ(process->Join(absl::ZeroDuration()).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(process->IsAlive());
  EXPECT_GT(process->pid(), 0);
  EXPECT_FALSE(process->Close().ok());
  ASSERT_TRUE(process->Kill().ok());
  absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->exit_code(), -SIGKILL);
  EXPECT_TRUE(process->Close().ok());
}

TEST_P(ProcessTest, TerminateReachesTheProgram) {
  LaunchOptions options = Shell("trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done");
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd read_end(pipe[0]), write_end(pipe[1]);
  options.stdout_spec = Stdio::Fd(write_end.get());
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  char byte;
  ASSERT_EQ(read(read_end.get(), &byte, 1), 1);
  ASSERT_TRUE(process->Terminate().ok());
  absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->exit_code(), 9) << outcome->ToString();
}

TEST_P(ProcessTest, ADaemonIsDeadWhenTheOutcomeIsGiven) {
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd read_end(pipe[0]), write_end(pipe[1]);
  LaunchOptions options = Shell("(setsid sh -c 'echo x; exec sleep 600' &) ; sleep 0.2; exit 0");
  options.stdout_spec = Stdio::Fd(write_end.get());
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  write_end.reset();
  absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(outcome->ok()) << outcome->ToString();
  // End of file proves that nobody holds the write end any more.
  char buffer[16];
  fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  ssize_t n;
  while ((n = read(read_end.get(), buffer, sizeof(buffer))) > 0) {
  }
  EXPECT_EQ(n, 0) << "somebody of the tree is alive";
}

TEST_P(ProcessTest, TheWallTimeIsNoLessThanThatOfTheProgram) {
  EXPECT_GE(Run("sleep 0.1").usage.wall_time, absl::Milliseconds(100));
}

TEST_P(ProcessTest, WallTimeEndsASleeperAsTimedOut) {
  Policy policy = policy_->policy();
  policy.limits.wall_time = absl::Milliseconds(200);
  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  policy_ = *compiled;
  const Outcome outcome = Run("sleep 600");
  EXPECT_TRUE(std::holds_alternative<TimedOut>(outcome.ending)) << outcome.ToString();
  EXPECT_EQ(outcome.ShellExitCode(), 124);
}

TEST_P(ProcessTest, OutputLimitEndsAFloodAndKeepsWhatIsBelowIt) {
  Policy policy = policy_->policy();
  policy.limits.output_bytes = 100000;
  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  policy_ = *compiled;
  LaunchOptions options = Shell("yes");
  options.stdout_spec = Stdio::Capture();
  absl::StatusOr<Process> process = Process::Launch(options);
  ASSERT_TRUE(process.ok());
  absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->StatusWord(), "output") << outcome->ToString();
  EXPECT_TRUE(outcome->stdout_result.truncated);
  EXPECT_EQ(ReadAll(process->TakeStdout()).size(), 100000u);
}

TEST_P(ProcessTest, OnlyListedDescriptorsReachTheChild) {
  UniqueFd leaked(open("/dev/null", O_RDONLY));  // Not close-on-exec, on purpose.
  ASSERT_TRUE(leaked.valid());
  UniqueFd given(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  LaunchOptions options = Shell("for f in /proc/self/fd/*; do echo ${f##*/}; done");
  options.inherited = {{given.get(), 7}};
  options.stdout_spec = Stdio::Capture();
  absl::StatusOr<Process> process = Process::Launch(options);
  ASSERT_TRUE(process.ok());
  ASSERT_TRUE(process->Join(absl::Seconds(30)).ok());
  // 3 or higher but 7 is the shell's own descriptor of the directory that it lists.
  const std::string listed = ReadAll(process->TakeStdout());
  EXPECT_TRUE(listed == "0\n1\n2\n3\n7\n" || listed == "0\n1\n2\n7\n") << listed;
}

TEST(ProcessPolicyTest, StrictReportsAForbiddenCallByName) {
  LaunchOptions options;
  options.argv = {"unshare", "-U", "true"};
  options.policy = Compiled("strict");
  absl::StatusOr<Process> process = Process::Launch(options);
  ASSERT_TRUE(process.ok());
  absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
  ASSERT_TRUE(outcome.ok());
  const auto* violation = std::get_if<Violation>(&outcome->ending);
  ASSERT_NE(violation, nullptr) << outcome->ToString();
  EXPECT_EQ(violation->syscall, "unshare");
  EXPECT_EQ(violation->args[0], 0x10000000u);
  EXPECT_EQ(outcome->ShellExitCode(), 159);
}

TEST(ProcessPolicyTest, AHundredLaunchesLeakNoDescriptor) {
  const int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(before);
  for (int i = 0; i < 100; ++i) {
    absl::StatusOr<Process> process = Process::Launch({.argv = {i % 2 == 0 ? "true" : "/nonexistent"}});
    ASSERT_TRUE(process.ok());
    ASSERT_TRUE(process->Join().ok());
  }
  const int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(after);
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace brood
