// Socket addresses as the destinations of a policy.
#ifndef BROOD_SANDBOX_LEARN_SOCKET_ADDRESS_H_
#define BROOD_SANDBOX_LEARN_SOCKET_ADDRESS_H_

#include <string>
#include <string_view>

namespace brood {

// The bytes of a sockaddr as "10.0.0.5:443", "[::1]:80", "unix:/run/a.sock", "unix:@name"; "" for other families.
std::string SocketAddressText(std::string_view bytes);

// Whether a destination with an address, such as SocketAddressText gives, is one that `rule` names, "10.0.0.0/8:*" say.
bool IsWithinDestination(std::string_view address, std::string_view rule);

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_SOCKET_ADDRESS_H_
