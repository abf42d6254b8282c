// What brood_with_targets has.
#include <cstdint>
#include <string>

#include "bootstrap/target.h"

int32_t Cube(int32_t x) { return x * x * x; }
BROOD_TARGET(Cube);

std::string Greeting(const std::string& name) { return "hello " + name; }
BROOD_TARGET_AS("jobs.greeting", Greeting);
