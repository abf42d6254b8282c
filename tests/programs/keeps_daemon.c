// Starts a daemon in a session of its own and goes on, as the daemon does. Both end by themselves after two minutes.
#include <stdlib.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("keeps_daemon TOKEN");
  (void)argv;
  int ready[2];
  if (pipe(ready) != 0) return Attempt("pipe", -1);
  if (fork() == 0) {
    setsid();
    const pid_t daemon = fork();
    if (daemon != 0) _exit(daemon < 0);
    if (write(ready[1], "+", 1) != 1) _exit(1);
    sleep(120);
    _exit(0);
  }
  close(ready[1]);  // So that the end of a daemon that could not be started is seen.
  char byte;
  if (read(ready[0], &byte, 1) != 1) return Attempt("start a daemon", -1);
  puts("daemon is up");
  fflush(stdout);
  sleep(120);
  return 0;
}
