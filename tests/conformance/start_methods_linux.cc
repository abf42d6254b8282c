#include "tests/conformance/start_methods.h"

namespace brood {

std::vector<StartMethod> StartMethodsHere() { return {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}; }

}  // namespace brood
