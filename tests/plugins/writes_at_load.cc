// Its initialiser writes to the file that the environment names, if it can: for seeing where plugins are loaded.
#include <cstdio>
#include <cstdlib>

#include "bootstrap/target.h"

void Nothing() {}
BROOD_TARGET(Nothing);

static bool g_loaded = false;
bool WasLoaded() { return g_loaded; }
BROOD_TARGET(WasLoaded);

void SetLoaded() { g_loaded = true; }
BROOD_TARGET(SetLoaded);

[[maybe_unused]] static const bool g_written = [] {
  const char* const path = std::getenv("BROOD_TEST_FILE");
  FILE* const file = path != nullptr ? std::fopen(path, "w") : nullptr;
  if (file == nullptr) return false;
  std::fputs("loaded", file);
  std::fclose(file);
  return true;
}();
