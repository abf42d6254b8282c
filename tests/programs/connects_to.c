// Connects and prints what the other side sends, or a failure as its negative errno.
// usage: connects_to ADDRESS PORT [SECONDS that it may take] | connects_to unix NAME (an abstract one begins with @)
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  struct sockaddr_storage address = {0};
  struct sockaddr_in* four = (struct sockaddr_in*)&address;
  struct sockaddr_in6* six = (struct sockaddr_in6*)&address;
  struct sockaddr_un* local = (struct sockaddr_un*)&address;
  socklen_t length = 0;
  if (strcmp(argv[1], "unix") == 0) {
    local->sun_family = AF_UNIX;
    strncpy(local->sun_path, argv[2], sizeof(local->sun_path) - 1);
    length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(argv[2]));
    if (argv[2][0] == '@') {
      local->sun_path[0] = '\0';
    } else {
      ++length;
    }
  } else if (inet_pton(AF_INET, argv[1], &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons((unsigned short)atoi(argv[2]));
    length = sizeof(*four);
  } else if (inet_pton(AF_INET6, argv[1], &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((unsigned short)atoi(argv[2]));
    length = sizeof(*six);
  } else {
    return 2;
  }
  const int fd = socket(address.ss_family, SOCK_STREAM, 0);
  if (fd < 0) return 3;
  const struct timeval patience = {argc == 4 ? atoi(argv[3]) : 0, 0};  // 0: as long as it takes. socket(7), SO_SNDTIMEO.
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0) return 3;
  if (connect(fd, (struct sockaddr*)&address, length) != 0) {
    printf("%d\n", -errno);
    return 0;
  }
  char buffer[256];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof(buffer))) > 0) fwrite(buffer, 1, (size_t)n, stdout);
  return n == 0 ? 0 : 4;
}
