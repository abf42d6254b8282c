// Uses MS milliseconds of CPU time in each of N children, one after the other, and nearly none itself.
// usage: spins_in_children N MS
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long Used(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const long each = atol(argv[2]);
  for (int i = 0; i < atoi(argv[1]); ++i) {
    const pid_t pid = fork();
    if (pid < 0) return 3;
    if (pid == 0) {
      while (Used() < each) {
      }
      _exit(0);
    }
    if (waitpid(pid, NULL, 0) != pid) return 4;
  }
  puts("all done");
  return 0;
}
