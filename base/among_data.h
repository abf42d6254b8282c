// A variable that each forked child writes to. What is not zero at first lies among a program's data, of which there is little,
// and not among its zeros, where each would be in a page of its own, which each child copies.
//
//   constinit AmongData<std::atomic<int>> g_level;
//   g_level.value = 3;
#ifndef BROOD_BASE_AMONG_DATA_H_
#define BROOD_BASE_AMONG_DATA_H_

#include <cstdint>

namespace brood {

template <typename T>
struct AmongData {
  T value = {};
  uint8_t not_zero = 1;
};

}  // namespace brood

#endif  // BROOD_BASE_AMONG_DATA_H_
