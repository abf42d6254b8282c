#include "absl/strings/str_cat.h"
#include "base/windows_error.h"
#include "launcher/executor/births.h"

namespace brood::internal {

absl::StatusOr<std::vector<UniqueFd>> OwnBorrowed(LaunchOptions& options) {
  std::vector<UniqueFd> borrowed;
  for (Stdio* stream : {&options.stdin_spec, &options.stdout_spec, &options.stderr_spec}) {
    if (stream->kind != Stdio::Kind::kFd) continue;
    borrowed.push_back(Duplicate(stream->fd));
    if (!borrowed.back().valid()) return LastErrorStatus("DuplicateHandle", absl::StrCat("handle ", stream->fd));
    stream->fd = borrowed.back().get();
  }
  return borrowed;
}

}  // namespace brood::internal
