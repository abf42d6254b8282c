// A preload, and a target that tells whether it has run.
#include <cstdint>

#include "bootstrap/target.h"

namespace {

int32_t g_words = 0;
void LoadWords() { g_words = 1000; }
BROOD_TARGET(LoadWords);
int32_t Words() { return g_words; }
BROOD_TARGET(Words);

}  // namespace
