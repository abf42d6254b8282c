#include "base/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace brood {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) {
    const int saved = errno;
    // Never retried on EINTR: Linux has freed the number already, and another thread may own it by now. close(2).
    close(fd_);
    errno = saved;
  }
  fd_ = fd;
}

UniqueFd Duplicate(int fd) { return UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

bool KeepFromChildren(int fd) { return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0; }

}  // namespace brood
