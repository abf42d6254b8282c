#include <stdexcept>

#include "bootstrap/target.h"

void Nothing() {}
BROOD_TARGET(Nothing);

[[maybe_unused]] static const int g_thrown = [] {
  if (__builtin_return_address(0) != nullptr) throw std::runtime_error("not today");
  return 0;
}();
