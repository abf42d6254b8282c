// Turns a descriptor for reading into one for writing: through /proc, and by the file's own mode.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("reopens_descriptor NUMBER");
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%s", argv[1]);
  int code = kRefused;
  code &= Attempt("open for writing", open(path, O_WRONLY));
  code &= Attempt("open for both", open(path, O_RDWR));
  code &= Attempt("truncate", truncate(path, 0));
  code &= Attempt("change the mode", fchmod(atoi(argv[1]), 0640));
  return code;
}
