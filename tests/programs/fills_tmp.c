// Fills /tmp with files. A private /tmp is memory, so this is a memory bomb too.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 3) return Usage("fills_tmp FILES MIB_EACH");
  static char block[1 << 20];
  memset(block, 1, sizeof block);
  for (int i = 0; i < atoi(argv[1]); ++i) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/fill.%d", i);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return Attempt("create a file in /tmp", -1);
    for (int j = 0; j < atoi(argv[2]); ++j) {
      const ssize_t written = write(fd, block, sizeof block);
      if (written >= 0 && written < (ssize_t)sizeof block) errno = ENOSPC;
      if (written < (ssize_t)sizeof block) return Attempt("fill /tmp", -1);
    }
    close(fd);
  }
  return Attempt("fill /tmp", 0);
}
