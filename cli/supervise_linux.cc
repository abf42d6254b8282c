#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>

#include "base/status.h"
#include "cli/supervise.h"

namespace brood {
namespace {

// Whether the terminal has sent the signal to the child as well.
bool ReachedChildAlready(const CaughtSignal& caught, pid_t child) {
  return caught.from_terminal && child > 0 && getpgid(child) == getpgrp();
}

// What the terminal sends to its foreground group goes to the child's whole group, which has a session of its own and
// would else get nothing of it.
absl::Status Forward(Process& process, const CaughtSignal& caught) {
  if (ReachedChildAlready(caught, process.pid())) return absl::OkStatus();
  return caught.from_terminal ? process.SignalGroup(caught.number) : process.Signal(caught.number);
}

// Stops the child and this process until the shell lets them go on. A child in a session of its own would take SIGTSTP
// for nothing, because its group is orphaned, and would go on reading the terminal. setpgid(2), signal(7).
absl::Status Stop(Process& process, const CaughtSignal& caught) {
  const bool ours = !ReachedChildAlready(caught, process.pid());
  if (ours) BROOD_RETURN_IF_ERROR(process.SignalGroup(SIGSTOP));
  kill(getpid(), SIGSTOP);
  return ours ? process.SignalGroup(SIGCONT) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<Outcome> Supervise(Process& process, SignalSource& signals) {
  bool forwarded = false;
  while (true) {
    pollfd entries[] = {{.fd = process.sentinel(), .events = POLLIN}, {.fd = signals.fd(), .events = POLLIN}};
    if (poll(entries, 2, -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (entries[0].revents != 0) return process.Join();
    while (const std::optional<CaughtSignal> caught = signals.Next()) {
      if (caught->number == SIGTSTP) {
        BROOD_RETURN_IF_ERROR(Stop(process, *caught));
      } else if (caught->number == SIGWINCH) {
        BROOD_RETURN_IF_ERROR(Forward(process, *caught));
      } else if (forwarded) {
        BROOD_RETURN_IF_ERROR(process.Kill());
      } else {
        BROOD_RETURN_IF_ERROR(Forward(process, *caught));
        forwarded = true;
      }
    }
  }
}

void TakeWithoutChild(SignalSource& signals) {
  while (const std::optional<CaughtSignal> caught = signals.Next()) {
    if (caught->number == SIGTSTP) kill(getpid(), SIGSTOP);
  }
}

}  // namespace brood
