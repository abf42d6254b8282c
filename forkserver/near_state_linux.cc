#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "base/random.h"
#include "bootstrap/run_child.h"
#include "forkserver/near_state.h"

extern char** environ;

namespace brood::internal {
namespace {

constexpr size_t kStateBytes = 128;  // As the C library's own has: the same numbers follow from the same seed. random(3)
constexpr size_t kTypeBytes = 4;     // What it keeps there first: of what type it is. The rest are numbers, any of them.
constexpr size_t kMostEntries = 48;

enum class Is { kElsewhere = 1, kNear };

// Not zero, so that it lies among the data: base/among_data.h.
struct {
  Is random = Is::kElsewhere;
  Is environment = Is::kElsewhere;
  alignas(8) char state[kStateBytes] = {};
  char* entries[kMostEntries] = {};
} g_near;

bool IsTheCLibrarys(const void* state) {
  Dl_info library, of_state;
  return dladdr(reinterpret_cast<const void*>(&initstate), &library) != 0 && dladdr(state, &of_state) != 0 &&
         library.dli_fbase == of_state.dli_fbase;
}

}  // namespace

void MoveStateNear() {
  char* const before = initstate(RandomSeed(), g_near.state, sizeof(g_near.state));
  // In a template its server has done this.
  const bool moved = before == g_near.state || (before != nullptr && IsTheCLibrarys(before));
  if (!moved && before != nullptr) setstate(before);
  g_near.random = moved ? Is::kNear : Is::kElsewhere;

  size_t count = 0;
  while (environ != nullptr && environ[count] != nullptr) ++count;
  g_near.environment = Is::kElsewhere;
  if (environ == nullptr || count >= kMostEntries) return;
  if (environ != g_near.entries) std::copy_n(environ, count + 1, g_near.entries);
  environ = g_near.entries;
  g_near.environment = Is::kNear;
}

void SeedNearRandom() {
  if (g_near.random == Is::kNear && FillRandom(g_near.state + kTypeBytes, kStateBytes - kTypeBytes).ok()) return;
  SeedRandom(RandomSeed());
}

char** NearEnvironment(size_t count) {
  const bool has_room = g_near.environment == Is::kNear && environ == g_near.entries && count <= kMostEntries;
  return has_room ? g_near.entries : nullptr;
}

}  // namespace brood::internal
