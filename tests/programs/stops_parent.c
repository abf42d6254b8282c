// Stops its parent and sleeps: a time limit that the parent keeps would never be over.
//
// Must be told "sandboxed", since the parent of a control run is the test.
#include <signal.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2 || strcmp(argv[1], "sandboxed") != 0) return Usage("stops_parent sandboxed");
  // That the call returns 0 says nothing: the kernel drops the signal if the parent is pid 1 of this namespace.
  if (kill(getppid(), SIGSTOP) == 0) puts("sent");
  fflush(stdout);
  for (;;) pause();
}
