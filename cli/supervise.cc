#include "cli/supervise.h"

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "batch/result_json.h"
#include "batch/server_json.h"
#include "ipc/wait.h"
#include "launcher/retry_lost.h"

namespace brood {

absl::StatusOr<ResultFile> ResultFile::Open(const ParsedOptions& options, const UntrustedDirectories& untrusted) {
  ResultFile result;
  result.path_ = options.Value("--result");
  if (result.path_.empty() || result.path_ == "-") return result;
  BROOD_ASSIGN_OR_RETURN(result.file_, OpenToReplace(result.path_, untrusted));
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
  const auto attempt = [&]() -> absl::StatusOr<Outcome> {
    process.reset();
    BROOD_ASSIGN_OR_RETURN(process, start());
    return Supervise(*process, signals);
  };
  const auto tell = [&retry](const absl::StatusOr<Outcome>& lost, uint32_t tried) {
    retry.tell(absl::StrCat(lost.ok() ? lost->ToString() : std::string(lost.status().message()), "; starting it again, ", tried, " of ",
                            retry.context.retry_lost));
  };
  const auto pause = [&signals](absl::Duration duration) {
    if (const auto ready = Wait({signals.fd()}, duration); ready.ok() && !ready->empty()) TakeWithoutChild(signals);
    return !signals.told_to_end();
  };
  return internal::RetryLost(retry.context, attempt, tell, pause);
}

bool IsWorthALine(const Outcome& outcome) {
  return !std::holds_alternative<Exited>(outcome.ending) && !std::holds_alternative<Signaled>(outcome.ending);
}

}  // namespace brood
