#include "base/server_birth_child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>

#include "base/child_safe.h"

namespace brood::child {
namespace {

constexpr size_t kStackBytes = size_t{64} << 10;

struct Shared {
  ServerBirth* birth = nullptr;
  char* stack = nullptr;  // Two of them.
};

int Failed(ServerBirth* birth, const char* step) {
  birth->error = errno;
  birth->step = step;
  return 1;
}

int BecomeServer(void* arg) {
  ServerBirth* const birth = static_cast<Shared*>(arg)->birth;
  child::ResetSignalActions();
  // What is not copied needs no close. close_range(2), CLOSE_RANGE_UNSHARE
  if (birth->first_other > 0 && syscall(SYS_close_range, birth->first_other, UINT_MAX, CLOSE_RANGE_UNSHARE) != 0) return Failed(birth, "unshare descriptors");
  // Both out of the way of the numbers below.
  const int socket = fcntl(birth->socket, F_DUPFD_CLOEXEC, kServerSocket + 1);
  const int executable = fcntl(birth->executable, F_DUPFD_CLOEXEC, kServerSocket + 1);
  if (socket < 0 || executable < 0) return Failed(birth, "duplicate a descriptor");
  const int opened = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (opened < 0) return Failed(birth, "open /dev/null");
  // Where a stream is closed it may have got that number, and dup2(2) onto itself would leave it close-on-exec.
  const int null = fcntl(opened, F_DUPFD_CLOEXEC, kServerSocket + 1);
  if (null < 0) return Failed(birth, "duplicate a descriptor");
  if (dup2(null, 0) < 0) return Failed(birth, "duplicate a descriptor");
  for (int stream = 1; stream <= 2; ++stream) {
    // One of ours has that number, if the caller has closed its own stream: it ends at the exec.
    const int flags = fcntl(stream, F_GETFD);
    if ((flags < 0 || (flags & FD_CLOEXEC) != 0) && dup2(null, stream) < 0) return Failed(birth, "duplicate a descriptor");
  }
  if (dup2(socket, kServerSocket) < 0) return Failed(birth, "duplicate a descriptor");
  if (executable > kServerSocket + 1) {
    syscall(SYS_close_range, kServerSocket + 1, static_cast<unsigned>(executable - 1), 0);
  }
  syscall(SYS_close_range, static_cast<unsigned>(executable + 1), UINT_MAX, 0);
  syscall(SYS_execveat, executable, "", birth->argv, birth->envp, AT_EMPTY_PATH);
  return Failed(birth, "execute");
}

int Intermediate(void* arg) {
  const auto* const shared = static_cast<const Shared*>(arg);
  // Returns when the server has executed its program or has failed to. This table of descriptors is the caller's.
  int pidfd = -1;
  const int files = shared->birth->first_other > 0 ? CLONE_FILES : 0;
  const int pid = clone(BecomeServer, shared->stack + kStackBytes, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD | files, arg, &pidfd,
                        nullptr, nullptr);
  if (pid < 0) return Failed(shared->birth, "clone");
  shared->birth->pid = pid;
  shared->birth->pidfd = pidfd;
  return 0;
}

// Calls `bear` with two stacks, all signals blocked.
void WithStacks(ServerBirth* birth, void (*bear)(Shared* shared)) {
  void* const stacks = mmap(nullptr, 2 * kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stacks == MAP_FAILED) {
    Failed(birth, "mmap");
    return;
  }
  Shared shared = {.birth = birth, .stack = static_cast<char*>(stacks)};
  // No handler of the caller's may run in a process that shares its memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bear(&shared);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stacks, 2 * kStackBytes);
}

}  // namespace

void BearServer(ServerBirth* birth) {
  WithStacks(birth, [](Shared* shared) {
    // Without an exit signal: an embedder's wait(-1) does not meet it. clone(2), __WALL in wait(2).
    const int pid = clone(Intermediate, shared->stack + 2 * kStackBytes, CLONE_VM | CLONE_VFORK | CLONE_FILES, shared);
    if (pid < 0) Failed(shared->birth, "clone");
    while (pid > 0 && waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
    }
  });
}

void BearOwnServer(ServerBirth* birth) {
  WithStacks(birth, [](Shared* shared) { Intermediate(shared); });
}

}  // namespace brood::child
