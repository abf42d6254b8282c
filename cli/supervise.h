// What `brood run` and `brood call` do while their one child runs, and with its result.
#ifndef BROOD_CLI_SUPERVISE_H_
#define BROOD_CLI_SUPERVISE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "base/untrusted_directories.h"
#include "batch/job_runner.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "forkserver/server_report.h"
#include "launcher/context_options.h"
#include "launcher/process.h"

namespace brood {

// Waits for the end. The first signal is forwarded, a second one kills the tree.
absl::StatusOr<Outcome> Supervise(Process& process, SignalSource& signals);

// Does with those that have come what they do to a program without a child, but for ending it.
void TakeWithoutChild(SignalSource& signals);

// Starts it before, and again as often as `context` says (retry_lost) if that, or the child, is lost with its server, unless a signal has
// come that ends this program, be it for the child, or while another server is waited for. `process` is the last one. Errors: those of `start` and of Supervise.
struct RetryLost {
  std::function<void(const std::string&)> tell;  // People, of each time.
  ContextOptions context;
};
absl::StatusOr<Outcome> StartAndSupervise(const std::function<absl::StatusOr<Process>()>& start, const RetryLost& retry, SignalSource& signals,
                                          std::optional<Process>& process);

// Where --result goes.
class ResultFile {
 public:
  // Before the child runs: it must not do its work only for its result to be lost. `untrusted` is as
  // OpenToReplace has it. Errors: those of open(2).
  static absl::StatusOr<ResultFile> Open(const ParsedOptions& options, const UntrustedDirectories& untrusted);

  // Nothing if --result was not given. `server`: of the forkserver that has borne the child, if this command has started one.
  // Errors: those of write(2).
  absl::Status Write(std::string_view id, const JobEnd& end, const std::optional<ServerReport>& server = std::nullopt) const;

 private:
  std::string path_;
  UniqueFd file_;
};

// What ended it otherwise than the child itself is told; the rest is for the exit status to say.
bool IsWorthALine(const Outcome& outcome);

}  // namespace brood

#endif  // BROOD_CLI_SUPERVISE_H_
