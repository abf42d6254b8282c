// Opens what lies beside and above the directory that is its standard input.
#include <fcntl.h>

#include "tests/programs/attack.h"

int main(void) {
  int code = kRefused;
  code &= Attempt("open below stdin", openat(0, "etc", O_RDONLY | O_DIRECTORY));
  code &= Attempt("open above stdin", openat(0, "..", O_RDONLY | O_DIRECTORY));
  return code;
}
