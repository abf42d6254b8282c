// What was to come out of a child and did not, for people.
#ifndef BROOD_CLI_COPY_PROBLEMS_H_
#define BROOD_CLI_COPY_PROBLEMS_H_

#include <string>
#include <vector>

#include "launcher/outcome.h"

namespace brood {

// "copy-out: /tmp/out: missing" for each file, "standard output: write: ENOSPC (...)" for a stream. Safe for a terminal.
std::vector<std::string> CopyProblemLines(const Outcome& outcome);

}  // namespace brood

#endif  // BROOD_CLI_COPY_PROBLEMS_H_
