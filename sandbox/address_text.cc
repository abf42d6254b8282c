#include "sandbox/address_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_split.h"

namespace brood {
namespace {

std::optional<unsigned> Number(std::string_view digits, unsigned base, size_t max_digits, unsigned max) {
  if (digits.empty() || digits.size() > max_digits) return std::nullopt;
  unsigned value = 0;
  for (const char c : digits) {
    unsigned digit = base;
    if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A' + 10);
    if (digit >= base) return std::nullopt;
    value = value * base + digit;
  }
  if (value > max) return std::nullopt;
  return value;
}

// The bytes of "1:2:3", of which the last part may be an IPv4 address. Nothing for "".
std::optional<std::vector<uint8_t>> Parts(std::string_view text, bool may_end_in_inet4) {
  std::vector<uint8_t> bytes;
  if (text.empty()) return bytes;
  const std::vector<std::string_view> parts = absl::StrSplit(text, ':');
  for (size_t i = 0; i < parts.size(); ++i) {
    if (may_end_in_inet4 && i + 1 == parts.size()) {
      if (const auto four = ParseInet4(parts[i]); four.has_value()) {
        bytes.insert(bytes.end(), four->begin(), four->end());
        break;
      }
    }
    const std::optional<unsigned> word = Number(parts[i], 16, 4, 0xffff);
    if (!word.has_value()) return std::nullopt;
    bytes.push_back(static_cast<uint8_t>(*word >> 8));
    bytes.push_back(static_cast<uint8_t>(*word & 0xff));
  }
  return bytes;
}

}  // namespace

std::optional<std::array<uint8_t, 4>> ParseInet4(std::string_view text) {
  const std::vector<std::string_view> parts = absl::StrSplit(text, '.');
  std::array<uint8_t, 4> address = {};
  if (parts.size() != address.size()) return std::nullopt;
  for (size_t i = 0; i < address.size(); ++i) {
    const std::optional<unsigned> byte = Number(parts[i], 10, 3, 255);
    // 010 is eight to some readers.
    if (!byte.has_value() || (parts[i].size() > 1 && parts[i][0] == '0')) return std::nullopt;
    address[i] = static_cast<uint8_t>(*byte);
  }
  return address;
}

std::optional<std::array<uint8_t, 16>> ParseInet6(std::string_view text) {
  std::array<uint8_t, 16> address = {};
  const size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    const auto all = Parts(text, true);
    if (!all.has_value() || all->size() != address.size()) return std::nullopt;
    std::copy(all->begin(), all->end(), address.begin());
    return address;
  }
  const auto before = Parts(text.substr(0, gap), false);
  const auto after = Parts(text.substr(gap + 2), true);
  // The gap stands for one word of zeros at least.
  if (!before.has_value() || !after.has_value() || before->size() + after->size() > address.size() - 2) return std::nullopt;
  std::copy(before->begin(), before->end(), address.begin());
  std::copy(after->begin(), after->end(), address.end() - static_cast<std::ptrdiff_t>(after->size()));
  return address;
}

}  // namespace brood
