// Attaches to its parent as a debugger would, or to the process named.
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  const pid_t pid = argc > 1 ? atoi(argv[1]) : getppid();
  const int code = Attempt("ptrace the parent", ptrace(PTRACE_ATTACH, pid, 0, 0));
  if (code == kWorked) {
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, pid, 0, 0);
  }
  return code;
}
