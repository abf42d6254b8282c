#include "base/fork_generation.h"

namespace brood {

uint64_t ForkGeneration() { return 1; }  // Windows has no fork.
uint64_t BeginForkGeneration() { return 1; }

}  // namespace brood
