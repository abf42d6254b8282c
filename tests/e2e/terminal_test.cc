// `brood run` on a terminal: what is typed reaches the program as it would without brood.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

constexpr char kInterrupt = '\x03';
constexpr char kSuspend = '\x1a';

// Brood in the foreground of a terminal of its own. Killed when the object goes.
class OnTerminal {
 public:
  explicit OnTerminal(std::vector<std::string> args) {
    args.insert(args.begin(), BroodPath());
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    keys_ = UniqueFd(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!keys_.valid() || grantpt(keys_.get()) != 0 || unlockpt(keys_.get()) != 0) return;
    const std::string name = ptsname(keys_.get());
    pid_ = fork();
    if (pid_ != 0) return;
    setsid();
    const int terminal = open(name.c_str(), O_RDWR);  // Becomes the controlling one. tty_ioctl(4), TIOCSCTTY.
    for (int number = 0; number <= 2; ++number) dup2(terminal, number);
    execv(argv[0], argv.data());
    _exit(125);
  }
  ~OnTerminal() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  bool started() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  void Type(char key) { EXPECT_EQ(write(keys_.get(), &key, 1), 1); }
  void Resize(unsigned short columns) {
    const winsize size = {.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    EXPECT_EQ(ioctl(keys_.get(), TIOCSWINSZ, &size), 0);
  }

  // True once `text` is on the screen.
  bool Shows(std::string_view text) {
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (!absl::StrContains(screen_, text)) {
      pollfd entry = {.fd = keys_.get(), .events = POLLIN, .revents = 0};
      if (absl::Now() > end || poll(&entry, 1, 100) < 0) return false;
      char buffer[4096];
      if ((entry.revents & POLLIN) == 0) continue;
      const ssize_t count = read(keys_.get(), buffer, sizeof(buffer));
      if (count <= 0) return false;
      screen_.append(buffer, static_cast<size_t>(count));
    }
    return true;
  }
  const std::string& screen() const { return screen_; }

  // The wait status of brood's next change, its end or its stop; -1 if none comes.
  int NextChange() {
    int status = -1;
    const bool changed = WaitFor([&] { return waitpid(pid_, &status, WNOHANG | WUNTRACED) == pid_; });
    if (changed && !WIFSTOPPED(status)) pid_ = -1;
    return changed ? status : -1;
  }

 private:
  UniqueFd keys_;
  pid_t pid_ = -1;
  std::string screen_;
};

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
