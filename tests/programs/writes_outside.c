// Creates each file named, and writes to it.
#include <fcntl.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc < 2) return Usage("writes_outside PATH...");
  int code = kRefused;
  for (int i = 1; i < argc; ++i) {
    const int fd = open(argv[i], O_WRONLY | O_CREAT | O_APPEND, 0644);
    code &= Attempt(argv[i], fd < 0 ? -1 : write(fd, "was here\n", 9));
    if (fd >= 0) close(fd);
  }
  return code;
}
