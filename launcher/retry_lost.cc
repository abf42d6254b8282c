#include "launcher/retry_lost.h"

#include <variant>

namespace brood::internal {

bool IsLost(absl::StatusOr<Process>& process) {
  if (!process.ok()) return absl::IsUnavailable(process.status());
  return IsLost(process->Join());
}

bool IsLost(const absl::StatusOr<Outcome>& outcome) {
  return outcome.ok() ? std::holds_alternative<Lost>(outcome->ending) : absl::IsUnavailable(outcome.status());
}

}  // namespace brood::internal
