#include "cli/copy_problems.h"

#include "absl/strings/str_cat.h"
#include "batch/text.h"

namespace brood {

std::vector<std::string> CopyProblemLines(const Outcome& outcome) {
  std::vector<std::string> lines;
  for (const CopiedFile& file : outcome.copied) {
    if (!file.problem.empty()) lines.push_back(Printable(absl::StrCat("copy-out: ", file.source, ": ", file.problem)));
  }
  return lines;
}

}  // namespace brood
