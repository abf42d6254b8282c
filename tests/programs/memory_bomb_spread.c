// Takes memory in many processes, each of them modest: only a limit of the whole tree stops it.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/programs/attack.h"

// Fills `mib` MiB, says so on `ready`, and keeps them.
static void Hold(int mib, int ready, pid_t parent) {
  const size_t size = (size_t)mib << 20;
  char* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) _exit(1);
  memset(memory, 7, size);
  if (write(ready, "+", 1) != 1) _exit(1);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (getppid() == parent) pause();
  _exit(0);
}

int main(int argc, char** argv) {
  if (argc != 3) return Usage("memory_bomb_spread PROCESSES MIB_EACH");
  int ready[2];
  if (pipe(ready) != 0) return Attempt("pipe", -1);
  const pid_t parent = getpid();
  const int processes = atoi(argv[1]);
  for (int i = 0; i < processes; ++i) {
    const pid_t pid = fork();
    if (pid < 0) return Attempt("fork", -1);
    if (pid == 0) {
      close(ready[0]);
      Hold(atoi(argv[2]), ready[1], parent);
    }
  }
  close(ready[1]);
  char byte;
  for (int i = 0; i < processes; ++i) {
    // End of file: every child has died.
    errno = ENOMEM;
    if (read(ready[0], &byte, 1) != 1) return Attempt("take all that memory", -1);
  }
  return Attempt("take all that memory", 0);
}
