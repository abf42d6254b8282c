#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "launcher/executor/births.h"

namespace brood::internal {

absl::StatusOr<std::vector<UniqueFd>> OwnBorrowed(LaunchOptions& options) {
  std::vector<UniqueFd> borrowed;
  absl::Status error;
  ForEachBorrowed(options, [&](int& fd) {
    borrowed.push_back(Duplicate(fd));
    if (!borrowed.back().valid() && error.ok()) error = ErrnoStatus(errno, "dup", absl::StrCat("descriptor ", fd));
    fd = borrowed.back().get();
  });
  BROOD_RETURN_IF_ERROR(error);
  return borrowed;
}

}  // namespace brood::internal
