#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "serialization/framing_io.h"

namespace brood {
namespace {

// write(2) that gives EPIPE without the signal, on any kind of handle. On a pipe the signal is blocked for this thread
// only and taken back if the write raised it; one that was pending before stays pending. On files, memfds among them,
// it is a plain write: a child's filter may forbid everything else.
ssize_t WriteWithoutSignal(int fd, mode_t kind, const char* data, size_t size) {
  if (S_ISSOCK(kind)) return send(fd, data, size, MSG_NOSIGNAL);
  if (S_ISREG(kind)) return write(fd, data, size);
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigset_t pending;
  sigpending(&pending);
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t written = write(fd, data, size);
  const int error = errno;
  if (written < 0 && error == EPIPE && sigismember(&pending, SIGPIPE) == 0) {
    const timespec now = {};
    sigtimedwait(&pipe_signal, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

absl::Status WaitFor(int fd, short events, absl::Time deadline, std::string_view what) {
  while (true) {
    int timeout = -1;
    if (deadline != absl::InfiniteFuture()) {
      // Rounded up: a wait of less than a millisecond would otherwise spin.
      const absl::Duration left = absl::Ceil(deadline - absl::Now(), absl::Milliseconds(1));
      if (left <= absl::ZeroDuration())
        return absl::DeadlineExceededError(absl::StrCat(what, ": nothing came in time"));
      timeout = static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(left), std::numeric_limits<int>::max()));
    }
    pollfd poll_fd = {.fd = fd, .events = events, .revents = 0};
    const int ready = poll(&poll_fd, 1, timeout);
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "poll", what);
  }
}

}  // namespace

absl::Status internal::WriteAll(int fd, const char* data, size_t size, std::string_view what) {
  struct stat about = {};
  if (fstat(fd, &about) != 0) return ErrnoStatus(errno, "write", what);
  while (size > 0) {
    const ssize_t written = WriteWithoutSignal(fd, about.st_mode, data, size);
    if (written >= 0) {
      data += written;
      size -= static_cast<size_t>(written);
    } else if (errno == EAGAIN) {
      BROOD_RETURN_IF_ERROR(WaitFor(fd, POLLOUT, absl::InfiniteFuture(), what));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return absl::UnavailableError(absl::StrCat("write ", what, ": the other end is closed"));
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "write", what);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> internal::ReadUpTo(int fd, char* data, size_t size, absl::Time deadline, std::string_view what) {
  size_t done = 0;
  while (done < size) {
    if (deadline != absl::InfiniteFuture()) BROOD_RETURN_IF_ERROR(WaitFor(fd, POLLIN, deadline, what));
    const ssize_t count = read(fd, data + done, size - done);
    if (count == 0) break;
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      BROOD_RETURN_IF_ERROR(WaitFor(fd, POLLIN, deadline, what));
    } else if (errno == ECONNRESET) {
      break;
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "read", what);
    }
  }
  return done;
}

}  // namespace brood
