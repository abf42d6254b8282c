#include "cli/commands.h"
#include "cli/learn.h"

namespace brood {

int Learn(const LearnSettings& /*settings*/) {
  PrintError("policy", "learn: not on Windows: policies there speak of no system calls");
  return kExitBroodFailed;
}

}  // namespace brood
