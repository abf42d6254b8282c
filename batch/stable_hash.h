// A hash that is the same in every run and on every machine, which std::hash does not promise. Not for adversaries.
#ifndef BROOD_BATCH_STABLE_HASH_H_
#define BROOD_BATCH_STABLE_HASH_H_

#include <cstdint>
#include <string_view>

namespace brood {

// FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/
inline uint64_t StableHash(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace brood

#endif  // BROOD_BATCH_STABLE_HASH_H_
