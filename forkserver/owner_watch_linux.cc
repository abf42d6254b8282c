#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "base/status.h"
#include "forkserver/owner_watch.h"

namespace brood::internal {

absl::Status OwnerWatch::Start(int owner) {
  constexpr char kWhat[] = "watch the owner of the forkserver";
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair", kWhat);
  done_.reset(pair[0]);
  const UniqueFd theirs(pair[1]);
  const UniqueFd server(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!server.valid()) return ErrnoStatus(errno, "pidfd_open", kWhat);
  // No exit signal: the preload's own wait(2) must not meet it.
  pid_ = static_cast<int>(syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr));
  if (pid_ == 0) {
    // By number: destructors are the server's. Signals for the server are not for this one.
    const uint64_t all = ~uint64_t{0};
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, sizeof(all));
    close(pair[0]);
    pollfd polls[] = {{owner, POLLIN, 0}, {pair[1], POLLIN, 0}, {server.get(), POLLIN, 0}};
    while (poll(polls, 3, -1) < 0 && errno == EINTR) {
    }
    if (polls[0].revents != 0 && polls[1].revents == 0) syscall(SYS_pidfd_send_signal, server.get(), SIGKILL, nullptr, 0);
    syscall(SYS_exit_group, 0);
  }
  return pid_ > 0 ? absl::OkStatus() : ErrnoStatus(errno, "clone", kWhat, "see the limits of processes and memory");
}

OwnerWatch::~OwnerWatch() {
  // Processes of the preload's may have copies of it.
  shutdown(done_.get(), SHUT_RDWR);
  done_.reset();
  while (pid_ > 0 && waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

}  // namespace brood::internal
