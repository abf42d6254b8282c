// Kills one process, by pid and by pidfd.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  const int pid = argc == 2 ? atoi(argv[1]) : 0;
  if (pid <= 1) return Usage("kills_outsider PID");
  if (pid == getpid() || pid == getppid()) return Usage("kills_outsider PID, of a process outside");
  int code = Attempt("kill the outsider", kill(pid, SIGKILL));
  const long fd = syscall(SYS_pidfd_open, pid, 0);
  code &= Attempt("kill the outsider by pidfd", fd < 0 ? -1 : syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
  return code;
}
