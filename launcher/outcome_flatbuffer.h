// Outcomes as bytes: their wire form, serialization/outcome.fbs. The one place where the two forms meet.
//
//   const std::string bytes = EncodeOutcome(outcome);
//   BROOD_ASSIGN_OR_RETURN(const Outcome same, DecodeOutcome(bytes));
//
// Functions may be called from any thread.
#ifndef BROOD_LAUNCHER_OUTCOME_FLATBUFFER_H_
#define BROOD_LAUNCHER_OUTCOME_FLATBUFFER_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "launcher/outcome.h"

namespace brood {

// Larger ones are refused before they are looked at.
inline constexpr size_t kMaxOutcomeBytes = size_t{1} << 20;

std::string EncodeOutcome(const Outcome& outcome);

// Verifies the bytes, then reads them. Errors: DataLoss naming the field (not an outcome, an unknown ending or layer,
// an exit code that none can have).
absl::StatusOr<Outcome> DecodeOutcome(std::string_view bytes);

}  // namespace brood

#endif  // BROOD_LAUNCHER_OUTCOME_FLATBUFFER_H_
