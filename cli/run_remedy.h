// For run.cc only.
#ifndef BROOD_CLI_RUN_REMEDY_H_
#define BROOD_CLI_RUN_REMEDY_H_

#include <string>

#include "batch/process_runner.h"
#include "launcher/outcome.h"

namespace brood {

// The rule that would allow a violation; what to change if the program is only hidden: with most policies nothing of this
// machine is visible unasked. Begins with "; "; empty if it is something else.
std::string RunRemedy(const Outcome& outcome, const std::string& program, const JobDefaults& defaults);

}  // namespace brood

#endif  // BROOD_CLI_RUN_REMEDY_H_
