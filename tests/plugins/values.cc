// Targets that give back what they were given, of many types.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bootstrap/target.h"

struct Point {
  int32_t x = 0;
  std::vector<double> y;
};
BROOD_FIELDS(Point, x, y);

template <typename T>
T Same(const T& value) {
  return value;
}

BROOD_TARGET_AS("byte", Same<uint8_t>);
BROOD_TARGET_AS("double", Same<double>);
BROOD_TARGET_AS("string", Same<std::string>);
BROOD_TARGET_AS("bytes", Same<std::vector<uint8_t>>);
BROOD_TARGET_AS("point", Same<Point>);
BROOD_TARGET_AS("maybe", Same<std::optional<int32_t>>);

std::tuple<bool, std::map<std::string, int32_t>> Both(bool flag, const std::map<std::string, int32_t>& numbers) {
  return {flag, numbers};
}
BROOD_TARGET_AS("both", Both);
