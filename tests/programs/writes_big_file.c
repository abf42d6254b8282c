// Writes one file of so many MiB.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 3) return Usage("writes_big_file PATH MIB");
  static char block[1 << 20];
  const int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) return Attempt("create the file", -1);
  for (int i = 0; i < atoi(argv[2]); ++i) {
    if (write(fd, block, sizeof block) < 0) return Attempt("write a big file", -1);
  }
  return Attempt("write a big file", 0);
}
