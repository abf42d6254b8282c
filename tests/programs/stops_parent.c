// Stops its parent and sleeps: a time limit that the parent keeps would never be over.
//
// Must be told "sandboxed", since the parent of a control run is the test.
#include <signal.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2 || strcmp(argv[1], "sandboxed") != 0) return Usage("stops_parent sandboxed");
  Attempt("stop the parent", getppid() > 0 ? kill(getppid(), SIGSTOP) : -1);
  for (;;) pause();
}
