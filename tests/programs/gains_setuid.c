// Becomes root by setuid(0), or says that it is root already.
#define _GNU_SOURCE
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  if (geteuid() == 0) return Attempt("be root from the start", 0);
  return Attempt("become root", setresuid(0, 0, 0));
}
