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
// Arguments are checked at compile time, copied to the child, and released when the child runs. Both start methods give
// the same results; a forked child also sees the parent's memory as it was at the fork.
//
// Immutable, so that any thread may use it, but see StartMethod::kFork. Never throws, never logs.
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
#include "bootstrap/bootstrap.h"
#include "bootstrap/registry.h"
#include "bootstrap/target.h"
#include "launcher/launch_options.h"
#include "launcher/process.h"
#include "serialization/messages.h"
#include "serialization/value.h"

namespace brood {

// What a fork does when this process has more than one thread. Another thread may hold any lock at that moment, and
// the child waits for it for ever. fork(2), "NOTES".
enum class ForkWithThreads {
  kRefuse,          // FailedPrecondition.
  kCallerSaysSafe,  // The target uses nothing that another thread could have locked.
};

struct ContextOptions {
  // Spawn: the program that holds the targets and calls Bootstrap. Empty: this one. With another one, targets are
  // started by name, and are looked up in the child only.
  std::string executable;
  ForkWithThreads fork_with_threads = ForkWithThreads::kRefuse;
  uint64_t max_argument_bytes = uint64_t{64} << 20;  // All arguments of a call. More is InvalidArgument.
  uint64_t max_result_bytes = uint64_t{64} << 20;    // More is an error of the child's. At most 64 MiB.
  int log_level = 0;                                 // Handed to the child.
  std::vector<std::string> plugin_path;              // Likewise: where plugins are looked for.
};

// What a target that was started by name gave.
struct CallResult {
  Outcome outcome;
  std::optional<TypedValue> value;  // Nothing if it returns nothing, or did not end with exit code 0.
};

class Context {
 public:
  explicit Context(StartMethod method, ContextOptions options = {});

  // Starts `function` in a child; returns once it runs or could not be set up. Of `options`, argv is ignored; inherited
  // descriptors must not ask for the numbers 3, 4 and 5, which brood uses itself.
  //
  // Errors: those of Process::Start; FailedPrecondition (fork with several threads; spawn without Bootstrap in main;
  //   two targets of one name), InvalidArgument (arguments too large), NotFound (the function is not registered).
  template <typename Returned, typename... Parameters, typename... Arguments>
  absl::StatusOr<Process> Start(const LaunchOptions& options, Returned (*function)(Parameters...),
                                Arguments&&... arguments) const;
  template <typename Returned, typename... Parameters, typename... Arguments>
  absl::StatusOr<Process> Start(Returned (*function)(Parameters...), Arguments&&... arguments) const {
    return Start(LaunchOptions(), function, std::forward<Arguments>(arguments)...);
  }

  // As Start, then waits for the end and gives what the function returned: StatusOr<T> for T and StatusOr<T>, Status
  // for void, Status and ExitCode.
  //
  // Errors: those of Start; the function's own status; Unknown with "TYPE: MESSAGE" for an exception, its type and
  //   its stack in the payloads kExceptionTypeUrl and kStackTraceUrl; Aborted if the child ended in any other way (a
  //   signal, a limit, a violation, an exit code other than 0), saying which.
  template <typename Returned, typename... Parameters, typename... Arguments>
  auto Call(const LaunchOptions& options, Returned (*function)(Parameters...), Arguments&&... arguments) const
      -> std::conditional_t<std::is_void_v<typename internal::ReturnOf<Returned>::Value>, absl::Status,
                            absl::StatusOr<typename internal::ReturnOf<Returned>::Value>>;
  template <typename Returned, typename... Parameters, typename... Arguments>
  auto Call(Returned (*function)(Parameters...), Arguments&&... arguments) const {
    return Call(LaunchOptions(), function, std::forward<Arguments>(arguments)...);
  }

  // The same by the target's name: what is not checked by the compiler is checked in the child, which then fails with
  // the step "bootstrap".
  absl::StatusOr<Process> StartByName(const LaunchOptions& options, std::string_view target,
                                      std::vector<TypedValue> arguments) const;
  absl::StatusOr<CallResult> CallByName(const LaunchOptions& options, std::string_view target,
                                        std::vector<TypedValue> arguments) const;

  StartMethod method() const { return method_; }

 private:
  absl::StatusOr<Process> StartWithResult(const LaunchOptions& options, std::string_view target,
                                          std::vector<TypedValue> arguments, int result_fd) const;
  absl::StatusOr<Process> Spawn(LaunchOptions options, const PreparationData& preparation,
                                const ProcessData& process) const;
  absl::StatusOr<Process> Fork(LaunchOptions options, const PreparationData& preparation,
                               const ProcessData& process) const;

  StartMethod method_;
  ContextOptions options_;
};

// The payload of a status that stands for an exception in a child: the type's name, "std::runtime_error".
inline constexpr std::string_view kExceptionTypeUrl = "brood/exception-type";

// Likewise: the stack where it was thrown (or last rethrown), innermost first, one frame a line:
// "jobs::Parse() (program+0x1234)". At most 16 KiB; absent where the machine's unwinder is not known.
inline constexpr std::string_view kStackTraceUrl = "brood/stack-trace";

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
absl::StatusOr<Process> Context::Start(const LaunchOptions& options, Returned (*function)(Parameters...),
                                       Arguments&&... arguments) const {
  absl::StatusOr<const internal::TargetEntry*> entry =
      internal::FindTarget(reinterpret_cast<internal::AnyFunction>(function));
  if (!entry.ok()) return entry.status();
  constexpr void (*kParameters)(Parameters...) = nullptr;
  return StartByName(options, (*entry)->name,
                     internal::PackArguments(kParameters, std::forward<Arguments>(arguments)...));
}

template <typename Returned, typename... Parameters, typename... Arguments>
auto Context::Call(const LaunchOptions& options, Returned (*function)(Parameters...), Arguments&&... arguments) const
    -> std::conditional_t<std::is_void_v<typename internal::ReturnOf<Returned>::Value>, absl::Status,
                          absl::StatusOr<typename internal::ReturnOf<Returned>::Value>> {
  absl::StatusOr<const internal::TargetEntry*> entry =
      internal::FindTarget(reinterpret_cast<internal::AnyFunction>(function));
  if (!entry.ok()) return entry.status();
  constexpr void (*kParameters)(Parameters...) = nullptr;
  absl::StatusOr<CallResult> result =
      CallByName(options, (*entry)->name, internal::PackArguments(kParameters, std::forward<Arguments>(arguments)...));
  if (!result.ok()) return result.status();
  if (!result->outcome.ok()) return absl::AbortedError(result->outcome.ToString());
  using Value = typename internal::ReturnOf<Returned>::Value;
  if constexpr (std::is_void_v<Value>) {
    return absl::OkStatus();
  } else {
    if (!result->value.has_value()) return absl::AbortedError("the target exited without returning its value");
    return Unpack<Value>(*result->value);
  }
}

}  // namespace brood

#endif  // BROOD_LAUNCHER_CONTEXT_H_
