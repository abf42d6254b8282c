// Absolute, normal paths as text.
#ifndef BROOD_SANDBOX_LEARN_PATHS_H_
#define BROOD_SANDBOX_LEARN_PATHS_H_

#include <string_view>

#include "absl/strings/match.h"

namespace brood {

// Not the directory itself.
inline bool IsBelow(std::string_view path, std::string_view directory) {
  if (directory == "/") return path != "/";
  return absl::StartsWith(path, directory) && path.size() > directory.size() && path[directory.size()] == '/';
}

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_PATHS_H_
