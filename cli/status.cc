// brood status: a running or finished batch, read from its journal.
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch/journal.h"
#include "cli/commands.h"
#include "cli/options.h"

namespace brood {

int StatusMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("status", args);
  if (!options.ok()) return ReportUsage("status", options.status(), kExitUsage);
  if (options->operands().size() != 1) {
    return ReportUsage("status", absl::InvalidArgumentError("expected one RESULTS.jsonl"), kExitUsage);
  }
  const absl::StatusOr<std::map<std::string, ResultHead>> results = ReadJournal(options->operands()[0]);
  if (!results.ok()) {
    PrintError("status", results.status().message());
    return absl::IsNotFound(results.status()) ? kExitUsage : kExitBroodFailed;
  }
  std::map<std::string, size_t> by_status;
  for (const auto& [id, head] : *results) ++by_status[head.status];
  std::string text = absl::StrCat("results\t", results->size(), "\n");
  for (const auto& [status, count] : by_status) absl::StrAppend(&text, status, "\t", count, "\n");
  return PrintOut(text) ? kExitOk : kExitBroodFailed;
}

}  // namespace brood
