#include "launcher/retry_lost.h"

namespace brood::internal {

bool AwaitServer(const ContextOptions&, const ServerPause&) { return true; }  // There are none.

}  // namespace brood::internal
