#include "launcher/sink_child.h"

#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace brood::child {
namespace {

constexpr suseconds_t kPatienceUs = 10'000;

void Nothing(int) {}

// A write that a timer interrupts: terminals, FIFOs and pipes before Linux 6.4 know no other way.
ssize_t WriteWithTimer(int fd, const char* data, size_t length) {
  struct sigaction action = {};
  action.sa_handler = Nothing;  // No SA_RESTART: the write is to end. signal(7).
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  // Again and again, so that one which comes before the write has begun is not the last.
  const itimerval every = {{0, kPatienceUs}, {0, kPatienceUs}};
  const itimerval never = {};
  if (sigaction(SIGALRM, &action, nullptr) != 0 || setitimer(ITIMER_REAL, &every, nullptr) != 0) return -1;
  sigprocmask(SIG_UNBLOCK, &alarm, nullptr);
  // No more than a pipe takes at once after POLLOUT, as long as nobody else writes. pipe(7), PIPE_BUF.
  const ssize_t written = write(fd, data, length < PIPE_BUF ? length : PIPE_BUF);
  const int error = errno;
  sigprocmask(SIG_BLOCK, &alarm, nullptr);
  setitimer(ITIMER_REAL, &never, nullptr);
  errno = error;
  return written;
}

}  // namespace

ssize_t WriteSoon(int fd, const char* data, size_t length) {
  iovec part = {const_cast<char*>(data), length};
  // Offset -1: where the file stands. pwritev2(2), RWF_NOWAIT.
  const ssize_t written = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
  if (written >= 0 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS && errno != ESPIPE)) return written;
  return WriteWithTimer(fd, data, length);
}

}  // namespace brood::child
