// `brood demo`: the main job of brood on real files of this machine.
//
// A batch of honest jobs, each in a `strict` sandbox of its own, with hostile ones among them. The honest ones are then
// run again without a sandbox, and their output is compared byte for byte.
#ifndef BROOD_CLI_DEMO_H_
#define BROOD_CLI_DEMO_H_

#include <string>
#include <vector>

namespace brood {

// `args` are what follows the word "demo". Gives the exit status: 0 only if every honest job gave the same output as
// without a sandbox and every hostile job was stopped with the right outcome; 1 if not, 2 usage, 125 environment, 130
// interrupted.
int DemoMain(const std::vector<std::string>& args);

}  // namespace brood

#endif  // BROOD_CLI_DEMO_H_
