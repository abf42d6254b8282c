// Sends a datagram to each address, by sendmsg(2) to one and by sendmmsg(2) to several, and prints how many were sent, or a failure
// as its negative errno. From a socket of IPv4 unless an address is one of IPv6.
// usage: sends_messages PORT ADDRESS...
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MOST 8

int main(int argc, char** argv) {
  if (argc < 3 || argc - 2 > MOST) return 2;
  struct sockaddr_storage addresses[MOST];
  struct mmsghdr messages[MOST];
  struct iovec data = {"x", 1};
  memset(addresses, 0, sizeof(addresses));
  memset(messages, 0, sizeof(messages));
  int family = AF_INET;
  for (int i = 0; i < argc - 2; ++i) {
    struct sockaddr_in* const four = (struct sockaddr_in*)&addresses[i];
    struct sockaddr_in6* const six = (struct sockaddr_in6*)&addresses[i];
    four->sin_port = htons((unsigned short)atoi(argv[1]));  // The same place for both.
    messages[i].msg_hdr.msg_namelen = sizeof(*four);
    four->sin_family = AF_INET;
    if (inet_pton(AF_INET6, argv[i + 2], &six->sin6_addr) == 1) {
      messages[i].msg_hdr.msg_namelen = sizeof(*six);
      six->sin6_family = AF_INET6;
      family = AF_INET6;
    } else if (inet_pton(AF_INET, argv[i + 2], &four->sin_addr) != 1) {
      return 2;
    }
    messages[i].msg_hdr.msg_name = &addresses[i];
    messages[i].msg_hdr.msg_iov = &data;
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int fd = socket(family, SOCK_DGRAM, 0);
  if (fd < 0) return 3;
  const ssize_t n = argc == 3 ? sendmsg(fd, &messages[0].msg_hdr, 0) : sendmmsg(fd, messages, (unsigned)(argc - 2), 0);
  printf("%d\n", n < 0 ? -errno : (int)n);
  return 0;
}
