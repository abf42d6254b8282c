#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/status.h"
#include "batch/real_path.h"

namespace brood::internal {

absl::StatusOr<std::string> RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), &std::free);
  if (real == nullptr) return ErrnoStatus(errno, "plugin", path);
  return std::string(real.get());
}

}  // namespace brood::internal
