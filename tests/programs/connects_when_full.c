// Connects to a local socket, without waiting, until its queue is full; then once more, waiting. Prints how both ended.
// usage: connects_when_full PATH
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, argv[1], sizeof(address.sun_path) - 1);
  int result = 0;
  for (int i = 0; i < 100 && result == 0; ++i) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0) result = -errno;
  }
  printf("%d\n", result);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0) {
    printf("%d\n", -errno);
    return 0;
  }
  char buffer[64];
  const ssize_t n = read(fd, buffer, sizeof(buffer));
  if (n > 0) fwrite(buffer, 1, (size_t)n, stdout);
  return 0;
}
