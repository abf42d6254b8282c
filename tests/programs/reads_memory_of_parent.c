// Reads a byte of its parent's memory.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  const pid_t pid = argc > 1 ? atoi(argv[1]) : getppid();
  char byte;
  struct iovec local = {&byte, 1};
  struct iovec remote = {(void*)&local, 1};  // Any address: the permission is checked first.
  long result = process_vm_readv(pid, &local, 1, &remote, 1, 0);
  if (result < 0 && errno == EFAULT) result = 0;
  return Attempt("read the parent's memory", result);
}
