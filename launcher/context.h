// Starts functions as processes.
//
//   int Square(int x) { return x * x; }
//   BROOD_TARGET(Square);
//
//   int main(int argc, char** argv) {
//     brood::Bootstrap(argc, argv);
//     const brood::Context context(brood::StartMethod::kSpawn);
//     absl::StatusOr<int> squared = context.Call(Square, 7);                        // 49, from another process
//     absl::StatusOr<brood::Process> process = context.Start({.policy = strict}, Square, 7);
//   }
//
// Arguments are checked at compile time, copied to the child, and released when the child runs. All start methods give
// the same results; a forked child also sees the parent's memory as it was at the fork.
//
// Immutable, so that any thread may use it, but see StartMethod::kFork. Never throws; logs only after LogToStderr (bootstrap/log.h).
#ifndef BROOD_LAUNCHER_CONTEXT_H_
#define BROOD_LAUNCHER_CONTEXT_H_

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/registry.h"
#include "bootstrap/target.h"
#include "forkserver/server_report.h"
#include "launcher/context_options.h"
#include "launcher/launch_options.h"
#include "launcher/process.h"
#include "launcher/retry_lost.h"
#include "serialization/messages.h"
#include "serialization/value.h"

namespace brood {
namespace internal {
struct FunctionStart;
}  // namespace internal

// What a target that was started by name gave.
struct CallResult {
  Outcome outcome;
  std::optional<TypedValue> value;  // Nothing if it returns nothing, or did not end with exit code 0.
};

class Context {
 public:
  explicit Context(StartMethod method, ContextOptions options = {});

  // Starts `function` in a child; returns once it runs or could not be set up. Of `options`, argv is ignored; inherited
  // descriptors must not ask for the numbers 3, 4 and 5, which brood uses itself. Process::Result gives what it returns.
  //
  // Errors: those of Process::Start; FailedPrecondition (fork with several threads; spawn without Bootstrap in main;
  //   two targets of one name; a daemon that starts children), InvalidArgument (arguments too large), NotFound (the
  //   function is not registered).
  template <typename Returned, typename... Parameters, typename... Arguments>
  absl::StatusOr<Process> Start(const LaunchOptions& options, Returned (*function)(Parameters...),
                                Arguments&&... arguments) const {
    BROOD_ASSIGN_OR_RETURN(Process process, Create(options, function, std::forward<Arguments>(arguments)...));
    BROOD_RETURN_IF_ERROR(process.Start());
    return process;
  }
  template <typename Returned, typename... Parameters, typename... Arguments>
  absl::StatusOr<Process> Start(Returned (*function)(Parameters...), Arguments&&... arguments) const {
    return Start(LaunchOptions(), function, std::forward<Arguments>(arguments)...);
  }

  // As Start, but leaves the start itself to Process::Start; the arguments are packed now, and released by that.
  template <typename Returned, typename... Parameters, typename... Arguments>
  absl::StatusOr<Process> Create(LaunchOptions options, Returned (*function)(Parameters...),
                                 Arguments&&... arguments) const;
  template <typename Returned, typename... Parameters, typename... Arguments>
  absl::StatusOr<Process> Create(Returned (*function)(Parameters...), Arguments&&... arguments) const {
    return Create(LaunchOptions(), function, std::forward<Arguments>(arguments)...);
  }

  // As Start, then waits for the end and gives what the function returned: StatusOr<T> for T and StatusOr<T>, Status
  // for void, Status and ExitCode. Errors: those of Start and of Process::Result.
  template <typename Returned, typename... Parameters, typename... Arguments>
  auto Call(const LaunchOptions& options, Returned (*function)(Parameters...), Arguments&&... arguments) const
      -> std::conditional_t<std::is_void_v<typename internal::ReturnOf<Returned>::Value>, absl::Status,
                            absl::StatusOr<typename internal::ReturnOf<Returned>::Value>> {
    // Arguments are packed where they stand, so that they are there for the next time.
    absl::StatusOr<Process> process = internal::RetryLost(options_, [&] { return Start(options, function, arguments...); });
    if (!process.ok()) return process.status();
    return process->template Result<typename internal::ReturnOf<Returned>::Value>();
  }
  template <typename Returned, typename... Parameters, typename... Arguments>
  auto Call(Returned (*function)(Parameters...), Arguments&&... arguments) const {
    return Call(LaunchOptions(), function, std::forward<Arguments>(arguments)...);
  }

  // The same by the target's name, also that of a plugin's, PATH.so:NAME (bootstrap/plugin.h): what is not checked by the
  // compiler is checked in the child, which then fails with the step "bootstrap". Arguments may be JSON
  // (bootstrap/json_arguments.h).
  Process CreateByName(LaunchOptions options, std::string_view target, std::vector<TypedValue> arguments) const;
  absl::StatusOr<Process> StartByName(const LaunchOptions& options, std::string_view target,
                                      std::vector<TypedValue> arguments) const;
  absl::StatusOr<CallResult> CallByName(const LaunchOptions& options, std::string_view target,
                                        std::vector<TypedValue> arguments) const;

  // As StartByName, but a child that could not be set up is a Process with the outcome SetupFailed: as Process::Launch.
  absl::StatusOr<Process> LaunchByName(const LaunchOptions& options, std::string_view target,
                                       std::vector<TypedValue> arguments) const;

  // Starts a program, as Process::Launch does. Forkserver: where the policy can have slots (docs/slots.md), and nothing is asked
  // for that only a sandbox of its own gives (TreeEnd::kWait, copies, violation_stack), in a sandbox of the server's that is
  // ready, which costs a fraction of making one; where the server cannot, in one of its own.
  // Returns when the program runs, or could not be set up. Errors: those of Process::Launch.
  absl::StatusOr<Process> Launch(const LaunchOptions& options) const;

  StartMethod method() const { return method_; }
  const ContextOptions& options() const { return options_; }

  // Forkserver: starts the server now, and waits until it has preloaded; else the first start does that. Nothing to do for
  // the other methods. Errors: FailedPrecondition (a preload failed: which one, and why), DeadlineExceeded.
  absl::Status StartServer() const;

  // Forkserver: as StartServer; tells what that took for each preload, in time and memory, and what became of freezing. Errors:
  // those of StartServer; FailedPrecondition (the start method has no server).
  absl::StatusOr<ServerReport> ReportServer() const;

 private:
  Process Make(LaunchOptions options, internal::FunctionStart start) const;

  StartMethod method_;
  ContextOptions options_;
};

namespace internal {

template <typename... Parameters, typename... Arguments>
std::vector<TypedValue> PackArguments(void (*)(Parameters...), Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "the target takes another number of arguments");
  if constexpr (sizeof...(Parameters) == sizeof...(Arguments)) {
    // What a parameter holds may be impossible to copy (a connection): it is packed where it stands.
    static_assert((std::convertible_to<Arguments&&, const Storage<Parameters>&> && ...),
                  "an argument does not convert to the target's parameter");
    std::vector<TypedValue> packed;
    packed.reserve(sizeof...(Arguments));
    (packed.push_back(Pack<Storage<Parameters>>(std::forward<Arguments>(arguments))), ...);
    return packed;
  }
}

}  // namespace internal

template <typename Returned, typename... Parameters, typename... Arguments>
absl::StatusOr<Process> Context::Create(LaunchOptions options, Returned (*function)(Parameters...),
                                        Arguments&&... arguments) const {
  BROOD_ASSIGN_OR_RETURN(const internal::TargetEntry* const entry,
                         internal::FindTarget(reinterpret_cast<internal::AnyFunction>(function)));
  constexpr void (*kParameters)(Parameters...) = nullptr;
  return CreateByName(std::move(options), entry->name,
                      internal::PackArguments(kParameters, std::forward<Arguments>(arguments)...));
}

}  // namespace brood

#endif  // BROOD_LAUNCHER_CONTEXT_H_
