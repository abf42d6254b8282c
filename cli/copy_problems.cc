#include "cli/copy_problems.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/text.h"

namespace brood {

std::vector<std::string> CopyProblemLines(const Outcome& outcome) {
  std::vector<std::string> lines;
  for (const CopiedFile& file : outcome.copied) {
    if (!file.problem.empty()) lines.push_back(Printable(absl::StrCat("copy-out: ", file.source, ": ", file.problem)));
  }
  for (const auto& [name, stream] : {std::pair("standard output", &outcome.stdout_result), {"standard error", &outcome.stderr_result}}) {
    if (stream->error_number != 0) lines.push_back(absl::StrCat(name, ": write: ", SystemErrorText(stream->error_number)));
  }
  return lines;
}

}  // namespace brood
