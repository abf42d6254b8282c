#include <cstdlib>

#include "bootstrap/target.h"

void Nothing() {}
BROOD_TARGET(Nothing);

[[maybe_unused]] static const int g_ended = [] {
  std::exit(0);
  return 0;
}();
