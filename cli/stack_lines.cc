#include "cli/stack_lines.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "batch/text.h"

namespace brood {

std::vector<std::string> StackLines(const Outcome& outcome) {
  std::vector<std::string> lines;
  const auto* violation = std::get_if<Violation>(&outcome.ending);
  if (violation == nullptr || violation->stack_end.empty()) return lines;
  for (const auto& [address, function, offset, file] : violation->stack) {
    const std::string place = function.empty() ? absl::StrCat("0x", absl::Hex(address)) : absl::StrCat(function, "+0x", absl::Hex(offset));
    lines.push_back(Printable(absl::StrCat("  #", lines.size(), " ", place, file.empty() ? "" : absl::StrCat(" (", file, ")"))));
  }
  lines.push_back(Printable(absl::StrCat("  (", violation->stack_end, ")")));
  return lines;
}

}  // namespace brood
