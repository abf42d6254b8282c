#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "bootstrap/error_report.h"
#include "bootstrap/exit.h"
#include "bootstrap/registry.h"
#include "bootstrap/throw_site.h"
#include "forkserver/preload.h"

namespace brood::internal {
namespace {

absl::Status RunOnce(const BoundTarget& target) {
  ThrowSite site;
  try {
    const ExitScope scope;
    TargetResult result;
    Watch([&] { result = target(); }, &site);
    if (!result.status.ok()) return result.status;
    if (result.exit_code != 0) return absl::AbortedError(absl::StrCat("gave the exit code ", result.exit_code));
    return absl::OkStatus();
  } catch (const ExitRequest&) {
    return absl::AbortedError("called brood::Exit, which would end the server");
  } catch (...) {
    const ResultError error = CurrentException(site);
    return absl::UnknownError(absl::StrCat(error.type, ": ", error.status.message()));
  }
}

}  // namespace

absl::Status Preload(const std::string& name) {
  const std::string context = absl::StrCat("preload ", name);
  const absl::StatusOr<const TargetEntry*> entry = FindTarget(name);
  if (!entry.ok()) return Annotate(entry.status(), context);
  const absl::StatusOr<BoundTarget> target = (*entry)->bind({});
  if (!target.ok()) return Annotate(target.status(), absl::StrCat(context, ": a preload takes no arguments"));
  return Annotate(RunOnce(*target), context);
}

OwnerWatch::OwnerWatch(int owner) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return;
  done_.reset(pair[0]);
  const int server = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  // No exit signal: the preload's own wait(2) must not meet it.
  pid_ = static_cast<int>(syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr));
  if (pid_ == 0) {
    close(pair[0]);
    pollfd polls[] = {{owner, POLLIN, 0}, {pair[1], POLLIN, 0}, {server, POLLIN, 0}};
    while (poll(polls, 3, -1) < 0 && errno == EINTR) {
    }
    if (polls[0].revents != 0 && polls[1].revents == 0) syscall(SYS_pidfd_send_signal, server, SIGKILL, nullptr, 0);
    syscall(SYS_exit_group, 0);
  }
  close(pair[1]);
  if (server >= 0) close(server);
}

OwnerWatch::~OwnerWatch() {
  done_.reset();
  while (pid_ > 0 && waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

}  // namespace brood::internal
