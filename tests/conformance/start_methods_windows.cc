#include "tests/conformance/start_methods.h"

namespace brood {

std::vector<StartMethod> StartMethodsHere() { return {StartMethod::kSpawn}; }

}  // namespace brood
