// A child with a pseudo-terminal of its own, and streams that its guardian relays.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "launcher/process.h"

namespace brood {
namespace {

struct Ended {
  Outcome outcome;
  std::string out;
};

std::string Content(const UniqueFd& file) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; file.valid() && (n = read(file.get(), buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    out.reset(ends[0]);
    in.reset(ends[1]);
  }
  UniqueFd out;
  UniqueFd in;
};

// A pipe that holds `text`, and then ends.
UniqueFd Holding(std::string_view text) {
  Pipe pipe;
  EXPECT_EQ(write(pipe.in.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return std::move(pipe.out);
}

// True once `fd` says so within ten seconds.
bool Becomes(int fd, short events) {
  pollfd entry = {fd, events, 0};
  return poll(&entry, 1, 10'000) == 1 && (entry.revents & events) != 0;
}

LaunchOptions Options(std::string_view policy_name, std::vector<std::string> argv, const Limits& limits = {}) {
  Policy policy = BuiltinPolicy(policy_name).value();
  if (limits.wall_time.has_value()) policy.limits.wall_time = limits.wall_time;
  policy.limits.grace = limits.grace;
  if (limits.output_bytes.has_value()) policy.limits.output_bytes = limits.output_bytes;
  if (policy_name != "none") policy.allow_weaker = {Layer::kMemory, Layer::kProcesses};
  return {.argv = std::move(argv), .policy = CompilePolicy(policy).value()};
}

Ended RunToEnd(const LaunchOptions& options) {
  absl::StatusOr<Process> process = Process::Start(options);
  if (!process.ok()) {
    ADD_FAILURE() << process.status();
    return {};
  }
  absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
  EXPECT_EQ(outcome.status(), absl::OkStatus());
  return {outcome.ok() ? *outcome : Outcome(), Content(process->TakeStdout())};
}

class OwnTerminalTest : public testing::TestWithParam<const char*> {
 protected:
  // `sh -c script`, to which `typed` is typed.
  static LaunchOptions OnTerminal(const std::string& script, const UniqueFd& typed, const Limits& limits = {}) {
    LaunchOptions options = Options(GetParam(), {"sh", "-c", script}, limits);
    options.terminal.emplace();
    options.stdin_spec = Stdio::Fd(typed.get());
    options.stdout_spec = Stdio::Capture();
    return options;
  }
};

INSTANTIATE_TEST_SUITE_P(Policies, OwnTerminalTest, testing::Values("strict", "default", "none"), [](const auto& param) { return std::string(param.param); });

TEST_P(OwnTerminalTest, AllStreamsAreItAndItIsTheControllingOne) {
  const UniqueFd typed = Holding("");
  const Ended run = RunToEnd(OnTerminal("for n in 0 1 2; do test -t $n || echo not $n; done; echo tty >/dev/tty; echo err >&2; tty; exit 7", typed));
  EXPECT_EQ(run.outcome.exit_code(), 7) << run.outcome.ToString() << run.out;
  EXPECT_TRUE(absl::StartsWith(run.out, "tty\r\nerr\r\n/dev/pts/")) << run.out;
}

TEST_P(OwnTerminalTest, EachReadAfterTheEndOfWhatIsTypedFindsAnEnd) {
  const UniqueFd typed = Holding("one\ntwo");
  const Ended run = RunToEnd(OnTerminal("cat; echo .; cat; echo .; read -r x || echo end", typed));
  EXPECT_EQ(run.outcome.exit_code(), 0) << run.outcome.ToString();
  EXPECT_EQ(run.out, "one\r\ntwo.\r\n.\r\nend\r\n");
}

TEST_P(OwnTerminalTest, AllThatWasShownIsThereAtTheEnd) {
  const UniqueFd typed = Holding("");
  const Ended run = RunToEnd(OnTerminal("seq 1 30000", typed));
  std::string expected;
  for (int i = 1; i <= 30000; ++i) absl::StrAppend(&expected, i, "\r\n");
  EXPECT_TRUE(run.out == expected) << run.out.size() << " bytes of " << expected.size();
  EXPECT_EQ(run.outcome.stdout_result.bytes, expected.size());
}

TEST_P(OwnTerminalTest, WhatIsTypedInBulkComesInWhole) {
  std::string text;
  for (int i = 1; i <= 5000; ++i) absl::StrAppend(&text, i, "\n");
  const UniqueFd typed = Holding(text);
  const Ended run = RunToEnd(OnTerminal("cksum", typed));
  const UniqueFd plain = Holding(text);
  LaunchOptions options = Options("none", {"cksum"});
  options.stdin_spec = Stdio::Fd(plain.get());
  options.stdout_spec = Stdio::Capture();
  std::string expected = RunToEnd(options).out;
  ASSERT_FALSE(expected.empty());
  expected.insert(expected.size() - 1, "\r");
  EXPECT_EQ(run.out, expected);
}

TEST_P(OwnTerminalTest, WhatIsShownCountsAsOutput) {
  const UniqueFd typed = Holding("");
  const Ended run = RunToEnd(OnTerminal("while :; do echo 123456789; done", typed, {.output_bytes = 4096}));
  EXPECT_EQ(run.outcome.StatusWord(), "output") << run.outcome.ToString();
  EXPECT_EQ(run.out.size(), 4096u);
}

// The shell takes it when the program that it waits for has ended, too.
TEST_P(OwnTerminalTest, TheRequestToEndReachesItsGroup) {
  const UniqueFd self(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (syscall(SYS_pidfd_send_signal, self.get(), 0, nullptr, 4) != 0) GTEST_SKIP() << "before Linux 6.9 no signal goes to a group by a pidfd";
  Pipe keys;
  const Ended run = RunToEnd(OnTerminal("trap 'echo asked; exit 0' TERM; echo ready; sleep 1000", keys.out,
                                        {.wall_time = absl::Milliseconds(300), .grace = absl::Seconds(20)}));
  EXPECT_EQ(run.outcome.StatusWord(), "timeout");
  EXPECT_TRUE(absl::EndsWith(run.out, "asked\r\n")) << run.out;  // After what the shell says of the other.
  EXPECT_LT(run.outcome.usage.wall_time, absl::Seconds(15));
}

TEST_P(OwnTerminalTest, HangsUpWhenNobodyTakesWhatItShows) {
  const UniqueFd typed = Holding("");
  LaunchOptions options = OnTerminal("while :; do echo 123456789; done", typed);
  Pipe shown;
  shown.out.reset();
  options.stdout_spec = Stdio::Fd(shown.in.get());
  const Ended run = RunToEnd(options);
  EXPECT_EQ(run.outcome.exit_code(), -SIGHUP) << run.outcome.ToString();
}

TEST_P(OwnTerminalTest, AKeyThatEndsReachesTheGroupInItsForegroundAlone) {
  // The shell makes each job a group of its own, which the key ends, and not the shell.
  Pipe keys;
  Pipe shown;
  LaunchOptions options = OnTerminal("set -m; sh -c 'echo ready; sleep 1000; echo not'; echo code $?", keys.out);
  options.stdout_spec = Stdio::Fd(shown.in.get());
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_EQ(process.status(), absl::OkStatus());
  shown.in.reset();
  std::string text;
  const auto read_on = [&] {
    char buffer[256];
    const ssize_t n = Becomes(shown.out.get(), POLLIN) ? read(shown.out.get(), buffer, sizeof(buffer)) : 0;
    text.append(buffer, n > 0 ? static_cast<size_t>(n) : 0);
    return n > 0;
  };
  while (!absl::StrContains(text, "ready") && read_on()) {
  }
  ASSERT_EQ(write(keys.in.get(), "\x1c", 1), 1);
  EXPECT_EQ(process->Join(absl::Seconds(30))->exit_code(), 0);
  while (read_on()) {
  }
  EXPECT_TRUE(absl::StrContains(text, "code 131")) << text;
  EXPECT_FALSE(absl::StrContains(text, "not")) << text;
}

TEST_P(OwnTerminalTest, BeginsWithTheSizeThatWasAskedFor) {
  const UniqueFd typed = Holding("");
  LaunchOptions options = OnTerminal("stty size", typed);
  options.terminal->rows = 11;
  options.terminal->columns = 22;
  EXPECT_EQ(RunToEnd(options).out, "11 22\r\n");
}

TEST_P(OwnTerminalTest, AnotherSizeIsToldToTheProgram) {
  Pipe keys;
  LaunchOptions options = OnTerminal("trap 'stty size; exit 0' WINCH; while :; do sleep 0.05; done", keys.out);
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_EQ(process.status(), absl::OkStatus());
  // It may not have set its trap yet, and only a change is told.
  for (uint16_t columns = 33; process->IsAlive(); ++columns) {
    ASSERT_EQ(process->ResizeTerminal(24, columns), absl::OkStatus());
    if (process->Join(absl::Milliseconds(50)).ok()) break;
  }
  EXPECT_EQ(process->exit_code(), 0);
  const std::string out = Content(process->TakeStdout());
  EXPECT_TRUE(absl::StartsWith(out, "24 ")) << out;
  EXPECT_EQ(process->ResizeTerminal(1, 1), absl::OkStatus());
}

TEST_P(OwnTerminalTest, NoOtherTerminalIsSeen) {
  if (GetParam() == std::string("none")) GTEST_SKIP() << "the policy shows all that the caller sees";
  const UniqueFd other(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(other.valid());
  ASSERT_EQ(unlockpt(other.get()), 0);
  const UniqueFd typed = Holding("");
  const Ended run = RunToEnd(OnTerminal("set -- /dev/pts/*; test $# = 1 && test \"$1\" = $(tty) && ! test -e /dev/ptmx && echo alone", typed));
  EXPECT_EQ(run.out, "alone\r\n");
}

TEST_P(OwnTerminalTest, IsGoneWithItsGuardian) {
  Pipe keys;
  LaunchOptions options = OnTerminal("read -r x", keys.out);
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_EQ(process.status(), absl::OkStatus());
  EXPECT_EQ(process->Kill(), absl::OkStatus());
  EXPECT_EQ(process->Join(absl::Seconds(30))->exit_code(), -SIGKILL);
  // Whatever read the keys is gone.
  EXPECT_EQ(keys.out.valid(), true);
  keys.out.reset();
  EXPECT_TRUE(Becomes(keys.in.get(), POLLERR));
}

TEST(OwnTerminalRequestTest, WhatCannotBeIsRefusedByName) {
  const UniqueFd terminal(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal.valid());
  LaunchOptions options = Options("none", {"true"});
  options.terminal.emplace();
  options.stdin_spec = Stdio::Fd(terminal.get());
  EXPECT_TRUE(absl::StartsWith(Process::Start(options).status().message(), "stdin: a terminal cannot be passed on"));
  options.stdin_spec = Stdio::Null();
  options.stderr_spec = Stdio::Null();
  EXPECT_TRUE(absl::StartsWith(Process::Start(options).status().message(), "stderr: the child's terminal shows all"));
  options.stderr_spec = Stdio::Inherit();
  options.terminal->like = 0;
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  options.terminal->like = null.get();
  EXPECT_EQ(Process::Start(options).status().message(), "terminal: `like` is no terminal");
  absl::StatusOr<Process> plain = Process::Start(Options("none", {"true"}));
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->ResizeTerminal(1, 1).message(), "resize: the child has no terminal of its own");
}

class RelayTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Policies, RelayTest, testing::Values("strict", "none"), [](const auto& param) { return std::string(param.param); });

TEST_P(RelayTest, TheEndOfTheOutputIsTheReadersBeforeTheChildEnds) {
  Pipe out;
  Pipe go;
  LaunchOptions options = Options(GetParam(), {"sh", "-c", "echo said; exec >&-; read -r x"});
  options.stdin_spec = Stdio::Fd(go.out.get());
  options.stdout_spec = Stdio::Relay(out.in.get());
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_EQ(process.status(), absl::OkStatus());
  out.in.reset();
  EXPECT_EQ(Content(out.out), "said\n");  // To the end of it.
  EXPECT_TRUE(process->IsAlive());
  EXPECT_EQ(write(go.in.get(), "\n", 1), 1);
  EXPECT_EQ(process->Join(absl::Seconds(30))->exit_code(), 0);
}

TEST_P(RelayTest, AWriterWhoseReaderIsGoneGetsSigpipe) {
  Pipe out;
  LaunchOptions options = Options(GetParam(), {"sh", "-c", "while :; do echo more; done"});
  options.stdout_spec = Stdio::Relay(out.in.get());
  out.out.reset();
  EXPECT_EQ(RunToEnd(options).outcome.exit_code(), -SIGPIPE);
}

TEST_P(RelayTest, WhatIsPassedOnIsKeptUpToABound) {
  Pipe out;
  LaunchOptions options = Options(GetParam(), {"printf", "0123456789"});
  options.stdout_spec = Stdio::Relay(out.in.get(), 4);
  const Ended run = RunToEnd(options);
  out.in.reset();
  EXPECT_EQ(Content(out.out), "0123456789");
  EXPECT_EQ(run.out, "0123");
  EXPECT_EQ(run.outcome.stdout_result.bytes, 10u);
  EXPECT_TRUE(run.outcome.stdout_result.truncated);
}

TEST_P(RelayTest, ASocketsHalfThatEndedIsAnEndOfInputAndTheOtherGoesOn) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  LaunchOptions options = Options(GetParam(), {"sh", "-c", "test -S /dev/stdin && echo socket; cat; echo end"});
  options.stdin_spec = Stdio::Relay(theirs.get());
  options.stdout_spec = Stdio::Relay(theirs.get());
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_EQ(process.status(), absl::OkStatus());
  ASSERT_EQ(send(ours.get(), "hello\n", 6, 0), 6);
  ASSERT_EQ(shutdown(ours.get(), SHUT_WR), 0);
  // We hold the socket too: that its end is told is the relay's doing.
  EXPECT_EQ(Content(ours), "hello\nend\n");
  EXPECT_EQ(process->Join(absl::Seconds(30))->exit_code(), 0);
}

}  // namespace
}  // namespace brood
