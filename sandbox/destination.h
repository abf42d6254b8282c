// Where a child may connect to: the list of a network policy with the mode "allow".
//
//   10.0.0.5:443   10.0.0.0/8:*   [fd00::/8]:443   example.org:443   unix:/run/service.sock   unix:@abstract
#ifndef BROOD_SANDBOX_DESTINATION_H_
#define BROOD_SANDBOX_DESTINATION_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace brood {

struct Destination {
  enum class Kind : uint8_t { kInet4, kInet6, kUnix };
  Kind kind = Kind::kInet4;
  std::array<uint8_t, 16> address = {};  // The first four for kInet4.
  uint8_t prefix_bits = 0;               // How many of the address count.
  uint16_t port = 0;                     // 0: any.
  std::string path;                      // kUnix; an abstract name begins with @.
};

struct ParsedDestination {
  std::optional<Destination> literal;  // Else `host` is a name, to be looked up (destination_lookup.h).
  std::string host;
  uint16_t port = 0;  // Of the name. 0: any.
};

// Nothing is looked up. Errors: InvalidArgument, what was expected.
absl::StatusOr<ParsedDestination> ParseDestination(std::string_view text);
absl::Status CheckDestination(std::string_view text);

}  // namespace brood

#endif  // BROOD_SANDBOX_DESTINATION_H_
