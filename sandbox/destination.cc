#include "sandbox/destination.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "sandbox/address_text.h"

namespace brood {
namespace {

constexpr size_t kMaxUnixName = 108;  // unix(7), sun_path.

absl::Status Malformed(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("network destination \"", text, "\": ", why,
                                                 "; write 10.0.0.5:443, 10.0.0.0/8:*, [::1]:443, [fd00::/8]:443, example.org:443 or "
                                                 "unix:/run/service.sock"));
}

bool AllDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return absl::ascii_isdigit(c); });
}

absl::StatusOr<Destination> UnixDestination(std::string_view text, std::string_view path) {
  if (path.size() < 2 || (path[0] != '/' && path[0] != '@')) return Malformed(text, "not an absolute path, nor @ and a name");
  if (path.size() >= kMaxUnixName) return Malformed(text, "longer than a socket's name can be");
  if (path.find('\0') != std::string_view::npos) return Malformed(text, "has a zero byte");
  return Destination{.kind = Destination::Kind::kUnix, .path = std::string(path)};
}

// The address bits beyond the prefix must be zero, as in 10.0.0.0/8: else it is not clear what was meant.
bool FitsPrefix(const Destination& destination, unsigned bits) {
  const unsigned all = destination.kind == Destination::Kind::kInet4 ? 32 : 128;
  for (unsigned bit = bits; bit < all; ++bit) {
    if ((destination.address[bit / 8] & (0x80u >> (bit % 8))) != 0) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<ParsedDestination> ParseDestination(std::string_view text) {
  ParsedDestination parts;
  if (std::string_view path = text; absl::ConsumePrefix(&path, "unix:")) {
    BROOD_ASSIGN_OR_RETURN(parts.literal, UnixDestination(text, path));
    return parts;
  }
  // The last colon: an IPv6 host is in brackets, [::1]:443.
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Malformed(text, "not HOST:PORT");
  const std::string_view port = text.substr(colon + 1);
  int number = 0;
  if (port != "*" && (!AllDigits(port) || !absl::SimpleAtoi(port, &number) || number < 1 || number > 65535)) {
    return Malformed(text, "the port is not 1 to 65535, nor *");
  }
  parts.port = static_cast<uint16_t>(number);
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const size_t slash = host.find('/');
  const std::string_view address = host.substr(0, slash);
  Destination literal{.port = parts.port};
  bool numeric = false;
  if (const auto four = ParseInet4(address); four.has_value() && !bracketed) {
    std::copy(four->begin(), four->end(), literal.address.begin());
    literal.prefix_bits = 32;
    numeric = true;
  }
  if (bracketed) {
    const auto six = ParseInet6(address);
    if (!six.has_value()) return Malformed(text, "not an IPv6 address");
    literal.kind = Destination::Kind::kInet6;
    literal.address = *six;
    literal.prefix_bits = 128;
    numeric = true;
    constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::equal(kMapped.begin(), kMapped.end(), literal.address.begin())) {
      return Malformed(text, "an IPv4 address in IPv6's clothes; write it as IPv4, which holds for both");
    }
  }
  if (numeric) {
    if (slash != std::string_view::npos) {
      unsigned bits = 0;
      const std::string_view digits = host.substr(slash + 1);
      if (!AllDigits(digits) || !absl::SimpleAtoi(digits, &bits) || bits > literal.prefix_bits) {
        return Malformed(text, absl::StrCat("the prefix is not 0 to ", literal.prefix_bits));
      }
      if (!FitsPrefix(literal, bits)) return Malformed(text, "the address has bits beyond its prefix");
      literal.prefix_bits = static_cast<uint8_t>(bits);
    }
    parts.literal = literal;
    return parts;
  }
  const auto in_name = [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_'; };
  const bool has_letter = std::any_of(host.begin(), host.end(), [](unsigned char c) { return absl::ascii_isalpha(c); });
  // 10.0.0 and 0x7f.1 are addresses to some and names to nobody.
  if (host.empty() || host.size() > 253 || !has_letter || !std::all_of(host.begin(), host.end(), in_name) ||
      absl::ascii_isdigit(static_cast<unsigned char>(host.back()))) {
    return Malformed(text, "not an address, nor a name");
  }
  parts.host = std::string(host);
  return parts;
}

absl::Status CheckDestination(std::string_view text) { return ParseDestination(text).status(); }

}  // namespace brood
