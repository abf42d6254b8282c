// The guardian's record -> Outcome.
#ifndef BROOD_LAUNCHER_REPORT_OUTCOME_H_
#define BROOD_LAUNCHER_REPORT_OUTCOME_H_

#include "launcher/launch_record.h"
#include "launcher/outcome.h"
#include "sandbox/plan.h"

namespace brood {

// `plan` is null for a launch without a policy.
Outcome OutcomeOf(const GuardianReport& report, const CompiledPolicy* plan);

// The error that Process::Start gives for a child that could not be set up.
absl::Status SetupStatus(const SetupFailed& failure);

}  // namespace brood

#endif  // BROOD_LAUNCHER_REPORT_OUTCOME_H_
