#include "launcher/retry_lost.h"

#include <variant>

#include "launcher/outcome.h"

namespace brood::internal {

bool IsLost(absl::StatusOr<Process>& process) {
  if (!process.ok()) return absl::IsUnavailable(process.status());
  const absl::StatusOr<Outcome> outcome = process->Join();
  return outcome.ok() && std::holds_alternative<Lost>(outcome->ending);
}

}  // namespace brood::internal
