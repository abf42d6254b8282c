// The host's network: its loopback, its abstract sockets, and socket families that talk to its kernel.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static void SendNonce(int fd) { Report("send", send(fd, Nonce(), strlen(Nonce()), MSG_NOSIGNAL)); }

static void Inet4(const char* address, int type, long port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (!Step("socket", fd)) return;
  if (Step("connect", connect(fd, (struct sockaddr*)&to, sizeof to))) SendNonce(fd);
  close(fd);
}

static void Inet6(const char* address, int type, long port) {
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
  inet_pton(AF_INET6, address, &to.sin6_addr);
  const int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
  if (!Step("socket", fd)) return;
  if (Step("connect", connect(fd, (struct sockaddr*)&to, sizeof to))) SendNonce(fd);
  close(fd);
}

static void Tcp4(void) { Inet4("127.0.0.1", SOCK_STREAM, NumberFact("tcp4")); }
static void Tcp4AnyAddress(void) { Inet4("0.0.0.0", SOCK_STREAM, NumberFact("tcp4")); }
static void Tcp6(void) { Inet6("::1", SOCK_STREAM, NumberFact("tcp6")); }
static void TcpMapped(void) { Inet6("::ffff:127.0.0.1", SOCK_STREAM, NumberFact("tcp4")); }
static void Udp4(void) { Inet4("127.0.0.1", SOCK_DGRAM, NumberFact("udp4")); }
static void Udp6(void) { Inet6("::1", SOCK_DGRAM, NumberFact("udp6")); }

static void FastOpen(void) {
  // Connects without connect(2), past rules for that. tcp(7), "MSG_FASTOPEN".
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)NumberFact("tcp4"))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (!Step("socket", fd)) return;
  Report("sendto", sendto(fd, Nonce(), strlen(Nonce()), MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr*)&to, sizeof to));
  close(fd);
}

static socklen_t Abstract(struct sockaddr_un* address, const char* name) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path + 1, name, strlen(name));
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static void AbstractConnect(int type, const char* name) {
  struct sockaddr_un address;
  const socklen_t size = Abstract(&address, name);
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (!Step("socket", fd)) return;
  if (Step("connect", connect(fd, (struct sockaddr*)&address, size))) SendNonce(fd);
  close(fd);
}

static void AbstractStream(void) { AbstractConnect(SOCK_STREAM, Fact("abstract_stream")); }
static void AbstractDatagram(void) { AbstractConnect(SOCK_DGRAM, Fact("abstract_datagram")); }

static void PairToAbstract(void) {
  // A pair needs no address, but a datagram one of it can be pointed at any name.
  int pair[2];
  if (!Step("socketpair", socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))) return;
  struct sockaddr_un address;
  const socklen_t size = Abstract(&address, Fact("abstract_datagram"));
  Report("sendto", sendto(pair[0], Nonce(), strlen(Nonce()), MSG_NOSIGNAL, (struct sockaddr*)&address, size));
}


static void Interfaces(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    Stopped("socket", errno);
    return;
  }
  struct stat status;
  if (stat("/proc/self/ns/net", &status) == 0 && (long)status.st_ino != NumberFact("net_inode")) {
    Stopped("another network namespace", 0);
    return;
  }
  struct ifreq requests[16];
  struct ifconf list = {.ifc_len = sizeof requests, .ifc_req = requests};
  Report("SIOCGIFCONF", ioctl(fd, SIOCGIFCONF, &list));
}

static void Family(const char* name, int family, int type, int protocol) {
  const int fd = socket(family, type | SOCK_CLOEXEC, protocol);
  Report(name, fd);
  if (fd >= 0) close(fd);
}

static void NetlinkRoute(void) { Family("NETLINK_ROUTE", AF_NETLINK, SOCK_RAW, 0); }
static void NetlinkAudit(void) { Family("NETLINK_AUDIT", AF_NETLINK, SOCK_RAW, 9); }
static void NetlinkUevent(void) { Family("NETLINK_KOBJECT_UEVENT", AF_NETLINK, SOCK_RAW, 15); }
static void NetlinkDiag(void) { Family("NETLINK_SOCK_DIAG", AF_NETLINK, SOCK_RAW, 4); }
static void NetlinkFilter(void) { Family("NETLINK_NETFILTER", AF_NETLINK, SOCK_RAW, 12); }
static void Packet(void) { Family("AF_PACKET", AF_PACKET, SOCK_RAW, 0); }
static void RawIp(void) { Family("SOCK_RAW", AF_INET, SOCK_RAW, IPPROTO_ICMP); }
// Protocols of the internet families that have code of their own in the kernel, loaded as a module if need be. socket(2).
static void Mptcp(void) { Family("IPPROTO_MPTCP", AF_INET, SOCK_STREAM, 262); }
static void Mptcp6(void) { Family("IPPROTO_MPTCP", AF_INET6, SOCK_STREAM, 262); }
static void Sctp(void) { Family("IPPROTO_SCTP", AF_INET, SOCK_STREAM, 132); }
static void SctpMessages(void) { Family("IPPROTO_SCTP", AF_INET6, SOCK_SEQPACKET, 132); }
static void Dccp(void) { Family("IPPROTO_DCCP", AF_INET, SOCK_DCCP, 33); }
static void Smc(void) { Family("IPPROTO_SMC", AF_INET, SOCK_STREAM, 256); }
static void UdpLite(void) { Family("IPPROTO_UDPLITE", AF_INET, SOCK_DGRAM, 136); }
static void L2tp(void) { Family("IPPROTO_L2TP", AF_INET, SOCK_DGRAM, 115); }
static void Ping(void) { Family("IPPROTO_ICMP", AF_INET, SOCK_DGRAM, IPPROTO_ICMP); }
static void Ping6(void) { Family("IPPROTO_ICMPV6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6); }
static void RawIp6(void) { Family("SOCK_RAW", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6); }
static void OldPacket(void) { Family("SOCK_PACKET", AF_INET, SOCK_PACKET, 0); }  // An AF_PACKET socket. packet(7), "Compatibility".
static void HighBitsOfProtocol(void) {
  Report("IPPROTO_MPTCP with a higher bit", syscall(SYS_socket, (long)AF_INET, (long)(SOCK_STREAM | SOCK_CLOEXEC), (1L << 32) | 262));
}
static void Vsock(void) { Family("AF_VSOCK", AF_VSOCK, SOCK_STREAM, 0); }
static void Crypto(void) { Family("AF_ALG", AF_ALG, SOCK_SEQPACKET, 0); }
static void Key(void) { Family("AF_KEY", AF_KEY, SOCK_RAW, 2); }
static void Xdp(void) { Family("AF_XDP", AF_XDP, SOCK_RAW, 0); }
static void Bluetooth(void) { Family("AF_BLUETOOTH", AF_BLUETOOTH, SOCK_RAW, 1); }
static void Can(void) { Family("AF_CAN", AF_CAN, SOCK_RAW, 1); }
static void Tipc(void) { Family("AF_TIPC", AF_TIPC, SOCK_RDM, 0); }

static void OtherFamilies(void) {
  // All that have no attack of their own. Most are a module that the kernel would load for whoever asks.
  static const int kFamilies[] = {3, 4, 5, 6, 7, 8, 9, 11, 14, 19, 20, 21, 23, 24, 25, 26, 27, 28, 32, 33, 34, 35, 36, 37, 39, 41, 42, 43, 45};
  static const int kTypes[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW};
  for (size_t i = 0; i < sizeof kFamilies / sizeof *kFamilies; ++i) {
    for (size_t k = 0; k < sizeof kTypes / sizeof *kTypes; ++k) Family("an old family", kFamilies[i], kTypes[k], 0);
  }
}

static void HighBitsOfFamily(void) {
  // The kernel takes 32 bits of the argument, a filter compares 64.
  const long fd = syscall(SYS_socket, (1L << 32) | AF_NETLINK, (long)(SOCK_RAW | SOCK_CLOEXEC), 0L);
  Report("AF_NETLINK with a higher bit", fd);
}

const struct Attack kNetwork[] = {
    {"tcp4", Tcp4, kOutside, kAnywhere, "connects to 127.0.0.1 of the host", "network namespace", "networked", NULL},
    {"tcp4-any", Tcp4AnyAddress, kOutside, kAnywhere, "connects to 0.0.0.0, which is the host's loopback", "network namespace", "networked", NULL},
    {"tcp6", Tcp6, kOutside, kMachine, "connects to ::1 of the host", "network namespace", "networked", NULL},
    {"tcp-mapped", TcpMapped, kOutside, kMachine, "connects to ::ffff:127.0.0.1 of the host", "network namespace", "networked", NULL},
    {"udp4", Udp4, kOutside, kAnywhere, "sends to 127.0.0.1 of the host", "network namespace", "networked", NULL},
    {"udp6", Udp6, kOutside, kMachine, "sends to ::1 of the host", "network namespace", "networked", NULL},
    {"tcp-fastopen", FastOpen, kOutside, kAnywhere, "connects by MSG_FASTOPEN", "network namespace", "networked", NULL},
    {"abstract-stream", AbstractStream, kOutside, kAnywhere, "connects to an abstract socket of the host", "network namespace, system call filter", NULL, NULL},
    {"abstract-datagram", AbstractDatagram, kOutside, kAnywhere, "sends to an abstract socket of the host", "network namespace, system call filter", NULL, NULL},
    {"pair-to-abstract", PairToAbstract, kOutside, kAnywhere, "sends to an abstract socket from a socket pair", "network namespace, system call filter", NULL, NULL},
    {"interfaces", Interfaces, kClaim, kAnywhere, "lists the host's network interfaces", "network namespace", "networked", NULL},
    {"netlink-route", NetlinkRoute, kClaim, kAnywhere, "opens a routing socket", "system call filter", "networked", NULL},
    {"netlink-audit", NetlinkAudit, kClaim, kMachine, "opens an audit socket", "system call filter", NULL, NULL},
    {"netlink-uevent", NetlinkUevent, kClaim, kAnywhere, "listens to the kernel's device events", "system call filter", NULL, NULL},
    {"netlink-sock-diag", NetlinkDiag, kClaim, kMachine, "opens a socket that lists all sockets", "system call filter", NULL, NULL},
    {"netlink-netfilter", NetlinkFilter, kClaim, kMachine, "opens a firewall socket", "system call filter", NULL, NULL},
    {"packet-socket", Packet, kClaim, kMachine, "opens a packet socket", "system call filter", NULL, NULL},
    {"raw-socket", RawIp, kClaim, kRoot, "opens a raw IP socket", "system call filter, no capabilities", NULL, NULL},
    {"raw-socket-6", RawIp6, kClaim, kMachine, "opens a raw IPv6 socket", "system call filter", NULL, NULL},
    {"old-packet-socket", OldPacket, kClaim, kMachine, "opens a packet socket by its obsolete name", "system call filter", NULL, NULL},
    {"mptcp-socket", Mptcp, kClaim, kMachine, "opens an MPTCP socket", "system call filter", NULL, NULL},
    {"mptcp-socket-6", Mptcp6, kClaim, kMachine, "opens an MPTCP socket over IPv6", "system call filter", NULL, NULL},
    {"protocol-high-bits", HighBitsOfProtocol, kClaim, kMachine, "hides a protocol in the upper half of an argument", "system call filter", NULL, NULL},
    {"sctp-socket", Sctp, kClaim, kMachine, "opens an SCTP socket", "system call filter", NULL, NULL},
    {"sctp-messages", SctpMessages, kClaim, kMachine, "opens an SCTP socket of messages", "system call filter", NULL, NULL},
    {"dccp-socket", Dccp, kClaim, kMachine, "opens a DCCP socket", "system call filter", NULL, NULL},
    {"smc-socket", Smc, kClaim, kMachine, "opens an SMC socket", "system call filter", NULL, NULL},
    {"udplite-socket", UdpLite, kClaim, kMachine, "opens a UDP-Lite socket", "system call filter", NULL, NULL},
    {"l2tp-socket", L2tp, kClaim, kMachine, "opens an L2TP socket", "system call filter", NULL, NULL},
    {"ping-socket", Ping, kClaim, kMachine, "opens a socket for ICMP echoes", "system call filter", NULL, NULL},
    {"ping-socket-6", Ping6, kClaim, kMachine, "opens a socket for ICMPv6 echoes", "system call filter", NULL, NULL},
    {"vsock", Vsock, kClaim, kMachine, "opens a socket to the hypervisor", "system call filter", NULL, NULL},
    {"crypto-socket", Crypto, kClaim, kMachine, "opens a socket of the kernel's crypto code", "system call filter", NULL, NULL},
    {"key-socket", Key, kClaim, kMachine, "opens an IPsec key socket", "system call filter", NULL, NULL},
    {"xdp-socket", Xdp, kClaim, kMachine, "opens an XDP socket", "system call filter", NULL, NULL},
    {"bluetooth-socket", Bluetooth, kClaim, kMachine, "opens a Bluetooth socket", "system call filter", NULL, NULL},
    {"can-socket", Can, kClaim, kMachine, "opens a CAN bus socket", "system call filter", NULL, NULL},
    {"tipc-socket", Tipc, kClaim, kMachine, "opens a TIPC socket", "system call filter", NULL, NULL},
    {"other-families", OtherFamilies, kClaim, kMachine, "opens a socket of any other family", "system call filter", NULL, NULL},
    {"family-high-bits", HighBitsOfFamily, kClaim, kAnywhere, "hides a socket family in the upper half of an argument", "system call filter", NULL, NULL},
    {0}};
