#include "cli/passed_descriptors.h"

namespace brood {

absl::StatusOr<std::vector<InheritedFd>> ParsePassedDescriptors(const std::vector<std::string>& texts) {
  if (texts.empty()) return std::vector<InheritedFd>();
  return absl::UnimplementedError("--pass-fd: not on Windows, where a handle has the same value in the program; leave it out");
}

}  // namespace brood
