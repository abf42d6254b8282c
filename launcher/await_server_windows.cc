#include "launcher/retry_lost.h"

namespace brood::internal {

void AwaitServer(const ContextOptions&) {}  // There are none.

}  // namespace brood::internal
