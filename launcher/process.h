// Starts programs and functions and reports how they ended.
//
//   BROOD_ASSIGN_OR_RETURN(Process process, Process::Start({.argv = {"gzip", "-t", "a.gz"}, .policy = strict}));
//   BROOD_ASSIGN_OR_RETURN(Outcome outcome, process.Join(absl::Seconds(10)));
//
// Join, IsAlive, exit_code, Signal, Terminate, Kill and the results may be asked for by several threads at once; what
// moves, starts, closes or destroys an object is for one thread alone. A child lives on when the thread that started it
// ends. In a fork of the caller without exec a copy of the object is of no use: its methods fail with FailedPrecondition,
// and its destructor leaves the child alone.
// Never logs unasked (bootstrap/log.h), never throws, installs no signal handler, changes no process-wide state. Each child has a guardian, a
// small process of brood's own that enforces its limits and ends its tree when the child, or the owner, ends.
#ifndef BROOD_LAUNCHER_PROCESS_H_
#define BROOD_LAUNCHER_PROCESS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/outcome.h"
#include "serialization/value.h"

namespace brood {

class Process;

namespace internal {
struct ProcessState;
struct Unstarted;
Process ProcessOf(std::shared_ptr<ProcessState> state);
std::shared_ptr<ProcessState> StateOf(Process& process);
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

  // A child that is not started yet, for the member Start; for functions see Context::Create. Descriptors that
  // `options` borrows must stay open until then.
  static Process Create(LaunchOptions options);

  // Starts a child that was only created. Errors: those of the other Start (it may be tried again), FailedPrecondition
  // (it was started before, or is closed).
  absl::Status Start();

  // Waits until the child has ended or `timeout` has passed (DeadlineExceeded: the child keeps running); a `timeout` of
  // zero or less looks once. The outcome can be asked for again and again, and by several threads.
  //
  // Errors: FailedPrecondition (not started, closed, or not in the process that made the object).
  absl::StatusOr<Outcome> Join(absl::Duration timeout = absl::InfiniteDuration());

  // Joins, then gives what the function returned: StatusOr<R>, or Status for void. `R` is what the function gives after
  // its own StatusOr is taken off.
  //
  // Errors: those of Join; the function's own status; Unknown with "TYPE: MESSAGE" for an exception, its type and its
  //   stack in the payloads kExceptionTypeUrl and kStackTraceUrl; Aborted if the child ended in any other way (a signal,
  //   a limit, a violation, an exit code other than 0), saying which; InvalidArgument (the value is of another type);
  //   FailedPrecondition (a program).
  template <typename R>
  std::conditional_t<std::is_void_v<R>, absl::Status, absl::StatusOr<R>> Result(
      absl::Duration timeout = absl::InfiniteDuration());

  // As Result, for a type that is known only when it is there. Nothing for a function that returns nothing.
  absl::StatusOr<std::optional<TypedValue>> ResultValue(absl::Duration timeout = absl::InfiniteDuration());

  // Asks the child to end (SIGTERM), sends it `signal` (1 to SIGRTMAX, else InvalidArgument), or kills its whole tree.
  // Not an error if it has ended already. Errors: FailedPrecondition, as Join.
  absl::Status Terminate();
  absl::Status Signal(int signal);
  absl::Status Kill();

  // Sends `signal` to the child's process group, as its terminal would. A child that shares the caller's session (its
  // policy does not drop privileges) is sent it alone.
  absl::Status SignalGroup(int signal);

  // Gives the child's terminal (LaunchOptions::terminal) another size; the group in its foreground gets SIGWINCH if that is a change.
  // Not an error once the child has ended. Errors: FailedPrecondition (it has none, or as Join).
  absl::Status ResizeTerminal(uint16_t rows, uint16_t columns);

  // Frees what the object holds; afterwards only the name and `daemon` can be asked for. FailedPrecondition if the child
  // is still running. Closing twice, or before the start, is no error.
  absl::Status Close();

  bool IsAlive();                  // False before the start, and in a process that did not make it.
  std::optional<int64_t> exit_code();  // Outcome::exit_code() once it has ended.
  // Of the target, as the caller sees it; 0 until it runs. In a pid namespace of its own it may stay 0 for a child that ends
  // at once: nobody outside has seen its number.
  int pid() const;
  const std::string& name() const;
  bool daemon() const;

  // For people only, at any time. Before the start the child gets it too.
  void set_name(std::string name);
  // Errors: FailedPrecondition once it was started.
  absl::Status set_daemon(bool daemon);

  // For people, at any time, also in a fork: "<Process name='ForkProcess-1' pid=7 parent=5 stopped exitcode=-SIGKILL daemon>".
  // The state is initial, started, stopped, closed, moved, or unknown in a process that did not make the object.
  std::string ToString();

  // Readable when the child has ended. Borrowed: poll it in your own loop, read nothing from it. Once Join has given the
  // outcome, a descriptor that all joined children share. -1 before the start and after Close.
  int sentinel() const;

  // What a stream given as Stdio::Capture() holds, from its beginning: a descriptor that is yours. Invalid if it was not
  // captured, has been taken, or the child was not seen to end yet (Join, IsAlive).
  UniqueFd TakeStdout();
  UniqueFd TakeStderr();

 private:
  friend class Context;
  friend Process internal::ProcessOf(std::shared_ptr<internal::ProcessState>);
  friend std::shared_ptr<internal::ProcessState> internal::StateOf(Process&);
  explicit Process(std::shared_ptr<internal::ProcessState> state);
  explicit Process(internal::Unstarted unstarted);
  absl::Status Check(std::string_view operation) const;

  std::shared_ptr<internal::ProcessState> state_;      // Null before the start.
  std::unique_ptr<internal::Unstarted> unstarted_;     // Null after it.
};

// The payload of a status that stands for an exception in a child: the type's name, "std::runtime_error".
inline constexpr std::string_view kExceptionTypeUrl = "brood/exception-type";

// Likewise: the stack where it was thrown (or last rethrown), innermost first, one frame a line:
// "jobs::Parse() (program+0x1234)". At most 16 KiB; absent where the machine's unwinder is not known.
inline constexpr std::string_view kStackTraceUrl = "brood/stack-trace";

template <typename R>
std::conditional_t<std::is_void_v<R>, absl::Status, absl::StatusOr<R>> Process::Result(absl::Duration timeout) {
  absl::StatusOr<std::optional<TypedValue>> value = ResultValue(timeout);
  if (!value.ok()) return value.status();
  if constexpr (std::is_void_v<R>) {
    return absl::OkStatus();
  } else {
    if (!value->has_value()) return absl::AbortedError("the function exited without returning its value");
    return Unpack<R>(**value);
  }
}

}  // namespace brood

#endif  // BROOD_LAUNCHER_PROCESS_H_
