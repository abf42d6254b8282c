// Makes an io_uring, whose operations no system call filter sees.
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  struct io_uring_params params;
  memset(&params, 0, sizeof params);
  return Attempt("make an io_uring", syscall(SYS_io_uring_setup, 4, &params));
}
