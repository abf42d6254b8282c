// Starts programs and functions and reports how they ended.
//
//   BROOD_ASSIGN_OR_RETURN(Process process, Process::Start({.argv = {"gzip", "-t", "a.gz"}, .policy = strict}));
//   BROOD_ASSIGN_OR_RETURN(Outcome outcome, process.Join(absl::Seconds(10)));
//
// Distinct Process objects may be used from distinct threads, and a child lives on when the thread that started it ends;
// one object from one thread at a time. In a fork of the caller without exec a copy of the object is of no use: its
// methods fail with FailedPrecondition, and its destructor leaves the child alone.
// Never logs, never throws, installs no signal handler, changes no process-wide state. Each child has a guardian, a
// small process of brood's own that enforces its limits and ends its tree when the child, or the owner, ends.
#ifndef BROOD_LAUNCHER_PROCESS_H_
#define BROOD_LAUNCHER_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/outcome.h"

namespace brood {

namespace internal {
struct ProcessState;
struct LaunchTarget;
}  // namespace internal

class Process {  // Move-only. Destroying a running one kills its tree and reaps it.
 public:
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  // Starts a child; returns once it runs its target or has failed to.
  //
  // Errors: InvalidArgument (the request), NotFound (no such program), PermissionDenied (not executable),
  //   ResourceExhausted (EAGAIN, ENOMEM), FailedPrecondition (a layer or limit that this machine cannot enforce).
  static absl::StatusOr<Process> Start(const LaunchOptions& options);

  // As Start, but does not wait for the set-up: a child that could not be set up has the outcome SetupFailed. For
  // those who start many at a time.
  static absl::StatusOr<Process> Launch(const LaunchOptions& options);

  // Waits until the child has ended or `timeout` has passed (DeadlineExceeded: the child keeps running); zero or less
  // asks without waiting.
  // The outcome can be asked for again and again.
  absl::StatusOr<Outcome> Join(absl::Duration timeout = absl::InfiniteDuration());

  // Asks the child to end (SIGTERM), sends it `signal` (1 to SIGRTMAX, else InvalidArgument), or kills its whole tree.
  // Not an error if it has ended already.
  absl::Status Terminate();
  absl::Status Signal(int signal);
  absl::Status Kill();

  // Sends `signal` to the child's process group, as its terminal would. A child that shares the caller's session (its
  // policy does not drop privileges) is sent it alone.
  absl::Status SignalGroup(int signal);

  // Frees what the object holds. FailedPrecondition if the child is still running.
  absl::Status Close();

  bool IsAlive();
  std::optional<int> exit_code();  // Outcome::exit_code() once it has ended.
  pid_t pid() const;               // Of the target, as the caller sees it; 0 until it runs.
  const std::string& name() const;
  bool daemon() const;             // LaunchOptions::daemon.

  // Readable when the child has ended, and from then on. Borrowed: poll it in your own loop, read nothing from it. -1
  // once the object is closed.
  int sentinel() const;

  // What a stream given as Stdio::Capture() holds, from its beginning: a descriptor that is yours. Invalid if it was not
  // captured, has been taken, or the child was not seen to end yet (Join, IsAlive).
  UniqueFd TakeStdout();
  UniqueFd TakeStderr();

 private:
  friend absl::StatusOr<Process> LaunchInternal(const LaunchOptions& options, const internal::LaunchTarget& target);
  friend absl::Status AwaitStarted(Process& process);
  explicit Process(std::unique_ptr<internal::ProcessState> state);
  std::unique_ptr<internal::ProcessState> state_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_PROCESS_H_
