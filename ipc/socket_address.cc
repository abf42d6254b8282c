#include "ipc/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood::internal {
namespace {

// One less than sun_path holds: the kernel takes 108 without a terminator, but then others cannot name the file.
constexpr size_t kMaxUnixNameBytes = sizeof(sockaddr_un::sun_path) - 1;

absl::StatusOr<SocketAddress> ToUnix(const Address& address) {
  const bool abstract = address.family == Address::Family::kUnixAbstract;
  const std::string& name = address.name;
  if (!abstract && name.empty()) return absl::InvalidArgumentError("unix: the path is empty");
  if (!abstract && name.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("unix: the path ", absl::CHexEscape(name), " has a zero byte; an abstract name has its own kind"));
  }
  if (name.size() > kMaxUnixNameBytes) {
    return absl::InvalidArgumentError(absl::StrCat(address.ToString(), ": ", name.size(), " bytes, at most ",
                                                   kMaxUnixNameBytes, " are possible; use a shorter one"));
  }
  SocketAddress result;
  auto* to = reinterpret_cast<sockaddr_un*>(&result.storage);
  to->sun_family = AF_UNIX;
  std::memcpy(to->sun_path + (abstract ? 1 : 0), name.data(), name.size());
  constexpr size_t kHead = offsetof(sockaddr_un, sun_path);
  // Nothing but the family asks the kernel to choose an abstract name. unix(7), "Autobind feature".
  result.size = static_cast<socklen_t>(abstract && name.empty() ? kHead : kHead + name.size() + 1);
  return result;
}

absl::StatusOr<SocketAddress> ToTcp(const Address& address, TcpReach reach) {
  SocketAddress result;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
  bool loopback = false;
  if (inet_pton(AF_INET, address.name.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    result.size = sizeof(*v4);
    loopback = ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
  } else if (inet_pton(AF_INET6, address.name.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address.port);
    result.size = sizeof(*v6);
    loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("tcp: \"", absl::CHexEscape(address.name), "\" is no numeric address, as 127.0.0.1 and ::1 are"));
  }
  if (!loopback && reach == TcpReach::kLoopback) {
    return absl::InvalidArgumentError(
        absl::StrCat(address.ToString(), ": reaches beyond this machine; ask for TcpReach::kNetwork if it should"));
  }
  return result;
}

}  // namespace

absl::StatusOr<SocketAddress> ToSocketAddress(const Address& address, TcpReach reach) {
  switch (address.family) {
    case Address::Family::kUnixPath:
    case Address::Family::kUnixAbstract:
      return ToUnix(address);
    case Address::Family::kTcp:
      return ToTcp(address, reach);
    case Address::Family::kPipe:
      return absl::InvalidArgumentError(absl::StrCat(address.ToString(), ": such pipes are those of Windows; Address::Local is of any system"));
  }
  return absl::InvalidArgumentError(absl::StrCat("address: there is no family ", static_cast<int>(address.family)));
}

absl::StatusOr<Address> BoundAddress(int socket, const Address& address) {
  if (address.family == Address::Family::kUnixPath) return address;
  SocketAddress bound;
  bound.size = sizeof(bound.storage);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&bound.storage), &bound.size) != 0) {
    return ErrnoStatus(errno, "getsockname", address.ToString());
  }
  Address result = address;
  if (bound.family() == AF_UNIX) {
    const auto* name = reinterpret_cast<const sockaddr_un*>(&bound.storage);
    result.name.assign(name->sun_path + 1, bound.size - offsetof(sockaddr_un, sun_path) - 1);
  } else if (bound.family() == AF_INET) {
    result.port = ntohs(reinterpret_cast<const sockaddr_in*>(&bound.storage)->sin_port);
  } else {
    result.port = ntohs(reinterpret_cast<const sockaddr_in6*>(&bound.storage)->sin6_port);
  }
  return result;
}

absl::StatusOr<UniqueFd> MakeSocket(int family) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "socket");
  const int on = 1;
  if (family != AF_UNIX && setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
    return ErrnoStatus(errno, "set TCP_NODELAY");
  }
  return fd;
}

absl::Status CheckPeerUser(const Connection& connection, PeerUser users) {
  int domain = -1;
  socklen_t size = sizeof(domain);
  if (getsockopt(connection.descriptor(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) {
    return ErrnoStatus(errno, "getsockopt", "SO_DOMAIN");
  }
  if (users == PeerUser::kAny || domain != AF_UNIX) return absl::OkStatus();
  BROOD_ASSIGN_OR_RETURN(const PeerCredentials peer, connection.peer_credentials());
  if (peer.uid == geteuid()) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("the peer, process ", peer.pid, ", is of user ", peer.uid, "; ask for PeerUser::kAny if it may be"));
}

}  // namespace brood::internal
