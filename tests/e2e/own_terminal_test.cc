// `brood run --tty`: a shell in a sandbox, at a terminal of its own.
#include <signal.h>
#include <sys/wait.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/on_terminal.h"

namespace brood {
namespace {

constexpr char kInterrupt = '\x03';
constexpr char kEnd = '\x04';
constexpr char kSuspend = '\x1a';

bool SameSettings(const termios& one, const termios& other) {
  return one.c_iflag == other.c_iflag && one.c_oflag == other.c_oflag && one.c_cflag == other.c_cflag && one.c_lflag == other.c_lflag;
}

class ShellOnTerminalTest : public testing::TestWithParam<std::string> {
 protected:
  // A shell with job control, which says "at>" when it waits for a line.
  static std::vector<std::string> Shell() { return {"run", "--tty", "--policy", GetParam(), "--env", "PS1=at> ", "--env", "HISTFILE=", "--", "bash", "--norc", "-i"}; }
};

INSTANTIATE_TEST_SUITE_P(Policies, ShellOnTerminalTest, testing::Values("strict", "default", "none"), [](const auto& param) { return param.param; });

TEST_P(ShellOnTerminalTest, AShellHasJobsThatTheKeysStopAndEnd) {
  OnTerminal brood(Shell());
  ASSERT_TRUE(brood.started());
  ASSERT_TRUE(brood.Shows("at>")) << brood.screen();
  EXPECT_FALSE(absl::StrContains(brood.screen(), "job control")) << brood.screen();
  // A key that comes while the shell changes the terminal's settings may be taken by the old ones: type until it is heard.
  brood.Type("sed -u s/^/got-/\n");
  const auto heard = [&](std::string_view word) {
    return WaitFor([&] {
      brood.Type(absl::StrCat(word, "\n"));
      return brood.Shows(absl::StrCat("got-", word), absl::Milliseconds(100));
    });
  };
  ASSERT_TRUE(heard("ping")) << brood.screen();
  brood.Type(kSuspend);
  ASSERT_TRUE(brood.Shows("Stopped")) << brood.screen();
  brood.Type("fg\n");
  ASSERT_TRUE(heard("pong")) << brood.screen();
  brood.Type(kInterrupt);
  EXPECT_TRUE(WaitFor([&] {
    brood.Type("echo he''re\n");
    return brood.Shows("\nhere", absl::Milliseconds(100));
  })) << brood.screen();
  int status = -1;
  EXPECT_TRUE(WaitFor([&] {
    brood.Type("exit 9\n");
    return (status = brood.NextChange(absl::Milliseconds(200))) != -1;
  })) << brood.screen();
  ASSERT_TRUE(WIFEXITED(status)) << status << brood.screen();
  EXPECT_EQ(WEXITSTATUS(status), 9);
}

TEST_P(ShellOnTerminalTest, TheCallersTerminalIsNoneOfItsDescriptors) {
  OnTerminal brood(Shell());
  ASSERT_TRUE(brood.started());
  ASSERT_TRUE(brood.Shows("at>")) << brood.screen();
  brood.Type("echo $(readlink /proc/$$/fd/*) e''nd\n");
  ASSERT_TRUE(brood.Shows(" end")) << brood.screen();
  EXPECT_TRUE(absl::StrContains(brood.screen(), "/dev/pts/")) << brood.screen();
  EXPECT_FALSE(absl::StrContains(brood.screen(), absl::StrCat(brood.name(), " "))) << brood.name() << brood.screen();
}

TEST_P(ShellOnTerminalTest, TheEndKeyEndsTheShell) {
  OnTerminal brood(Shell());
  ASSERT_TRUE(brood.started());
  ASSERT_TRUE(brood.Shows("at>")) << brood.screen();
  brood.Type(kEnd);
  const int status = brood.NextChange();
  EXPECT_TRUE(WIFEXITED(status)) << status << brood.screen();
}

TEST_P(ShellOnTerminalTest, TheCallersIsRawMeanwhileAndAsBeforeAtTheEnd) {
  OnTerminal brood(Shell());
  ASSERT_TRUE(brood.started());
  const termios before = brood.Settings();
  ASSERT_TRUE(brood.Shows("at>")) << brood.screen();
  EXPECT_TRUE(WaitFor([&] { return brood.IsRaw(); }));
  brood.Type("exit\n");
  EXPECT_TRUE(WIFEXITED(brood.NextChange()));
  EXPECT_TRUE(SameSettings(brood.Settings(), before));
}

TEST_P(ShellOnTerminalTest, TheCallersIsAsBeforeWhenBroodIsKilled) {
  for (const int signal : {SIGKILL, SIGQUIT, SIGTERM}) {
    OnTerminal brood(Shell());
    ASSERT_TRUE(brood.started());
    const termios before = brood.Settings();
    ASSERT_TRUE(brood.Shows("at>")) << brood.screen();
    ASSERT_TRUE(WaitFor([&] { return brood.IsRaw(); }));
    kill(brood.pid(), signal);
    // An interactive shell ignores TERM; a second one ends the tree.
    if (signal == SIGTERM) {
      EXPECT_TRUE(WaitFor([&] {
        kill(brood.pid(), signal);
        return !brood.IsRaw();
      }));
    }
    brood.NextChange();
    EXPECT_TRUE(WaitFor([&] { return SameSettings(brood.Settings(), before); })) << signal;
  }
}

TEST_P(ShellOnTerminalTest, AStopGivesTheTerminalBackUntilItIsContinued) {
  OnTerminal brood(Shell());
  ASSERT_TRUE(brood.started());
  ASSERT_TRUE(brood.Shows("at>")) << brood.screen();
  ASSERT_TRUE(WaitFor([&] { return brood.IsRaw(); }));
  kill(brood.pid(), SIGTSTP);
  ASSERT_TRUE(WIFSTOPPED(brood.NextChange()));
  EXPECT_FALSE(brood.IsRaw());
  kill(brood.pid(), SIGCONT);
  EXPECT_TRUE(WaitFor([&] { return brood.IsRaw(); }));
  brood.Type("echo al''ive\n");
  EXPECT_TRUE(brood.Shows("alive")) << brood.screen();
}

TEST_P(ShellOnTerminalTest, ItsSizeIsThatOfTheCallers) {
  OnTerminal brood(Shell());
  ASSERT_TRUE(brood.started());
  ASSERT_TRUE(brood.Shows("at>")) << brood.screen();
  brood.Resize(47);
  EXPECT_TRUE(WaitFor([&] {
    brood.Type("stty size\n");
    return brood.Shows("24 47");
  })) << brood.screen();
}

TEST_P(ShellOnTerminalTest, WithoutATerminalOfTheCallersItHasOneAllTheSame) {
  TemporaryDirectory directory;
  const std::string input = directory.path() + "/in";
  const std::string result = directory.path() + "/result";
  Write(input, "echo hi\ntest -t 0 && echo terminal\nexit 3\n");
  const PlainRun run = RunPlain({"sh", "-c", absl::StrCat(BroodPath(), " run --tty --policy ", GetParam(), " --result ", result, " -- sh < ", input)});
  EXPECT_EQ(run.code, 3) << run.err;
  EXPECT_TRUE(absl::StrContains(run.out, "hi\r\n")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, "terminal\r\n")) << run.out;
  EXPECT_TRUE(absl::StrContains(FileContent(result), R"("exit_code":3,)")) << FileContent(result);
}

TEST(OwnTerminalOptionTest, GoesWithoutAServer) {
  const PlainRun run = Brood({"run", "--tty", "--server", "/nowhere", "--", "true"});
  EXPECT_EQ(run.code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "--tty: the child of a server has the streams that it is given; leave out --server")) << run.err;
}

}  // namespace
}  // namespace brood
