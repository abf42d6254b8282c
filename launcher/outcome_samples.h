// For tests: outcomes that together use every field and every ending of an Outcome.
#ifndef BROOD_LAUNCHER_OUTCOME_SAMPLES_H_
#define BROOD_LAUNCHER_OUTCOME_SAMPLES_H_

#include <vector>

#include "launcher/outcome.h"

namespace brood {

// One outcome for each ending, limit and remarkable value. Times are whole milliseconds, as results have them.
std::vector<Outcome> SampleOutcomes();

}  // namespace brood

#endif  // BROOD_LAUNCHER_OUTCOME_SAMPLES_H_
