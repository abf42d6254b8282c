// The format of GNU parallel's --joblog. parallel(1).
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "batch/reports.h"

namespace brood {

std::string JoblogHeader() { return "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"; }

std::string JoblogLine(const ReportEntry& entry, std::string_view command) {
  const Outcome& outcome = entry.outcome;
  int exit_value = -1;
  int signal = 0;
  if (const auto* exited = std::get_if<Exited>(&outcome.ending)) {
    // 125 if what was to be copied out is missing: whoever reads this looks for nothing else.
    exit_value = exited->code != 0 || outcome.ok() ? exited->code : outcome.ShellExitCode();
  } else if (const auto* signaled = std::get_if<Signaled>(&outcome.ending)) {
    exit_value = 0;
    signal = signaled->signal;
  } else if (std::holds_alternative<SetupFailed>(outcome.ending)) {
    exit_value = outcome.ShellExitCode();
  } else if (!std::holds_alternative<Lost>(outcome.ending)) {
    signal = -outcome.exit_code();
  }
  const double start =
      outcome.start == absl::InfinitePast() ? 0 : absl::ToDoubleSeconds(outcome.start - absl::UnixEpoch());
  return absl::StrFormat("%d\t:\t%.3f\t%10.3f\t0\t%d\t%d\t%d\t%s\n", entry.job->number, start,
                         absl::ToDoubleSeconds(outcome.usage.wall_time), outcome.stdout_result.bytes, exit_value,
                         signal, command);
}

}  // namespace brood
