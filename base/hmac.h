// HMAC-SHA256, RFC 2104, and the comparison that goes with it.
//
//   Sha256Digest mac = HmacSha256(key, {"purpose", nonce});
//   if (!EqualInConstantTime(mac_from_peer, AsBytes(mac))) ...
//
// Functions may be called from any thread.
#ifndef BROOD_BASE_HMAC_H_
#define BROOD_BASE_HMAC_H_

#include <initializer_list>
#include <string_view>

#include "base/sha256.h"

namespace brood {

// Of the pieces put together; where one ends is no part of it, so all but one must have a fixed length.
Sha256Digest HmacSha256(std::string_view key, std::initializer_list<std::string_view> pieces);

// Takes as long for the first different byte as for the last, so that its time does not tell a forger how far he got.
// The lengths are no secret.
bool EqualInConstantTime(std::string_view a, std::string_view b);

// The digest's bytes, borrowed.
inline std::string_view AsBytes(const Sha256Digest& digest) {
  return std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size());
}

}  // namespace brood

#endif  // BROOD_BASE_HMAC_H_
