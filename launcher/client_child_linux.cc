#include "launcher/client_child.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/status.h"
#include "bootstrap/bootstrap.h"
#include "launcher/launch_internal.h"
#include "launcher/guarded_state.h"
#include "launcher/served_start.h"

namespace brood::internal {

namespace {

GuardedState& Guarded(Process& process) { return static_cast<GuardedState&>(*StateOf(process)); }

}  // namespace

absl::StatusOr<Process> LaunchForClient(const ContextOptions& context, LaunchOptions options,
                                        const std::optional<RemoteFunction>& function) {
  BROOD_ASSIGN_OR_RETURN(ServedStart served, ServedStart::Prepare(context));
  served.StartNone();
  const auto launch = [&](const LaunchRecord& record) { return served.Launch(record); };
  if (!function.has_value()) {
    absl::StatusOr<Process> process = LaunchInternal(options, LaunchTarget(), launch);
    // It needs nothing that a forkserver has preloaded.
    return absl::IsUnavailable(process.status()) ? LaunchInternal(options, LaunchTarget()) : std::move(process);
  }
  options.inherited.push_back({.fd = function->message, .child_fd = kMessageFd});
  options.inherited.push_back({.fd = function->result, .child_fd = kResultFd});
  LaunchTarget target;
  target.kind = LaunchTarget::Kind::kFunction;
  target.setup_child_fd = kSetupFd;
  return LaunchInternal(options, target, launch);
}

int NewsOf(Process& process) {
  GuardedState& state = Guarded(process);
  const std::lock_guard<std::mutex> lock(state.mutex);
  return state.control.get();
}

bool TakeNews(Process& process) {
  PidOf(Guarded(process));
  GuardedState& state = Guarded(process);
  const std::lock_guard<std::mutex> lock(state.mutex);
  return state.started;
}

bool Is(Process& process, pid_t pid) {
  GuardedState& state = Guarded(process);
  const pid_t target = PidOf(state);
  const std::lock_guard<std::mutex> lock(state.mutex);
  return pid > 0 && (pid == target || pid == state.guardian);
}

void PassOn(Process& process, const GuardianCommand& command) {
  GuardedState& state = Guarded(process);
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    if (!state.control.valid()) return;
    const bool sent = send(state.control.get(), &command, sizeof(command), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
    if (command.kind == GuardianCommand::Kind::kKill) {
      state.killed = true;
      if (!sent) shutdown(state.control.get(), SHUT_RDWR);
    }
  }
  ContinueGuardian(state);
}

bool EndsSlowly(Process& process) {
  int bytes = 0;
  return ioctl(process.sentinel(), FIONREAD, &bytes) == 0 && bytes == 0;
}

}  // namespace brood::internal
