#include <optional>
#include <vector>

#include "base/status.h"
#include "cli/supervise.h"
#include "ipc/wait.h"

namespace brood {

// The first signal was told to the child by the console as well, which it shares; a second one ends the tree.
absl::StatusOr<Outcome> Supervise(Process& process, SignalSource& signals) {
  int caught = 0;
  while (true) {
    // Its handle is one to be waited for until it was joined.
    BROOD_ASSIGN_OR_RETURN(const std::vector<size_t> ready, Wait({process.sentinel(), signals.fd()}));
    if (!ready.empty() && ready.front() == 0) return process.Join();
    while (signals.Next().has_value()) {
      if (++caught > 1) BROOD_RETURN_IF_ERROR(process.Kill());
    }
  }
}

void TakeWithoutChild(SignalSource& signals) {
  while (signals.Next().has_value()) {
  }
}

}  // namespace brood
