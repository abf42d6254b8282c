#include "cli/raw_terminal_linux.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "base/status.h"

namespace brood {
namespace {

bool Same(const termios& one, const termios& other) {
  return one.c_iflag == other.c_iflag && one.c_oflag == other.c_oflag && one.c_cflag == other.c_cflag &&
         one.c_lflag == other.c_lflag && std::memcmp(one.c_cc, other.c_cc, sizeof(one.c_cc)) == 0;
}

void PutBackIfStill(int terminal, const termios& raw, const termios& before) {
  termios now;
  // Else a shell was faster, and reads its next line already.
  if (tcgetattr(terminal, &now) == 0 && Same(now, raw)) tcsetattr(terminal, TCSANOW, &before);
}

// In a fork. In a group of its own, so that a signal to the job does not end it; from the background, which SIGTTOU would
// stop if it were not blocked. termios(3).
[[noreturn]] void Keep(int terminal, int alive, const termios& raw, const termios& before) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  setpgid(0, 0);
  prctl(PR_SET_NAME, "brood-terminal", 0, 0, 0);
  // Nobody is to wait for the end of a stream because of us.
  dup2(terminal, 0);
  dup2(alive, 1);
  syscall(SYS_close_range, 2, UINT_MAX, 0);
  char none;
  while (read(1, &none, 1) < 0 && errno == EINTR) {
  }
  PutBackIfStill(0, raw, before);
  _exit(0);
}

}  // namespace

absl::StatusOr<RawTerminal> RawTerminal::Prepare(int terminal) {
  RawTerminal made;
  made.terminal_ = terminal;
  if (tcgetattr(terminal, &made.before_) != 0) return ErrnoStatus(errno, "tcgetattr", "of the terminal");
  // In the background we are stopped here, before there is a keeper or a child.
  if (tcsetattr(terminal, TCSANOW, &made.before_) != 0) return ErrnoStatus(errno, "tcsetattr", "of the terminal");
  made.raw_ = made.before_;
  cfmakeraw(&made.raw_);
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  const UniqueFd keepers_end(pipe[0]);
  made.alive_.reset(pipe[1]);
  const pid_t keeper = fork();
  if (keeper < 0) return ErrnoStatus(errno, "fork", "what puts the terminal back");
  if (keeper == 0) Keep(terminal, pipe[0], made.raw_, made.before_);
  made.keeper_.reset(static_cast<int>(syscall(SYS_pidfd_open, keeper, 0)));
  return made;
}

RawTerminal::~RawTerminal() {
  if (!alive_.valid()) return;
  // The answers that a terminal gives to what the program has shown are not for the shell to read.
  if (was_raw_) {
    tcflush(terminal_, TCIFLUSH);
    PutBack();
  }
  alive_.reset();
  waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(keeper_.get()), nullptr, WEXITED);
}

void RawTerminal::PutBack() { tcsetattr(terminal_, TCSANOW, &before_); }

void RawTerminal::MakeRaw() {
  was_raw_ = true;
  tcsetattr(terminal_, TCSANOW, &raw_);
}

}  // namespace brood
