// brood policy learn.
#ifndef BROOD_CLI_LEARN_H_
#define BROOD_CLI_LEARN_H_

#include <string>
#include <vector>

namespace brood {

// Runs the program without a sandbox and writes what it needs to the policy file `output`, to which an earlier run may have
// written; "" is standard output. Returns the exit status of `brood policy learn`.
int Learn(const std::vector<std::string>& argv, const std::string& output);

}  // namespace brood

#endif  // BROOD_CLI_LEARN_H_
