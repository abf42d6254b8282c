// brood policy learn.
#ifndef BROOD_CLI_LEARN_H_
#define BROOD_CLI_LEARN_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace brood {

struct LearnSettings {
  std::vector<std::string> argv;
  std::string output;  // A policy file, to which is added what it lacks; "" is standard output.
  absl::Duration wall_time = absl::InfiniteDuration();
};

// Runs the program without a sandbox and writes what it needs. Returns the exit status of `brood policy learn`.
int Learn(const LearnSettings& settings);

}  // namespace brood

#endif  // BROOD_CLI_LEARN_H_
