// The example of docs/call.md: functions for `brood call` and `brood batch` in a shared library of their own.
#include <cmath>
#include <cstdint>
#include <vector>

#include "bootstrap/target.h"

int32_t Square(int32_t x) { return x * x; }
BROOD_TARGET(Square);

double Norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}
BROOD_TARGET(Norm);
