// Sends itself a signal by number. The C library would refuse 32 and 33.
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("raises SIGNAL");
  syscall(SYS_kill, getpid(), atoi(argv[1]));
  return 0;
}
