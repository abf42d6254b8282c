// A child inherits what was asked for, and nothing else.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

class InheritanceTest : public testing::TestWithParam<std::string> {
 protected:
  static bool Sandboxed() { return GetParam() != "none"; }
};

INSTANTIATE_TEST_SUITE_P(Policies, InheritanceTest, testing::Values("strict", "default", "none"),
                         [](const auto& param) { return param.param; });

TEST_P(InheritanceTest, NoDescriptorButTheThreeStreams) {
  // Without O_CLOEXEC, and at numbers that loops forget.
  const UniqueFd low(open("/", O_RDONLY | O_DIRECTORY));
  const UniqueFd middle(fcntl(low.get(), F_DUPFD, 1023));
  const Ended run = RunProgram(GetParam(), {"prints_fds"});
  EXPECT_EQ(run.out, "0\n1\n2\n") << run.Text();
}

TEST_P(InheritanceTest, DescriptorsThatWereAskedForHaveTheNumberAskedFor) {
  const UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Ended run = RunProgram(GetParam(), {"prints_fds"}, {.options = [&](LaunchOptions& options) {
                                 options.inherited.push_back({.fd = fd.get(), .child_fd = 17});
                               }});
  EXPECT_EQ(run.out, "0\n1\n2\n17\n") << run.Text();
}

TEST_P(InheritanceTest, TheEnvironmentIsThePolicys) {
  setenv("BROOD_E2E_SECRET", "hunter2", 1);
  setenv("LD_AUDIT", "/nowhere.so", 1);
  const Ended run =
      RunProgram(GetParam(), {"prints_env"}, {.options = [](LaunchOptions& options) { options.env = {"ASKED=for"}; }});
  unsetenv("LD_AUDIT");
  unsetenv("BROOD_E2E_SECRET");
  std::vector<std::string> lines = absl::StrSplit(run.out, '\n', absl::SkipEmpty());
  EXPECT_NE(std::find(lines.begin(), lines.end(), "ASKED=for"), lines.end()) << run.Text();
  EXPECT_EQ(absl::StrContains(run.out, "hunter2"), !Sandboxed()) << run.Text();
  if (!Sandboxed()) return;
  for (const std::string& line : lines) {
    const std::string name = line.substr(0, line.find('='));
    EXPECT_TRUE(name == "PATH" || name == "HOME" || name == "LANG" || name == "TERM" || name == "ASKED") << line;
  }
}

TEST_P(InheritanceTest, SignalsAreInTheirDefaultState) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  for (int number : {SIGTERM, SIGUSR1, SIGCHLD, SIGRTMIN + 3}) sigaddset(&blocked, number);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  const auto old_pipe = signal(SIGPIPE, SIG_IGN);
  const auto old_child = signal(SIGHUP, SIG_IGN);
  const Ended run = RunProgram(GetParam(), {"prints_signals"});
  signal(SIGHUP, old_child);
  signal(SIGPIPE, old_pipe);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  EXPECT_TRUE(run.outcome.ok()) << run.Text();
  EXPECT_EQ(run.out, "") << run.Text();
}

TEST_P(InheritanceTest, NoPrivilegeAndAHardenedState) {
  if (!Sandboxed()) GTEST_SKIP() << "none keeps everything";
  const Ended run = RunProgram(GetParam(), {"prints_ids"});
  EXPECT_FALSE(absl::StrContains(run.out, "uid 0 ")) << run.Text();
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_TRUE(absl::StrContains(run.out, absl::StrCat(set, ":\t0000000000000000"))) << set << run.Text();
  }
  EXPECT_TRUE(absl::StrContains(run.out, "NoNewPrivs:\t1")) << run.Text();
  EXPECT_TRUE(absl::StrContains(run.out, "Seccomp:\t2")) << run.Text();
  // Or it is told which it has.
  EXPECT_EQ(absl::StrContains(run.out, "Groups:\t \n"), run.outcome.kept_groups.empty()) << run.Text();
}

TEST_P(InheritanceTest, TheProgramIsNotPidOne) {
  if (!Sandboxed()) GTEST_SKIP() << "no pid namespace";
  const Ended run = RunProgram(GetParam(), {"prints_ids"});
  EXPECT_FALSE(absl::StrContains(run.out, "\npid 1 ")) << run.Text();
}

TEST_P(InheritanceTest, TheTerminalOfTheCallerCannotBeTypedInto) {
  if (!Sandboxed()) GTEST_SKIP() << "none keeps the terminal";
  const UniqueFd terminal(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal.valid());
  ASSERT_EQ(grantpt(terminal.get()), 0);
  ASSERT_EQ(unlockpt(terminal.get()), 0);
  const UniqueFd user_side(open(ptsname(terminal.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(user_side.valid());
  const Ended run =
      RunProgram(GetParam(), {"tiocsti"},
                 {.options = [&](LaunchOptions& options) { options.stdin_spec = Stdio::Fd(user_side.get()); }});
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  EXPECT_EQ(ViolationOf(run), "ioctl") << run.Text();
  int pending = 0;
  ASSERT_EQ(ioctl(user_side.get(), FIONREAD, &pending), 0);
  EXPECT_EQ(pending, 0);
}

TEST_P(InheritanceTest, ArgumentsArriveExactly) {
  const Ended run = RunProgram(GetParam(), {"prints_argv", "", "-x", "a b", "\"$HOME\"", "--", "\n"});
  EXPECT_TRUE(absl::EndsWith(run.out, "\n0 \n2 -x\n3 a b\n7 \"$HOME\"\n2 --\n1 \n\n")) << run.Text();
}

}  // namespace
}  // namespace brood
