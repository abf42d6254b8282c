#include "launcher/client_child.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
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

absl::StatusOr<ClientChild> LaunchForClient(const ContextOptions& context, LaunchOptions options,
                                            const std::optional<RemoteFunction>& function, const ClientBirth& birth) {
  BROOD_ASSIGN_OR_RETURN(ServedStart served, ServedStart::Prepare(context));
  constexpr absl::Duration kBirth = absl::Minutes(1);  // On a machine that is busy, too.
  served.StartNone();
  served.SetBirthPatience(kBirth);
  served.SetBirth(&birth);
  const auto launch = [&](const LaunchRecord& record) { return served.Launch(record); };
  if (!function.has_value()) {
    absl::StatusOr<Process> process = LaunchInternal(options, LaunchTarget(), launch, &birth);
    // It needs nothing that a forkserver has preloaded.
    if (absl::IsUnavailable(process.status())) process = LaunchInternal(options, LaunchTarget(), nullptr, &birth);
    if (!process.ok()) return process.status();
    return ClientChild{*std::move(process), served.instance()};
  }
  options.inherited.push_back({.fd = function->message, .child_fd = kMessageFd});
  options.inherited.push_back({.fd = function->result, .child_fd = kResultFd});
  LaunchTarget target;
  target.kind = LaunchTarget::Kind::kFunction;
  target.setup_child_fd = kSetupFd;
  BROOD_ASSIGN_OR_RETURN(Process process, LaunchInternal(options, target, launch, &birth));
  return ClientChild{std::move(process), served.instance()};
}

ClientBirth BirthOf(const RemoteLaunch& launch) {
  ClientBirth birth;
  if (launch.file_mask.has_value()) birth.file_mask = static_cast<int>(*launch.file_mask & 0777);
  errno = 0;
  const int own = getpriority(PRIO_PROCESS, 0);
  birth.has_nice = errno == 0 && launch.nice.has_value() && *launch.nice > own;
  if (birth.has_nice) birth.nice = *launch.nice;
  for (const RemoteLimit& limit : launch.limits) {
    if (limit.resource >= RLIM_NLIMITS) continue;  // A kernel's that is newer.
    rlimit mine = {};
    if (getrlimit(static_cast<__rlimit_resource>(limit.resource), &mine) != 0) continue;
    const rlimit theirs = {std::min({rlim_t{limit.soft}, rlim_t{limit.hard}, mine.rlim_max}), std::min<rlim_t>(limit.hard, mine.rlim_max)};
    birth.has_limit[limit.resource] = true;
    birth.limits[limit.resource] = theirs;
  }
  return birth;
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
