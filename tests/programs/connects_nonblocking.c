// Connects a non-blocking, close-on-exec socket with keep-alive to 127.0.0.1 and says what became of it, a line each: connect's
// result, the error when it is writable, the result of a second connect, and whether the three properties are still there.
// usage: connects_nonblocking PORT
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)atoi(argv[1]));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  const int first = connect(fd, (struct sockaddr*)&address, sizeof(address)) == 0 ? 0 : errno;
  printf("%s\n", first == 0 || first == EINPROGRESS ? "started" : "failed");
  struct pollfd writable = {fd, POLLOUT, 0};
  if (poll(&writable, 1, -1) != 1) return 3;
  int error = -1;
  socklen_t size = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  printf("%d\n", error);
  printf("%s\n", connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0 && errno == EISCONN ? "connected" : "not connected");
  on = 0;
  size = sizeof(on);
  getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &size);
  printf("%d %d %d\n", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, on != 0);
  return 0;
}
