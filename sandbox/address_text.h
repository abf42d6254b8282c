// Internet addresses as people write them, read without an operating system's help: policies are read on all of them.
#ifndef BROOD_SANDBOX_ADDRESS_TEXT_H_
#define BROOD_SANDBOX_ADDRESS_TEXT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace brood {

// "10.0.0.5": four decimal numbers without leading zeros.
std::optional<std::array<uint8_t, 4>> ParseInet4(std::string_view text);

// "fd00::1", "::ffff:10.0.0.5". RFC 4291, section 2.2.
std::optional<std::array<uint8_t, 16>> ParseInet6(std::string_view text);

}  // namespace brood

#endif  // BROOD_SANDBOX_ADDRESS_TEXT_H_
