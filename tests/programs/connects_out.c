// Connects to a listener on 127.0.0.1 and, only if asked for, to 192.0.2.1 (TEST-NET-1, RFC 5737).
//
// A control run outside a sandbox names the port alone, so that no packet leaves the machine.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/programs/attack.h"

static int Connect(const char* address, int port) {
  char what[64];
  snprintf(what, sizeof what, "connect to %s:%d", address, port);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Attempt(what, -1);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  int result = connect(fd, (struct sockaddr*)&to, sizeof to);
  if (result != 0 && errno == EINPROGRESS) {
    // No answer within the time is a success too: a packet went out.
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    if (poll(&ready, 1, 500) == 1) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    result = error == 0 ? 0 : -1;
  }
  const int code = Attempt(what, result);
  close(fd);
  return code;
}

int main(int argc, char** argv) {
  if (argc < 2) return Usage("connects_out PORT [elsewhere]");
  int code = Connect("127.0.0.1", atoi(argv[1]));
  if (argc > 2 && strcmp(argv[2], "elsewhere") == 0) code &= Connect("192.0.2.1", 80);
  return code;
}
