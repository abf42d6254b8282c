// Makes empty files in /tmp, COUNT of them if it may.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("fills_inodes COUNT");
  const int wanted = atoi(argv[1]);
  for (int i = 0; i < wanted; ++i) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/empty-%d", i);
    const int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0) return Attempt("make files", -1);
    close(fd);
  }
  return Attempt("make files", 0);
}
