// Tries what ordinary programs try at their start, and goes on without it: xz confines itself by Landlock, libuv looks for
// io_uring, databases for asynchronous input and output, libcurl for a pair of sockets, nice(1) for a lower priority.
#include <linux/io_uring.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

#define LANDLOCK_CREATE_RULESET_VERSION 1  // linux/landlock.h

int main(void) {
  struct io_uring_params params;
  memset(&params, 0, sizeof params);
  unsigned long context = 0;
  int pair[2];
  Attempt("landlock_create_ruleset", syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION));
  Attempt("io_uring_setup", syscall(SYS_io_uring_setup, 4, &params));
  Attempt("io_setup", syscall(SYS_io_setup, 1, &context));
  Attempt("memfd_secret", syscall(447, 0));
  Attempt("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
  Attempt("setpriority", setpriority(PRIO_PROCESS, 0, 5));
  return 0;
}
