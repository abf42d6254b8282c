#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "base/status.h"
#include "cli/signals.h"

namespace brood {

absl::StatusOr<SignalSource> SignalSource::Create(Which which) {
  sigset_t wanted;
  sigemptyset(&wanted);
  std::vector<int> numbers = {SIGTERM, SIGINT, SIGHUP};
  if (which != Which::kEnds) numbers.insert(numbers.end(), {SIGTSTP, SIGWINCH});
  if (which == Which::kOwnTerminal) numbers.push_back(SIGCONT);
  for (const int number : numbers) {
    struct sigaction action = {};
    if (sigaction(number, nullptr, &action) != 0) return ErrnoStatus(errno, "sigaction");
    // A blocked signal is queued even if it is ignored, and would be read here. signal(7).
    if (action.sa_handler != SIG_IGN) sigaddset(&wanted, number);
  }
  if (sigprocmask(SIG_BLOCK, &wanted, nullptr) != 0) return ErrnoStatus(errno, "sigprocmask");
  SignalSource source;
  source.fd_ = UniqueFd(signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!source.fd_.valid()) return ErrnoStatus(errno, "signalfd");
  return source;
}

std::optional<CaughtSignal> SignalSource::Next() {
  signalfd_siginfo info = {};
  if (read(fd_.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return std::nullopt;
  if (info.ssi_signo != SIGTSTP && info.ssi_signo != SIGWINCH && info.ssi_signo != SIGCONT) told_to_end_ = true;
  return CaughtSignal{.number = static_cast<int>(info.ssi_signo), .from_terminal = info.ssi_code == SI_KERNEL};
}

void IgnoreBrokenPipes() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace brood
