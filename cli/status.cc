// brood status: a running or finished batch, read from its journal.
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch/journal.h"
#include "batch/text.h"
#include "cli/commands.h"
#include "cli/options.h"

namespace brood {

int StatusMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("status", args);
  if (!options.ok()) return ReportUsage("status", options.status(), kExitUsage);
  if (options->operands().size() != 1) {
    return ReportUsage("status", absl::InvalidArgumentError("expected one RESULTS.jsonl"), kExitUsage);
  }
  const std::string& journal = options->operands()[0];
  // Asked first: a batch that ends meanwhile has written its results by then.
  const absl::StatusOr<bool> in_use = JournalIsInUse(journal);
  const absl::StatusOr<std::map<std::string, JournalEntry>> jobs = ReadJournal(journal);
  for (const absl::Status& status : {in_use.status(), jobs.status()}) {
    if (status.ok()) continue;
    PrintError("status", status.message());
    return absl::IsNotFound(status) || absl::IsInvalidArgument(status) ? kExitUsage : kExitBroodFailed;
  }
  size_t results = 0;
  size_t started = 0;
  std::map<std::string, size_t> by_status;
  for (const auto& [id, job] : *jobs) {
    if (job.finished()) ++by_status[job.status];
    ++(job.finished() ? results : started);
  }
  std::string text = absl::StrCat("results\t", results, "\n");
  for (const auto& [status, count] : by_status) absl::StrAppend(&text, Printable(status), "\t", count, "\n");
  // Without its batch nothing runs: what was started was cut off.
  if (started > 0) absl::StrAppend(&text, *in_use ? "running" : "unfinished", "\t", started, "\n");
  return PrintOut(text) ? kExitOk : kExitBroodFailed;
}

}  // namespace brood
