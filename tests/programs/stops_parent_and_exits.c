// Stops its parent as its first act, and exits with code 5.
//
// Must be told "launched", since the parent of a control run is the test.
#include <signal.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2 || strcmp(argv[1], "launched") != 0) return Usage("stops_parent_and_exits launched");
  kill(getppid(), SIGSTOP);
  return 5;
}
