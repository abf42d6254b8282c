#include "launcher/executor/outcome_of.h"

#include <string>

#include "absl/strings/cord.h"
#include "launcher/outcome_flatbuffer.h"

namespace brood {

std::optional<Outcome> OutcomeOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kOutcomeUrl);
  if (!payload.has_value()) return std::nullopt;
  const absl::StatusOr<Outcome> outcome = DecodeOutcome(std::string(*payload));
  if (!outcome.ok()) return std::nullopt;
  return *outcome;
}

}  // namespace brood
