#include <unistd.h>

#include "bootstrap/target.h"

void Nothing() {}
BROOD_TARGET(Nothing);

[[maybe_unused]] static const int g_ended = [] {
  _exit(0);
  return 0;
}();
