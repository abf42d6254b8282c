#include "cli/own_terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "base/status.h"
#include "cli/raw_terminal_linux.h"

namespace brood {
namespace {

// The keys on their way from our terminal to the guardian, which types them.
class Keys {
 public:
  static absl::StatusOr<Keys> Open(LaunchOptions& options) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    Keys keys;
    keys.theirs_.reset(ends[0]);
    keys.ours_.reset(ends[1]);
    // Or a program that reads nothing would keep us from the signals.
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    options.stdin_spec = Stdio::Fd(ends[0]);
    return keys;
  }

  void Started() { theirs_.reset(); }

  pollfd Poll() const {
    if (!pending_.empty()) return {ours_.get(), POLLOUT, 0};
    return {ours_.valid() ? STDIN_FILENO : -1, POLLIN, 0};
  }

  void Move(const pollfd& polled) {
    if (polled.revents == 0) return;
    if (pending_.empty()) {
      char buffer[4096];
      const ssize_t n = read(STDIN_FILENO, buffer, sizeof(buffer));
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n <= 0) return ours_.reset();  // It has hung up.
      pending_.assign(buffer, static_cast<size_t>(n));
    }
    const ssize_t n = write(ours_.get(), pending_.data(), pending_.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) {
      pending_.clear();
      return ours_.reset();
    }
    pending_.erase(0, static_cast<size_t>(n));
  }

 private:
  UniqueFd theirs_;
  UniqueFd ours_;
  std::string pending_;
};

// The terminal whose size the program's own has: where it is looked at, or typed.
int SizedTerminal() {
  for (const int number : {STDOUT_FILENO, STDIN_FILENO, STDERR_FILENO}) {
    if (isatty(number) == 1) return number;
  }
  return -1;
}

class Session {
 public:
  Session(Process& process, std::optional<RawTerminal>& raw, std::optional<Keys>& keys) : process_(process), raw_(raw), keys_(keys) {}

  absl::StatusOr<Outcome> Run(SignalSource& signals) {
    while (true) {
      pollfd entries[] = {{process_.sentinel(), POLLIN, 0}, {signals.fd(), POLLIN, 0}, keys_.has_value() ? keys_->Poll() : pollfd{-1, 0, 0}};
      if (poll(entries, 3, -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
      if (entries[0].revents != 0) return process_.Join();
      while (const std::optional<CaughtSignal> caught = signals.Next()) BROOD_RETURN_IF_ERROR(Take(*caught));
      if (keys_.has_value()) keys_->Move(entries[2]);
    }
  }

 private:
  absl::Status Take(const CaughtSignal& caught) {
    switch (caught.number) {
      case SIGTSTP:  // Not by a key: those are the program's.
        return Stop();
      case SIGCONT:  // By whoever stopped us with SIGSTOP, and had the terminal meanwhile.
        if (raw_.has_value()) raw_->MakeRaw();
        return Resize();
      case SIGWINCH:
        return Resize();
      default:
        if (std::exchange(forwarded_, true)) return process_.Kill();
        return process_.Signal(caught.number);
    }
  }

  absl::Status Stop() {
    BROOD_RETURN_IF_ERROR(process_.SignalGroup(SIGSTOP));
    if (raw_.has_value()) raw_->PutBack();
    kill(getpid(), SIGSTOP);
    if (raw_.has_value()) raw_->MakeRaw();
    BROOD_RETURN_IF_ERROR(Resize());
    return process_.SignalGroup(SIGCONT);
  }

  absl::Status Resize() {
    winsize size;
    const int terminal = SizedTerminal();
    if (terminal < 0 || ioctl(terminal, TIOCGWINSZ, &size) != 0) return absl::OkStatus();
    return process_.ResizeTerminal(size.ws_row, size.ws_col);
  }

  Process& process_;
  std::optional<RawTerminal>& raw_;
  std::optional<Keys>& keys_;
  bool forwarded_ = false;
};

}  // namespace

absl::StatusOr<Outcome> RunOnOwnTerminal(LaunchOptions options, SignalSource& signals, std::optional<Process>& process) {
  options.terminal.emplace();
  std::optional<RawTerminal> raw;
  std::optional<Keys> keys;
  if (isatty(STDIN_FILENO) == 1) {
    options.terminal->like = STDIN_FILENO;
    BROOD_ASSIGN_OR_RETURN(keys, Keys::Open(options));
  } else if (winsize size; SizedTerminal() >= 0 && ioctl(SizedTerminal(), TIOCGWINSZ, &size) == 0) {
    options.terminal->rows = size.ws_row;
    options.terminal->columns = size.ws_col;
  }
  if (keys.has_value()) {
    BROOD_ASSIGN_OR_RETURN(RawTerminal prepared, RawTerminal::Prepare(STDIN_FILENO));
    raw.emplace(std::move(prepared));
  }
  // The program's own begins with the settings that ours has before.
  BROOD_ASSIGN_OR_RETURN(process, Process::Launch(options));
  if (keys.has_value()) {
    keys->Started();
    raw->MakeRaw();
  }
  return Session(*process, raw, keys).Run(signals);
}

}  // namespace brood
