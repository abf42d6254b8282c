// What process.h promises, call by call.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/launcher.h"

namespace brood {
namespace {

struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    reader.reset(fds[0]);
    writer.reset(fds[1]);
  }
  UniqueFd reader;
  UniqueFd writer;
};

std::string TextOf(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = pread(fd.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

// Runs until a line comes.
Process StartReader(const Pipe& pipe, LaunchOptions options = {}) {
  options.argv = {"sh", "-c", "read line; exit 7"};
  options.stdin_spec = Stdio::Fd(pipe.reader.get());
  absl::StatusOr<Process> process = Process::Start(options);
  EXPECT_TRUE(process.ok()) << process.status();
  return *std::move(process);
}

void LetGo(const Pipe& pipe) { ASSERT_EQ(write(pipe.writer.get(), "\n", 1), 1); }

bool IsReadable(int fd, int timeout_ms = 0) {
  pollfd poll_fd = {.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&poll_fd, 1, timeout_ms) == 1;
}

UniqueFd PidFd(pid_t pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

TEST(ProcessContractTest, JoinNeverWaitsLongerThanAskedAndMayBeRepeated) {
  const Pipe pipe;
  Process process = StartReader(pipe);
  for (const absl::Duration timeout :
       {absl::ZeroDuration(), -absl::Seconds(1), -absl::InfiniteDuration(), absl::Milliseconds(1)}) {
    EXPECT_EQ(process.Join(timeout).status().code(), absl::StatusCode::kDeadlineExceeded) << timeout;
  }
  LetGo(pipe);
  EXPECT_EQ(process.Join().value().exit_code(), 7);
  EXPECT_EQ(process.Join(absl::ZeroDuration()).value().exit_code(), 7);
  EXPECT_EQ(process.Join(absl::Seconds(int64_t{1} << 60)).value().exit_code(), 7);
}

TEST(ProcessContractTest, WhatIsKnownBeforeAndAfterTheEnd) {
  const Pipe pipe;
  LaunchOptions options;
  options.daemon = true;
  Process process = StartReader(pipe, options);
  EXPECT_TRUE(process.IsAlive());
  EXPECT_FALSE(process.exit_code().has_value());
  EXPECT_GT(process.pid(), 0);
  EXPECT_EQ(kill(process.pid(), 0), 0);
  EXPECT_EQ(process.name(), "sh");
  EXPECT_TRUE(process.daemon());
  EXPECT_EQ(process.Close().code(), absl::StatusCode::kFailedPrecondition);
  LetGo(pipe);
  ASSERT_TRUE(process.Join(absl::Seconds(20)).ok());
  EXPECT_FALSE(process.IsAlive());
  EXPECT_EQ(process.exit_code(), 7);
  EXPECT_GT(process.pid(), 0);
  EXPECT_TRUE(process.Close().ok());
}

TEST(ProcessContractTest, AClosedObjectAnswersAndDoesNothing) {
  absl::StatusOr<Process> process = Process::Start({.argv = {"true"}});
  ASSERT_TRUE(process->Join(absl::Seconds(20)).ok());
  ASSERT_TRUE(process->Close().ok());
  EXPECT_TRUE(process->Close().ok());
  EXPECT_EQ(process->Join().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(process->Kill().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(process->Terminate().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(process->IsAlive());
  EXPECT_FALSE(process->exit_code().has_value());
  EXPECT_EQ(process->pid(), 0);
  EXPECT_EQ(process->name(), "true");
  EXPECT_FALSE(process->daemon());
  EXPECT_EQ(process->sentinel(), -1);
  EXPECT_FALSE(process->TakeStdout().valid());
}

TEST(ProcessContractTest, SignalsAfterTheEndAreNoErrors) {
  absl::StatusOr<Process> process = Process::Start({.argv = {"true"}});
  ASSERT_TRUE(process->Join(absl::Seconds(20)).ok());
  EXPECT_TRUE(process->Terminate().ok());
  EXPECT_TRUE(process->Kill().ok());
  EXPECT_TRUE(process->Signal(SIGUSR1).ok());
  EXPECT_EQ(process->Join().value().exit_code(), 0);
}

TEST(ProcessContractTest, SignalsThatDoNotExistAreTheCallersError) {
  const Pipe pipe;
  Process process = StartReader(pipe);
  for (const int number : {0, -1, SIGRTMAX + 1, 1'000'000}) {
    EXPECT_EQ(process.Signal(number).code(), absl::StatusCode::kInvalidArgument) << number;
  }
  EXPECT_TRUE(process.Signal(SIGRTMAX).ok());
  EXPECT_EQ(process.Join(absl::Seconds(20)).value().exit_code(), -SIGRTMAX);
}

TEST(ProcessContractTest, ASignalRightAfterLaunchIsNotLost) {
  for (int i = 0; i < 50; ++i) {
    const Pipe pipe;
    LaunchOptions options;
    options.argv = {"sh", "-c", "read line; exit 7"};
    options.stdin_spec = Stdio::Fd(pipe.reader.get());
    absl::StatusOr<Process> process = Process::Launch(options);
    ASSERT_TRUE(process.ok()) << process.status();
    ASSERT_TRUE((i % 2 == 0 ? process->Terminate() : process->Kill()).ok());
    const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(20));
    ASSERT_TRUE(outcome.ok()) << i << ": " << outcome.status();
    EXPECT_EQ(outcome->exit_code(), i % 2 == 0 ? -SIGTERM : -SIGKILL) << i << ": " << outcome->ToString();
  }
}

TEST(ProcessContractTest, TheSentinelTellsTheEndAndGoesOnTellingIt) {
  const Pipe pipe;
  Process process = StartReader(pipe);
  EXPECT_FALSE(IsReadable(process.sentinel()));
  LetGo(pipe);
  EXPECT_TRUE(IsReadable(process.sentinel(), 20'000));
  ASSERT_TRUE(process.Join(absl::ZeroDuration()).ok());
  EXPECT_TRUE(IsReadable(process.sentinel()));
}

TEST(ProcessContractTest, DestroyingARunningOneEndsItsTree) {
  const Pipe pipe;
  const Pipe life;
  UniqueFd target;
  {
    LaunchOptions options;
    options.inherited = {{.fd = life.writer.get(), .child_fd = 9}};
    const Process process = StartReader(pipe, options);
    target = PidFd(process.pid());
    ASSERT_TRUE(target.valid());
    EXPECT_FALSE(IsReadable(target.get()));
  }
  EXPECT_TRUE(IsReadable(target.get()));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "a child is left";
}

TEST(ProcessContractTest, AMovedOneGoesOnAndAnOverwrittenOneEnds) {
  const Pipe pipe;
  const Pipe other_pipe;
  Process process = StartReader(pipe);
  Process moved = std::move(process);
  EXPECT_EQ(process.Join().status().code(), absl::StatusCode::kFailedPrecondition);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(moved.IsAlive());
  Process other = StartReader(other_pipe);
  const UniqueFd overwritten = PidFd(other.pid());
  other = std::move(moved);
  EXPECT_TRUE(IsReadable(overwritten.get()));
  EXPECT_TRUE(other.IsAlive());
  LetGo(pipe);
  EXPECT_EQ(other.Join(absl::Seconds(20)).value().exit_code(), 7);
}

TEST(ProcessContractTest, AForkOfTheCallerCanNeitherUseNorEndIt) {
  const Pipe pipe;
  std::optional<Process> process = StartReader(pipe);
  const pid_t pid = fork();
  if (pid == 0) {
    const bool refused = absl::IsFailedPrecondition(process->Join().status()) &&
                         absl::IsFailedPrecondition(process->Kill()) && absl::IsFailedPrecondition(process->Close()) &&
                         !process->IsAlive() && !process->exit_code().has_value();
    process.reset();
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(process->IsAlive());
  LetGo(pipe);
  EXPECT_EQ(process->Join(absl::Seconds(20)).value().exit_code(), 7);
}

TEST(ProcessContractTest, StreamsAreTakenOnceAndAfterTheEnd) {
  const Pipe pipe;
  LaunchOptions options;
  options.argv = {"sh", "-c", "printf begun; read line; printf ' ended'"};
  options.stdin_spec = Stdio::Fd(pipe.reader.get());
  options.stdout_spec = Stdio::Capture();
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_FALSE(process->TakeStdout().valid());  // It would be moved while it is written.
  LetGo(pipe);
  ASSERT_TRUE(process->Join(absl::Seconds(20)).ok());
  const UniqueFd out = process->TakeStdout();
  EXPECT_EQ(TextOf(out), "begun ended");
  EXPECT_EQ(lseek(out.get(), 0, SEEK_CUR), 0);
  EXPECT_FALSE(process->TakeStdout().valid());
  EXPECT_FALSE(process->TakeStderr().valid());
}

TEST(ProcessContractTest, ACaptureKeepsWhatItWasAskedFor) {
  LaunchOptions options;
  options.argv = {"sh", "-c", "printf 0123456789"};
  options.stdout_spec = Stdio::Capture(4);
  absl::StatusOr<Process> process = Process::Start(options);
  const Outcome outcome = process->Join(absl::Seconds(20)).value();
  EXPECT_EQ(TextOf(process->TakeStdout()), "0123");
  EXPECT_EQ(outcome.stdout_result.bytes, 10u);
  EXPECT_TRUE(outcome.stdout_result.truncated);
  EXPECT_TRUE(outcome.ok()) << outcome.ToString();
}

TEST(ProcessContractTest, LaunchTellsAFailedSetUpAsAnOutcomeAndStartAsAStatus) {
  const LaunchOptions options = {.argv = {"/nonexistent"}};
  EXPECT_EQ(Process::Start(options).status().code(), absl::StatusCode::kNotFound);
  absl::StatusOr<Process> process = Process::Launch(options);
  ASSERT_TRUE(process.ok()) << process.status();
  const Outcome outcome = process->Join(absl::Seconds(20)).value();
  EXPECT_EQ(outcome.StatusWord(), "setup_failed");
  EXPECT_EQ(outcome.exit_code(), -1000);
}

// The guardian is our own child: who kills it takes the truth away, and must not take anything else.
TEST(ProcessContractTest, AKilledGuardianIsALostChildAndNoSignal) {
  const Pipe pipe;
  Process process = StartReader(pipe);
  const UniqueFd target = PidFd(process.pid());
  pid_t guardian = 0;
  std::ifstream(absl::StrCat("/proc/self/task/", gettid(), "/children")) >> guardian;
  if (guardian == 0) GTEST_SKIP() << "this kernel does not list children";
  ASSERT_EQ(kill(guardian, SIGKILL), 0);
  const Outcome outcome = process.Join(absl::Seconds(20)).value();
  EXPECT_EQ(outcome.StatusWord(), "lost") << outcome.ToString();
  EXPECT_TRUE(process.Kill().ok());
  EXPECT_TRUE(IsReadable(target.get(), 20'000)) << "the target outlived its guardian";
}

// The kernel tells of what a dead peer has not read before what that has written. unix(7), ECONNRESET.
TEST(ProcessContractTest, AGuardianKilledWithAMessageUnreadTakesItsTreeWithIt) {
  const Pipe pipe;
  absl::StatusOr<Process> process = Process::Launch(
      {.argv = {"sh", "-c", "read line; exit 7"}, .stdin_spec = Stdio::Fd(pipe.reader.get())});
  ASSERT_TRUE(process.ok()) << process.status();
  pid_t guardian = 0;
  std::ifstream(absl::StrCat("/proc/self/task/", gettid(), "/children")) >> guardian;
  if (guardian == 0) GTEST_SKIP() << "this kernel does not list children";
  // The guardian's only child is the init, whose only child is the target, once it runs.
  pid_t init = 0, target = 0;
  for (int waited = 0; target == 0 && waited < 20'000; ++waited, poll(nullptr, 0, 1)) {
    std::ifstream(absl::StrCat("/proc/", guardian, "/task/", guardian, "/children")) >> init;
    std::ifstream(absl::StrCat("/proc/", init, "/task/", init, "/children")) >> target;
  }
  ASSERT_GT(target, 0);
  const UniqueFd target_fd = PidFd(target);
  // Stopped as by a debugger: of another stop it would be continued by the message.
  if (ptrace(PTRACE_SEIZE, guardian, nullptr, nullptr) != 0) GTEST_SKIP() << "may not trace a guardian";
  ASSERT_EQ(ptrace(PTRACE_INTERRUPT, guardian, nullptr, nullptr), 0);
  siginfo_t stopped = {};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(guardian), &stopped, WSTOPPED | WNOWAIT | __WALL), 0);

  std::atomic<pid_t> waiter = 0;
  Outcome outcome;
  std::thread joins([&] {
    waiter = gettid();
    outcome = process->Join().value();
  });
  // A join without end sends a message first. Whoever waits has sent it.
  char state = 0;
  for (int waited = 0; state != 'S' && waited < 20'000; ++waited, poll(nullptr, 0, 1)) {
    std::string number, name;
    if (waiter != 0) std::ifstream(absl::StrCat("/proc/self/task/", waiter.load(), "/stat")) >> number >> name >> state;
  }
  EXPECT_EQ(state, 'S');
  EXPECT_EQ(kill(guardian, SIGKILL), 0);
  joins.join();
  EXPECT_EQ(outcome.StatusWord(), "lost") << outcome.ToString();
  EXPECT_TRUE(IsReadable(target_fd.get())) << "the target outlived its outcome";
}

}  // namespace
}  // namespace brood
