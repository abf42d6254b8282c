#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/child_safe.h"
#include "base/status.h"
#include "forkserver/owner_watch.h"

namespace brood::internal {
namespace {

constexpr uint64_t kPatienceNs = 2'000'000'000;  // For what cannot be killed: it waits for a file.

// Kills the children of a thread that the process `parent` has, but for this one. Whether any was running.
bool KillChildren(pid_t parent, const char* thread) {
  static char text[65536];
  child::Text<128> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(parent)).Add("/task/").Add(thread).Add("/children");
  if (child::ReadFile(AT_FDCWD, path.c_str(), text, sizeof(text)) <= 0) return false;
  const pid_t self = static_cast<pid_t>(syscall(SYS_getpid));
  bool running = false;
  for (const char* at = text; *at != '\0';) {
    const auto pid = static_cast<pid_t>(child::ParseNumber(at));
    if (pid > 0 && pid != self) {
      // Nobody reaps it meanwhile: its parent is stopped. One that has ended is a zombie, to which that is an error.
      const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
      pollfd ended = {pidfd, POLLIN, 0};
      if (pidfd >= 0 && poll(&ended, 1, 0) == 0) {
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
        running = true;
      }
      if (pidfd >= 0) close(pidfd);
    }
    while (*at != '\0' && *at != ' ') ++at;
    while (*at == ' ') ++at;
  }
  return running;
}

bool KillChildrenOfAllThreads(pid_t parent) {
  child::Text<128> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(parent)).Add("/task");
  const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return false;
  alignas(8) char entries[4096];
  bool running = false;
  long size;
  while ((size = syscall(SYS_getdents64, folder, entries, sizeof(entries))) > 0) {
    for (long at = 0; at < size;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(entries + at);
      if (entry->d_name[0] != '.' && KillChildren(parent, entry->d_name)) running = true;
      at += entry->d_reclen;
    }
  }
  close(folder);
  return running;
}

// Stopped, it starts no more; a subreaper, it is given what each of them leaves. prctl(2), PR_SET_CHILD_SUBREAPER
void EndTree(int server, pid_t pid) {
  if (syscall(SYS_pidfd_send_signal, server, SIGSTOP, nullptr, 0) == 0) {
    const uint64_t begin = child::MonotonicNanoseconds();
    // Twice: what one has left that ended by itself while we looked was not there yet.
    for (int quiet = 0; quiet < 2 && child::MonotonicNanoseconds() - begin < kPatienceNs;) {
      quiet = KillChildrenOfAllThreads(pid) ? 0 : quiet + 1;
      if (quiet == 0) poll(nullptr, 0, 1);
    }
  }
  syscall(SYS_pidfd_send_signal, server, SIGKILL, nullptr, 0);
}

}  // namespace

absl::Status OwnerWatch::Start(int owner) {
  constexpr char kWhat[] = "watch the owner of the forkserver";
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair", kWhat);
  done_.reset(pair[0]);
  const UniqueFd theirs(pair[1]);
  const UniqueFd server(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!server.valid()) return ErrnoStatus(errno, "pidfd_open", kWhat);
  const pid_t server_pid = getpid();
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
    if (polls[0].revents != 0 && polls[1].revents == 0) EndTree(server.get(), server_pid);
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
