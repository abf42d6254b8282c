// Sends to an abstract UNIX socket of the host from one half of a pair, which needs no socket(2).
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("sends_to_abstract NAME");
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) return Attempt("make a pair", -1);
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strncpy(to.sun_path + 1, argv[1], sizeof to.sun_path - 2);
  const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(to.sun_path + 1));
  return Attempt("send to an abstract socket", sendto(pair[0], "x", 1, 0, (struct sockaddr*)&to, size));
}
