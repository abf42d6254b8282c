// Reads a file that is root's alone: /etc/shadow, or the one named.
#include <fcntl.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  const char* path = argc > 1 ? argv[1] : "/etc/shadow";
  char byte;
  const int fd = open(path, O_RDONLY);
  return Attempt(path, fd < 0 ? -1 : read(fd, &byte, 1));
}
