// Programs whose keeper the caller has leased: what the supervisor of a forkserver does for others. What they have in common with
// those is in slot_program_test.cc.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "launcher/server_list.h"

namespace brood {
namespace {

std::string LineOf(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

std::string TextOf(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd.get(), buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

class LeasedChildTest : public testing::Test {
 protected:
  LeasedChildTest() {
    Policy policy = BuiltinPolicy("default").value();
    policy.hostname = "leased";  // A sandbox that no other test has had.
    options_.policy = CompilePolicy(policy).value();
    options_.stdin_spec = options_.stdout_spec = options_.stderr_spec = Stdio::Null();
    // The first one makes the sandbox, and its end makes us lease it.
    EXPECT_TRUE(Run({"true"}).ok());
  }

  absl::StatusOr<Process> Start(std::vector<std::string> argv) {
    LaunchOptions options = options_;
    options.argv = std::move(argv);
    return context_.Launch(options);
  }

  Outcome Run(std::vector<std::string> argv) {
    absl::StatusOr<Process> process = Start(std::move(argv));
    EXPECT_TRUE(process.ok()) << process.status();
    return process.ok() ? process->Join(absl::Seconds(60)).value_or(Outcome()) : Outcome();
  }

  static pid_t Supervisor() {
    for (const ServerState& server : ListServers()) {
      if (server.running) return server.supervisor;
    }
    ADD_FAILURE() << "no server runs";
    return -1;
  }

  // A child's parent is its keeper, whom it cannot see itself.
  static pid_t ParentOf(pid_t pid) {
    std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
    for (std::string line; std::getline(status, line);) {
      if (absl::StartsWith(line, "PPid:")) return std::stoi(line.substr(5));
    }
    return -1;
  }

  const Context context_{StartMethod::kForkServer};
  LaunchOptions options_;
};

TEST_F(LeasedChildTest, NothingOfItNeedsTheSupervisor) {
  const pid_t supervisor = Supervisor();
  ASSERT_EQ(kill(supervisor, SIGSTOP), 0);
  const Outcome outcome = Run({"sh", "-c", "exit 7"});
  const absl::Status missing = Start({"/nonexistent"}).status();
  Process sleeps = Start({"sleep", "1000"}).value();
  EXPECT_TRUE(sleeps.Kill().ok());
  const Outcome killed = sleeps.Join(absl::Seconds(60)).value();
  ASSERT_EQ(kill(supervisor, SIGCONT), 0);
  EXPECT_EQ(outcome.exit_code(), 7) << outcome.ToString();
  EXPECT_EQ(killed.ShellExitCode(), 137) << killed.ToString();
}

TEST_F(LeasedChildTest, ItsNumberIsThatOfItsProcess) {
  Process process = Start({"sleep", "1000"}).value();
  EXPECT_EQ(LineOf(absl::StrCat("/proc/", process.pid(), "/comm")), "sleep");
  EXPECT_EQ(LineOf(absl::StrCat("/proc/", ParentOf(process.pid()), "/comm")), "brood-keeper");
}

TEST_F(LeasedChildTest, ASignalReachesItAloneAndAKillAllOfIts) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  options_.stdout_spec = Stdio::Fd(writer.get());
  Process process = Start({"sh", "-c", "trap 'echo got' USR1; (trap 'echo child got' USR1; echo; while :; do sleep 0.01; done) & echo; while :; do wait; done"}).value();
  writer.reset();
  const auto read_line = [&] {
    std::string line;
    for (char byte; read(reader.get(), &byte, 1) == 1 && byte != '\n';) line += byte;
    return line;
  };
  read_line();
  read_line();
  ASSERT_TRUE(process.Signal(SIGUSR1).ok());
  EXPECT_EQ(read_line(), "got");
  ASSERT_TRUE(process.Kill().ok());
  EXPECT_EQ(process.Join(absl::Seconds(60))->ShellExitCode(), 137);
  EXPECT_EQ(read_line(), "");  // The end: nobody has the pipe any more.
}

TEST_F(LeasedChildTest, OneWhoseKeeperIsKilledIsLostAndTheNextRuns) {
  Process process = Start({"sleep", "1000"}).value();
  const pid_t child = process.pid();
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  ASSERT_EQ(kill(ParentOf(child), SIGKILL), 0);
  const Outcome outcome = process.Join(absl::Seconds(60)).value();
  EXPECT_EQ(outcome.StatusWord(), "lost") << outcome.ToString();
  pollfd ended = {pidfd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 60'000), 1) << "the child outlives its keeper";
  EXPECT_TRUE(Run({"true"}).ok());
}

TEST_F(LeasedChildTest, AKeeperThatIsKilledWhileItIsIdleIsMissedByNobody) {
  Process process = Start({"sleep", "1000"}).value();
  const pid_t keeper = ParentOf(process.pid());
  ASSERT_TRUE(process.Kill().ok());
  ASSERT_TRUE(process.Join(absl::Seconds(60)).ok());
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, keeper, 0)));
  ASSERT_EQ(kill(keeper, SIGKILL), 0);
  pollfd ended = {pidfd.get(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, 60'000), 1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Run({"true"}).ok());
}

TEST_F(LeasedChildTest, AStoppedKeeperIsContinued) {
  Process process = Start({"sleep", "1000"}).value();
  ASSERT_EQ(kill(ParentOf(process.pid()), SIGSTOP), 0);
  ASSERT_TRUE(process.Kill().ok());
  EXPECT_EQ(process.Join(absl::Seconds(60))->ShellExitCode(), 137);
}

TEST_F(LeasedChildTest, ASignalContinuesAKeeperThatIsStopped) {
  Process process = Start({"sleep", "1000"}).value();
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, process.pid(), 0)));
  ASSERT_EQ(kill(ParentOf(process.pid()), SIGSTOP), 0);
  ASSERT_TRUE(process.Terminate().ok());
  // Nobody waits for the process by what would continue its keeper.
  pollfd ended = {pidfd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 60'000), 1);
  EXPECT_EQ(process.Join(absl::Seconds(60))->ShellExitCode(), 143);
}

TEST_F(LeasedChildTest, OneThatNobodyWaitsForEndsWithItsObject) {
  pid_t child;
  UniqueFd pidfd;
  {
    Process process = Start({"sleep", "1000"}).value();
    child = process.pid();
    pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  }
  pollfd ended = {pidfd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 60'000), 1);
  EXPECT_TRUE(Run({"true"}).ok());
}

TEST_F(LeasedChildTest, ItEndsWithItsOwner) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t owner = fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    const Context context(StartMethod::kForkServer);
    LaunchOptions options = options_;
    options.argv = {"true"};
    if (!context.Launch(options)->Join().ok()) _exit(1);
    options.argv = {"sh", "-c", "echo; exec sleep 1000"};
    options.stdout_spec = Stdio::Fd(writer.get());
    const absl::StatusOr<Process> process = context.Launch(options);
    if (!process.ok()) _exit(1);
    pause();
  }
  writer.reset();
  char byte;
  ASSERT_EQ(read(reader.get(), &byte, 1), 1);
  ASSERT_EQ(kill(owner, SIGKILL), 0);
  ASSERT_EQ(waitpid(owner, nullptr, 0), owner);
  pollfd ended = {reader.get(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, 60'000), 1);
  EXPECT_EQ(read(reader.get(), &byte, 1), 0);
}

TEST_F(LeasedChildTest, AForkOfTheOwnerEndsNoneOfIts) {
  Process process = Start({"sleep", "1000"}).value();
  const pid_t fork_of_us = fork();
  ASSERT_GE(fork_of_us, 0);
  if (fork_of_us == 0) {
    { const Process copy = std::move(process); }
    _exit(0);
  }
  ASSERT_EQ(waitpid(fork_of_us, nullptr, 0), fork_of_us);
  EXPECT_EQ(LineOf(absl::StrCat("/proc/", process.pid(), "/comm")), "sleep");
  ASSERT_TRUE(process.Terminate().ok());
  EXPECT_EQ(process.Join(absl::Seconds(60))->ShellExitCode(), 143);
}

TEST_F(LeasedChildTest, ManyAtOnceHaveSandboxesOfTheirOwn) {
  std::vector<Process> processes;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 20; ++i) processes.push_back(Start({"sh", "-c", "echo x > /tmp/mine; [ $(ls /tmp | wc -l) = 1 ]"}).value());
    for (Process& process : processes) EXPECT_TRUE(process.Join(absl::Seconds(60))->ok());
    processes.clear();
  }
}

TEST_F(LeasedChildTest, ArgumentsThatDoNotFitIntoItsOrderArriveWhole) {
  std::vector<std::string> argv = {"sh", "-c", "[ $# = 10 ] && [ ${#1} = 100000 ]", "sh"};
  for (int i = 0; i < 10; ++i) argv.emplace_back(100'000, 'x');
  const Outcome outcome = Run(argv);
  EXPECT_TRUE(outcome.ok()) << outcome.ToString();
}

TEST_F(LeasedChildTest, ItsOutputIsKeptUpToTheBoundAndCountedBeyond) {
  options_.stdout_spec = Stdio::Capture(1000);
  options_.stderr_spec = Stdio::Capture(300'000);
  Process process = Start({"sh", "-c", "head -c 5000 /dev/zero | tr '\\0' a; head -c 300000 /dev/zero | tr '\\0' b >&2"}).value();
  const Outcome outcome = process.Join(absl::Seconds(60)).value();
  EXPECT_EQ(TextOf(process.TakeStdout()), std::string(1000, 'a'));
  EXPECT_EQ(TextOf(process.TakeStderr()), std::string(300'000, 'b'));
  EXPECT_EQ(outcome.stdout_result.bytes, 5000u);
  EXPECT_TRUE(outcome.stdout_result.truncated);
  EXPECT_EQ(outcome.stderr_result.bytes, 300'000u);
  EXPECT_FALSE(outcome.stderr_result.truncated);
}

TEST_F(LeasedChildTest, AFloodEndsAtTheLimitOfOutputWhereverItGoes) {
  Policy policy = options_.policy->policy();
  policy.limits.output_bytes = 100'000;
  options_.policy = CompilePolicy(policy).value();
  ASSERT_TRUE(Run({"true"}).ok());
  ASSERT_EQ(kill(Supervisor(), SIGSTOP), 0);  // Nobody else sees to it.
  const Outcome dropped = Run({"yes"});
  options_.stderr_spec = Stdio::Capture();
  Process process = Start({"sh", "-c", "exec yes >&2"}).value();
  const Outcome captured = process.Join(absl::Seconds(60)).value();
  ASSERT_EQ(kill(Supervisor(), SIGCONT), 0);
  EXPECT_EQ(dropped.StatusWord(), "output") << dropped.ToString();
  EXPECT_GT(dropped.stdout_result.bytes, 100'000u);
  EXPECT_EQ(captured.StatusWord(), "output") << captured.ToString();
  EXPECT_EQ(TextOf(process.TakeStderr()).size(), 100'000u);
}

TEST_F(LeasedChildTest, WhatCannotBeKeptIsToldWithItsError) {
  const UniqueFd full(memfd_create("full", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(full.get(), 4096), 0);
  ASSERT_EQ(fcntl(full.get(), F_ADD_SEALS, F_SEAL_GROW), 0);
  Policy policy = options_.policy->policy();
  policy.limits.output_bytes = 1 << 20;  // So that its keeper passes it on.
  options_.policy = CompilePolicy(policy).value();
  ASSERT_TRUE(Run({"true"}).ok());
  options_.stdout_spec = Stdio::Fd(full.get());
  const Outcome outcome = Run({"sh", "-c", "head -c 10000 /dev/zero"});
  EXPECT_TRUE(outcome.stdout_result.truncated) << outcome.ToString();
  EXPECT_EQ(outcome.stdout_result.error_number, EPERM) << outcome.ToString();  // fcntl(2), F_SEAL_GROW
}

TEST_F(LeasedChildTest, NoDescriptorIsLeftBehind) {
  const auto count = [] {
    int open = 0;
    for (int fd = 0; fd < 1000; ++fd) open += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return open;
  };
  ASSERT_TRUE(Run({"true"}).ok());
  const int before = count();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Run({"true"}).ok());
  EXPECT_EQ(count(), before);
}

// It has a sandbox of three processes.
TEST_F(LeasedChildTest, AKeeperThatHasNoOrderForLongLeavesAndTheNextProgramRuns) {
  Process process = Start({"sleep", "1000"}).value();
  const UniqueFd keeper(static_cast<int>(syscall(SYS_pidfd_open, ParentOf(process.pid()), 0)));
  ASSERT_TRUE(keeper.valid());
  ASSERT_TRUE(process.Kill().ok());
  ASSERT_TRUE(process.Join(absl::Seconds(60)).ok());
  pollfd ended = {keeper.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 60'000), 1);
  EXPECT_TRUE(Run({"true"}).ok());
}

}  // namespace
}  // namespace brood
