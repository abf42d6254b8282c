// The start methods of which the conformance suite claims that they behave alike. A new one is one line here.
#ifndef BROOD_TESTS_CONFORMANCE_START_METHODS_H_
#define BROOD_TESTS_CONFORMANCE_START_METHODS_H_

#include <array>

#include "serialization/messages.h"

namespace brood {

inline constexpr std::array kStartMethods = {
    StartMethod::kSpawn,
    StartMethod::kFork,
    StartMethod::kForkServer,
};

}  // namespace brood

#endif  // BROOD_TESTS_CONFORMANCE_START_METHODS_H_
