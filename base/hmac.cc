#include "base/hmac.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "base/wipe.h"

namespace brood {

Sha256Digest HmacSha256(std::string_view key, std::initializer_list<std::string_view> pieces) {
  std::array<char, kSha256BlockBytes> block = {};
  if (key.size() > block.size()) {
    const Sha256Digest short_key = Sha256(key);
    std::memcpy(block.data(), short_key.data(), short_key.size());
  } else if (!key.empty()) {
    std::memcpy(block.data(), key.data(), key.size());
  }
  Sha256Hasher inner;
  for (char& c : block) c = static_cast<char>(c ^ 0x36);
  inner.Update(std::string_view(block.data(), block.size()));
  for (const std::string_view piece : pieces) inner.Update(piece);
  const Sha256Digest inner_digest = inner.Finish();
  Sha256Hasher outer;
  for (char& c : block) c = static_cast<char>(c ^ 0x36 ^ 0x5c);
  outer.Update(std::string_view(block.data(), block.size()));
  outer.Update(AsBytes(inner_digest));
  Wipe(block.data(), block.size());
  return outer.Finish();
}

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  // volatile: the compiler may not see that the loop could end at the first difference.
  volatile unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (static_cast<unsigned char>(a[i] ^ b[i])));
  }
  return difference == 0;
}

}  // namespace brood
