#include "launcher/sink_child.h"

#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "launcher/impatience_child.h"

namespace brood::child {
namespace {

// A write that a timer interrupts: terminals, FIFOs and pipes before Linux 6.4 know no other way.
ssize_t WriteWithTimer(int fd, const char* data, size_t length) {
  const Impatience impatience;
  if (!impatience.given()) return -1;
  // No more than a pipe takes at once after POLLOUT, as long as nobody else writes. pipe(7), PIPE_BUF.
  return write(fd, data, length < PIPE_BUF ? length : PIPE_BUF);
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
