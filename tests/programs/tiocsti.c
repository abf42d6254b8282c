// Types a letter into the terminal that it was started from: on 0, 1, 2 and /dev/tty, also with high bits set, which a
// filter of 64 bits would let through and the kernel ignores (CVE-2019-10063).
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  int code = kRefused;
  const int terminal = open("/dev/tty", O_RDWR);
  code &= Attempt("open /dev/tty", terminal);
  const int fds[] = {0, 1, 2, terminal};
  for (int i = 0; i < 4; ++i) {
    code &= Attempt("TIOCSTI", ioctl(fds[i], TIOCSTI, "#"));
    code &= Attempt("TIOCSTI with high bits", syscall(SYS_ioctl, fds[i], TIOCSTI | (1UL << 32), "#"));
  }
  return code;
}
