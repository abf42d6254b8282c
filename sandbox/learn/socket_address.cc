#include "sandbox/learn/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "sandbox/destination.h"

namespace brood {

std::string SocketAddressText(std::string_view bytes) {
  sockaddr_storage address = {};
  memcpy(&address, bytes.data(), std::min(bytes.size(), sizeof(address)));
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(four.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    // ::ffff:10.0.0.5 is 10.0.0.5 of a socket for both. ipv6(7).
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
      inet_ntop(AF_INET, six.sin6_addr.s6_addr + 12, text, sizeof(text));
      return absl::StrCat(text, ":", ntohs(six.sin6_port));
    }
    inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(six.sin6_port));
  }
  if (address.ss_family == AF_UNIX && bytes.size() > offsetof(sockaddr_un, sun_path)) {
    const std::string_view name = bytes.substr(offsetof(sockaddr_un, sun_path));
    if (name[0] == '\0') return absl::StrCat("unix:@", name.substr(1));
    return absl::StrCat("unix:", name.substr(0, name.find('\0')));
  }
  return "";
}

bool IsWithinDestination(std::string_view address, std::string_view rule) {
  if (address == rule) return true;
  const absl::StatusOr<ParsedDestination> one = ParseDestination(address);
  const absl::StatusOr<ParsedDestination> all = ParseDestination(rule);
  if (!one.ok() || !all.ok() || !one->literal.has_value() || !all->literal.has_value()) return false;
  const Destination& a = *one->literal;
  const Destination& b = *all->literal;
  if (a.kind != b.kind || a.kind == Destination::Kind::kUnix) return false;
  if (b.port != 0 && a.port != b.port) return false;
  for (unsigned bit = 0; bit < b.prefix_bits; ++bit) {
    const unsigned shift = 7 - bit % 8;
    if ((a.address[bit / 8] >> shift & 1) != (b.address[bit / 8] >> shift & 1)) return false;
  }
  return true;
}

}  // namespace brood
