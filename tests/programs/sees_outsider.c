// Looks for a process of the host in /proc, by pid.
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("sees_outsider PID");
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/status", argv[1]);
  return Attempt("see the outsider", access(path, F_OK));
}
