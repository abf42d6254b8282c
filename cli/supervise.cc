#include "cli/supervise.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "batch/result_json.h"
#include "batch/server_json.h"
#include "launcher/retry_lost.h"

namespace brood {

absl::StatusOr<ResultFile> ResultFile::Open(const ParsedOptions& options) {
  ResultFile result;
  result.path_ = options.Value("--result");
  if (result.path_.empty() || result.path_ == "-") return result;
  BROOD_ASSIGN_OR_RETURN(result.file_, OpenToReplace(result.path_));
  return result;
}

absl::Status ResultFile::Write(std::string_view id, const JobEnd& end, const std::optional<ServerReport>& server) const {
  if (path_.empty()) return absl::OkStatus();
  std::string line = ResultLine(id, 1, end, ResultStreams::kInherited);
  if (server.has_value()) line.replace(line.size() - 1, 1, ",\"server\":" + ServerJson(*server) + "}");
  line += '\n';
  return WriteAll(file_.valid() ? file_.get() : StandardOutput(), path_, line);
}

absl::StatusOr<Outcome> StartAndSupervise(const std::function<absl::StatusOr<Process>()>& start, const RetryLost& retry, SignalSource& signals,
                                          std::optional<Process>& process) {
  for (uint32_t tried = 0;; ++tried) {
    process.reset();
    absl::StatusOr<Process> started = start();
    if (started.ok()) process.emplace(*std::move(started));
    absl::StatusOr<Outcome> outcome = process.has_value() ? Supervise(*process, signals) : started.status();
    const bool lost = outcome.ok() ? std::holds_alternative<Lost>(outcome->ending) : absl::IsUnavailable(outcome.status());
    if (!lost || tried == retry.retries) return outcome;
    retry.tell(absl::StrCat(outcome.ok() ? outcome->ToString() : std::string(outcome.status().message()), "; starting it again, ", tried + 1,
                            " of ", retry.retries));
    internal::AwaitServer(retry.context);
  }
}

bool IsWorthALine(const Outcome& outcome) {
  return !std::holds_alternative<Exited>(outcome.ending) && !std::holds_alternative<Signaled>(outcome.ending);
}

}  // namespace brood
