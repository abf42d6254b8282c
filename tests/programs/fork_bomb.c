// Forks without end, and so does each of its children.
//
// Takes a machine down where nothing stops it. So it must be told "sandboxed"; with a number instead it starts that many
// children at most, one after the other, and says how far it came.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/programs/attack.h"

static int CountedBomb(int wanted) {
  const pid_t parent = getpid();
  for (int started = 0; started < wanted; ++started) {
    const pid_t pid = fork();
    if (pid < 0) {
      const int error = errno;
      printf("started: %d\n", started);
      errno = error;
      return Attempt("fork", -1);
    }
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(0);
      for (;;) pause();
    }
  }
  printf("started: %d\n", wanted);
  return Attempt("fork", 0);
}

int main(int argc, char** argv) {
  if (argc < 2) return Usage("fork_bomb sandboxed | COUNT");
  if (strcmp(argv[1], "sandboxed") != 0) return CountedBomb(atoi(argv[1]));
  for (;;) {
    if (fork() < 0) sched_yield();
  }
}
