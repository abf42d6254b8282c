// Tries to make more of a socket that could not connect to 127.0.0.1 PORT, where nobody listens, and of one that is connected to
// 127.0.0.1 PEER: a server, a connection by sendto, another peer. Prints each attempt's result, a failure as its negative errno.
// usage: abuses_connection PORT PEER FORBIDDEN_PORT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <net/if.h>

static struct sockaddr_in To(const char* port) {
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)atoi(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void Print(const char* what, long result) { printf("%s %ld\n", what, result < 0 ? -(long)errno : result); }

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  struct sockaddr_in closed = To(argv[1]);
  struct sockaddr_in peer = To(argv[2]);
  struct sockaddr_in forbidden = To(argv[3]);
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  (void)!connect(fd, (struct sockaddr*)&closed, sizeof(closed));
  Print("listen", listen(fd, 1));
  Print("fastopen", sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr*)&forbidden, sizeof(forbidden)));
  Print("sendto", sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr*)&forbidden, sizeof(forbidden)));

  fd = socket(AF_INET, SOCK_STREAM, 0);
  Print("peer", connect(fd, (struct sockaddr*)&peer, sizeof(peer)));
  Print("disconnect", connect(fd, &nobody, sizeof(nobody)));
  Print("again", connect(fd, (struct sockaddr*)&forbidden, sizeof(forbidden)));
  int on = 1;
  Print("source route", setsockopt(fd, IPPROTO_IP, IP_OPTIONS, &on, sizeof(on)));
  struct ifconf interfaces = {0};
  Print("interfaces", ioctl(fd, SIOCGIFCONF, &interfaces));

  fd = socket(AF_INET, SOCK_DGRAM, 0);
  Print("datagram", connect(fd, (struct sockaddr*)&forbidden, sizeof(forbidden)));
  return 0;
}
