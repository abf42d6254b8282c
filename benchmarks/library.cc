// A library as there are many: code, constants, some that the loader relocates, data, and a constructor that writes to it.
// Built 50 times.
#include <cstddef>

namespace {

using Function = int (*)(int);

int Add(int x) { return x + 1; }
int Multiply(int x) { return x * 3; }

const char kText[8192] = "constants";
const Function kFunctions[] = {Add, Multiply};  // Relocated.
int g_data[2000] = {1};
char g_bss[8192];

[[gnu::constructor]] void Construct() {
  g_data[1] = kFunctions[g_data[0]](7);
  g_bss[0] = kText[0];
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int Use(size_t i) {
  return kText[i % sizeof(kText)] + g_bss[i % sizeof(g_bss)] + kFunctions[i % 2](g_data[i % 2000]);
}
