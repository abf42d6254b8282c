// Sends a datagram by sendto(2) and prints 1, or a failure as its negative errno.
// usage: sends_datagram ADDRESS PORT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)atoi(argv[2]))};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six.sin6_port};
  const int is_six = inet_pton(AF_INET6, argv[1], &six.sin6_addr) == 1;
  if (!is_six && inet_pton(AF_INET, argv[1], &four.sin_addr) != 1) return 2;
  const int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return 3;
  const ssize_t n = is_six ? sendto(fd, "x", 1, 0, (struct sockaddr*)&six, sizeof(six)) : sendto(fd, "x", 1, 0, (struct sockaddr*)&four, sizeof(four));
  printf("%d\n", n < 0 ? -errno : (int)n);
  return 0;
}
