// The start methods of which the conformance suite claims that they behave alike. A new one is one line in each .cc.
#ifndef BROOD_TESTS_CONFORMANCE_START_METHODS_H_
#define BROOD_TESTS_CONFORMANCE_START_METHODS_H_

#include <vector>

#include "serialization/messages.h"

namespace brood {

// Those that this system has.
std::vector<StartMethod> StartMethodsHere();

}  // namespace brood

#endif  // BROOD_TESTS_CONFORMANCE_START_METHODS_H_
