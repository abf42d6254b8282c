#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/destination_lookup.h"

namespace brood {

absl::StatusOr<std::vector<Destination>> ResolveDestination(std::string_view text, std::vector<ResolvedName>* names) {
  BROOD_ASSIGN_OR_RETURN(const ParsedDestination parts, ParseDestination(text));
  if (parts.literal.has_value()) return std::vector<Destination>{*parts.literal};
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int error = getaddrinfo(parts.host.c_str(), nullptr, &hints, &raw); error != 0) {
    const std::string message = absl::StrCat("network destination \"", text, "\": ", gai_strerror(error));
    return error == EAI_NONAME ? absl::NotFoundError(message) : absl::UnavailableError(message);
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(raw, freeaddrinfo);
  std::vector<Destination> destinations;
  ResolvedName resolved{.name = parts.host};
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    Destination destination{.port = parts.port};
    char printed[INET6_ADDRSTRLEN];
    if (entry->ai_family == AF_INET) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ai_addr);
      memcpy(destination.address.data(), &address->sin_addr, sizeof(address->sin_addr));
      destination.prefix_bits = 32;
    } else if (entry->ai_family == AF_INET6) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(entry->ai_addr);
      memcpy(destination.address.data(), &address->sin6_addr, sizeof(address->sin6_addr));
      destination.kind = Destination::Kind::kInet6;
      destination.prefix_bits = 128;
    } else {
      continue;
    }
    resolved.addresses.emplace_back(inet_ntop(entry->ai_family, destination.address.data(), printed, sizeof(printed)));
    destinations.push_back(std::move(destination));
  }
  names->push_back(std::move(resolved));
  return destinations;
}

}  // namespace brood
