// How the worker of a task ended, where that is why the task has no result.
#ifndef BROOD_LAUNCHER_EXECUTOR_OUTCOME_OF_H_
#define BROOD_LAUNCHER_EXECUTOR_OUTCOME_OF_H_

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "launcher/outcome.h"

namespace brood {

// The payload of a task's status: its worker's outcome, as EncodeOutcome writes it.
inline constexpr std::string_view kOutcomeUrl = "brood/outcome";

// Nothing if the status has no such payload: the function itself gave it, or the task never ran.
std::optional<Outcome> OutcomeOf(const absl::Status& status);

}  // namespace brood

#endif  // BROOD_LAUNCHER_EXECUTOR_OUTCOME_OF_H_
