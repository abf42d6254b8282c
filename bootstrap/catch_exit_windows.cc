#include <cstdlib>

#include "bootstrap/exit.h"

namespace brood::internal {

// A handler is not told the code, so it cannot end the process by itself. It need not: there is no fork, so that further down
// lie only handlers of this very process.
void CatchExit() { std::atexit(RunAtExit); }
void PrepareToCatchExit() {}
void CatchExitAsPrepared() { CatchExit(); }

}  // namespace brood::internal
