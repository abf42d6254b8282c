// Connects to an abstract UNIX socket of the host, by name.
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("connects_unix NAME");
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return Attempt("open a UNIX socket", -1);
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strncpy(to.sun_path + 1, argv[1], sizeof to.sun_path - 2);
  const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(to.sun_path + 1));
  return Attempt("connect to an abstract socket", connect(fd, (struct sockaddr*)&to, size));
}
