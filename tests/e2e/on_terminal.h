// Brood at a terminal, with somebody who types and looks.
#ifndef BROOD_TESTS_E2E_ON_TERMINAL_H_
#define BROOD_TESTS_E2E_ON_TERMINAL_H_

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {

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
    name_ = ptsname(keys_.get());
    pid_ = fork();
    if (pid_ != 0) return;
    setsid();
    const int terminal = open(name_.c_str(), O_RDWR);  // Becomes the controlling one. tty_ioctl(4), TIOCSCTTY.
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

  const std::string& name() const { return name_; }  // "/dev/pts/5".
  bool started() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  void Type(char key) { EXPECT_EQ(write(keys_.get(), &key, 1), 1); }
  void Type(std::string_view keys) {
    for (const char key : keys) Type(key);
  }
  void Resize(unsigned short columns) {
    const winsize size = {.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    EXPECT_EQ(ioctl(keys_.get(), TIOCSWINSZ, &size), 0);
  }

  // True once `text` is on the screen.
  bool Shows(std::string_view text, absl::Duration patience = absl::Seconds(10)) {
    const absl::Time end = absl::Now() + patience;
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

  // Its settings are those that brood sees.
  termios Settings() const {
    termios settings = {};
    EXPECT_EQ(tcgetattr(keys_.get(), &settings), 0);
    return settings;
  }
  bool IsRaw() const { return (Settings().c_lflag & (ICANON | ECHO | ISIG)) == 0; }

  // The wait status of brood's next change, its end or its stop; -1 if none comes.
  int NextChange(absl::Duration patience = absl::Seconds(10)) {
    int status = -1;
    const bool changed = WaitFor([&] { return waitpid(pid_, &status, WNOHANG | WUNTRACED) == pid_; }, patience);
    if (changed && !WIFSTOPPED(status)) pid_ = -1;
    return changed ? status : -1;
  }

 private:
  UniqueFd keys_;
  std::string name_;
  pid_t pid_ = -1;
  std::string screen_;
};

}  // namespace brood

#endif  // BROOD_TESTS_E2E_ON_TERMINAL_H_
