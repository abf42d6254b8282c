#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "launcher/children.h"
#include "launcher/function_start.h"
#include "launcher/guarded_state.h"
#include "launcher/launch_internal.h"
#include "launcher/outcome.h"
#include "launcher/process_state.h"
#include "launcher/served_child.h"
#include "launcher/served_start.h"

namespace brood::internal {
namespace {

// Whether the server had no sandbox for it, so that nothing of it has run.
bool IsServersFailure(Process& process) {
  const absl::StatusOr<Outcome> outcome = process.Join(absl::ZeroDuration());
  if (!outcome.ok()) return false;
  const auto* const failed = std::get_if<SetupFailed>(&outcome->ending);
  return failed != nullptr && failed->step == kServerStep;
}

struct Attempt {
  std::optional<Process> process;  // None: the server cannot, and nothing of it has run.
  bool guessed_wrong = false;
};

// The child is told of by then, or has ended.
absl::StatusOr<Attempt> LaunchOnce(ServedStart& served, const LaunchOptions& options) {
  LaunchTarget target;
  target.awaits_word = served.is_guess();
  absl::Status sent;
  bool elsewhere = false;
  absl::StatusOr<Process> process = LaunchInternal(options, target, [&](const LaunchRecord& record) {
    elsewhere = true;
    return sent = served.Launch(record);
  }, nullptr, [&](std::string_view slot) { return served.Lease(slot); });
  if (!sent.ok()) return Attempt{.guessed_wrong = served.is_guess() && absl::IsUnavailable(sent)};
  if (!process.ok()) return process.status();
  if (elsewhere) {
    served.LeaseAfter(*process);
    if (served.is_guess() && !served.Confirm(*process)) return Attempt{.guessed_wrong = true};
    if (!served.AwaitGuardian(*process).ok()) return Attempt();
    const absl::Status started = AwaitStarted(*StateOf(*process));
    if (ServedStart::NeedsNewServer(started)) {
      // Somebody with more rights has changed the caller since its server was started; what is started now inherits that.
      served.ReplaceServer();
      return started;
    }
    if (!started.ok() && IsServersFailure(*process)) return Attempt();
  }
  NoteChild(StateOf(*process));
  return Attempt{.process = *std::move(process)};
}

absl::StatusOr<Attempt> LaunchGuessing(const ContextOptions& context, const LaunchOptions& options) {
  std::optional<ServedStart> served = ServedStart::Guess(context);
  if (!served.has_value()) return Attempt{.guessed_wrong = true};
  return LaunchOnce(*served, options);
}

absl::StatusOr<Attempt> LaunchLooking(const ContextOptions& context, const LaunchOptions& options) {
  absl::StatusOr<ServedStart> served = ServedStart::Prepare(context);
  if (!served.ok()) return Attempt();
  return LaunchOnce(*served, options);
}

}  // namespace

absl::StatusOr<Process> LaunchByForkServer(const ContextOptions& context, const LaunchOptions& options) {
  absl::StatusOr<Attempt> attempt = LaunchGuessing(context, options);
  for (int more = 2; more > 0 && (attempt.ok() ? attempt->guessed_wrong : ServedStart::NeedsNewServer(attempt.status())); --more) {
    attempt = LaunchLooking(context, options);
  }
  if (!attempt.ok()) return attempt.status();
  if (attempt->process.has_value()) return *std::move(attempt->process);
  return Process::Launch(options);
}

}  // namespace brood::internal
