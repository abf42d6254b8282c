// Executes another program, with the arguments that follow.
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc < 2) return Usage("execs PROGRAM [ARG...]");
  execv(argv[1], argv + 1);
  return Attempt("exec", -1);
}
