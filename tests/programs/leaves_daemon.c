// Ends at once, and leaves a daemon that holds stdout and stderr open, writes a file and stays.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "tests/programs/attack.h"

static void Daemon(const char* path, int ready) {
  setsid();
  if (fork() != 0) _exit(0);
  if (write(ready, "+", 1) != 1) _exit(1);
  close(ready);
  const struct timespec delay = {.tv_nsec = 300 * 1000 * 1000};
  nanosleep(&delay, NULL);
  const int fd = open(path, O_WRONLY | O_CREAT, 0600);
  if (fd >= 0 && write(fd, "alive\n", 6) == 6) close(fd);
  sleep(30);
  _exit(0);
}

int main(int argc, char** argv) {
  if (argc < 2) return Usage("leaves_daemon PATH [TOKEN]");
  int ready[2];
  if (pipe(ready) != 0) return 1;
  if (fork() == 0) Daemon(argv[1], ready[1]);
  close(ready[1]);
  char byte;
  if (read(ready[0], &byte, 1) != 1) return 1;
  puts("daemon is up");
  return 0;
}
