// `brood run` on a terminal: what is typed reaches the program as it would without brood.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/on_terminal.h"

namespace brood {
namespace {

constexpr char kInterrupt = '\x03';
constexpr char kSuspend = '\x1a';

// The states of the processes with `token` among their arguments, but for brood's own: "S" of one that sleeps, "T"
// stopped. proc(5), /proc/PID/stat.
std::string StatesOf(const std::string& token, pid_t but) {
  std::string states;
  for (const pid_t pid : ProcessesNamed(token)) {
    std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::ifstream name_file(absl::StrCat("/proc/", pid, "/comm"));
    std::string name;
    std::getline(name_file, name);
    const size_t end = text.rfind(')');
    if (pid != but && name == "sh" && end != std::string::npos && end + 2 < text.size()) states += text[end + 2];
  }
  return states;
}

class TerminalTest : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Policies, TerminalTest, testing::Values("strict", "default", "none"),
                         [](const auto& param) { return param.param; });

TEST_P(TerminalTest, CtrlCReachesWhatTheProgramHasStarted) {
  // The outer shell waits for the inner one, which only the terminal's group as a whole makes end.
  OnTerminal brood({"run", "--policy", GetParam(), "--", "sh", "-c",
                    "trap : INT; sh -c 'trap \"echo inner; exit 5\" INT; echo ready; sleep 1000 & wait'; exit 6"});
  ASSERT_TRUE(brood.started());
  ASSERT_TRUE(brood.Shows("ready")) << brood.screen();
  brood.Type(kInterrupt);
  EXPECT_TRUE(brood.Shows("inner")) << brood.screen();
  const int status = brood.NextChange();
  ASSERT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 6);
}

// It is the standard input all the same, which is not enough to type into it or to be sent its signals.
TEST_P(TerminalTest, IsNotTheControllingOneOfASandbox) {
  OnTerminal brood({"run", "--policy", GetParam(), "--", "sh", "-c",
                    "test -t 0 && echo on a terminal; set -- $(sed 's/.*) //' /proc/self/stat); test $5 = 0 && echo of nobody; test $4 = 0 || echo own session"});
  ASSERT_TRUE(brood.started());
  EXPECT_TRUE(brood.Shows("own session")) << brood.screen();
  const int status = brood.NextChange();
  ASSERT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(absl::StrContains(brood.screen(), "of nobody"), GetParam() != "none") << brood.screen();
  EXPECT_TRUE(absl::StrContains(brood.screen(), "on a terminal")) << brood.screen();
}

TEST_P(TerminalTest, CtrlZStopsTheProgramTooUntilItIsContinued) {
  const std::string token = absl::StrCat("token-suspend-", GetParam(), "-", getpid());
  OnTerminal brood({"run", "--policy", GetParam(), "--", "sh", "-c",
                    "echo ready; while read -r line; do echo \"got $line\"; done", token});
  ASSERT_TRUE(brood.started());
  ASSERT_TRUE(brood.Shows("ready")) << brood.screen();
  // The leader of a session is nobody's job: with none, where brood and its child are stopped by the terminal itself,
  // an orphaned group would ignore that.
  if (GetParam() == "none") GTEST_SKIP() << "the terminal stops a child that shares brood's group";
  brood.Type(kSuspend);
  const int status = brood.NextChange();
  ASSERT_TRUE(WIFSTOPPED(status)) << status;
  EXPECT_TRUE(WaitFor([&] { return StatesOf(token, brood.pid()) == "T"; })) << StatesOf(token, brood.pid());
  kill(brood.pid(), SIGCONT);
  EXPECT_TRUE(WaitFor([&] { return StatesOf(token, brood.pid()) == "S"; })) << StatesOf(token, brood.pid());
  brood.Type('x');
  brood.Type('\n');
  EXPECT_TRUE(brood.Shows("got x")) << brood.screen();
}

TEST_P(TerminalTest, TheProgramLearnsThatTheWindowHasANewSize) {
  OnTerminal brood({"run", "--policy", GetParam(), "--", "sh", "-c",
                    "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 1000 & wait; done"});
  ASSERT_TRUE(brood.started());
  ASSERT_TRUE(brood.Shows("ready")) << brood.screen();
  brood.Resize(47);
  EXPECT_TRUE(brood.Shows("24 47")) << brood.screen();
}

}  // namespace
}  // namespace brood
