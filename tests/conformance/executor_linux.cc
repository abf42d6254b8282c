#include <signal.h>

#include "tests/conformance/executor.h"

namespace brood {

void Die() { raise(SIGKILL); }
const int64_t kDeathCode = -SIGKILL;

void EndOther(int pid) { EXPECT_EQ(kill(pid, SIGKILL), 0); }

}  // namespace brood
