// What a Process holds, and what is done with it: process_state_linux.cc, process_state_windows.cc. For the files of launcher/ only.
//
// Functions may be called from several threads at once, in the process that started the child.
#ifndef BROOD_LAUNCHER_PROCESS_STATE_H_
#define BROOD_LAUNCHER_PROCESS_STATE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fork_generation.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/outcome.h"
#include "serialization/messages.h"

namespace brood {
class Process;

namespace internal {

struct ProcessState {
  const uint64_t creator = ForkGeneration();  // A fork has copies of this, and of numbers that are not its descriptors.
  std::string name;
  bool daemon = false;
  std::shared_ptr<const CompiledPolicy> policy;
  absl::Time start;

  // Guards what follows. Not held while waiting.
  std::mutex mutex;
  int waiting = 0;          // Threads that wait for the sentinel now, so that its number must not pass to another file.
  UniqueFd sentinel;        // Ready when the child has ended.
  UniqueFd terminal;        // The child's end of its own, if it has one.
  bool has_terminal = false;
  UniqueFd captured[2];     // What captured streams are kept in.
  UniqueFd result_memory;   // Where a function leaves its result; gone once it is read.
  uint64_t max_result_bytes = 0;
  int pid = 0;
  bool started = false;
  bool killed = false;      // Whoever waits keeps a guardian from being stopped until it has done that.
  bool closed = false;
  std::optional<Outcome> outcome;
  bool is_function = false;
  absl::StatusOr<std::optional<Result>> result = std::nullopt;

  virtual ~ProcessState() = default;  // What is derived kills the tree of a child that still runs, and reaps it.
};

// A process that was made and not started.
struct Unstarted {
  const uint64_t creator = ForkGeneration();
  LaunchOptions options;
  std::function<absl::StatusOr<Process>(const LaunchOptions&)> launch;
};

// As Process::Launch. Errors: those of Process::Start.
absl::StatusOr<std::shared_ptr<ProcessState>> LaunchProgram(const LaunchOptions& options);

// What a Process is made of, and what it was made of. The second is for one that was started.
Process ProcessOf(std::shared_ptr<ProcessState> state);
std::shared_ptr<ProcessState> StateOf(Process& process);

// What `process`, a function, returns will be in `result`, and of so many bytes at most. Before anybody waits for it.
void ExpectResult(Process& process, UniqueFd result, uint64_t max_result_bytes);

// Waits until the function that `process` was made for runs. Errors: those of Process::Start.
absl::Status AwaitFunction(Process& process);

// Waits until the child has ended, whose outcome is then known, or `timeout` has passed.
bool HasEnded(ProcessState& state, absl::Duration timeout);

// Not an error if it has ended already.
absl::Status SignalTarget(ProcessState& state, int signal);
absl::Status SignalGroup(ProcessState& state, int signal);
absl::Status KillTree(ProcessState& state);

// As Process::ResizeTerminal.
absl::Status ResizeTerminal(ProcessState& state, uint16_t rows, uint16_t columns);

int PidOf(ProcessState& state);

// Should it be stopped. signal(7), SIGCONT
void ContinueGuardian(const ProcessState& state);

// Waits until a served child has a guardian, or has ended, or `timeout` has passed: false then. As AwaitStarted otherwise.
bool AwaitGuardian(ProcessState& state, absl::Duration timeout);

// Waits until the target runs; nobody else may know the state yet. Errors: that of Process::Start.
absl::Status AwaitStarted(ProcessState& state);

// Frees the descriptors that only a running child needs, once nobody waits on them.
void ReleaseSentinel(ProcessState& state);

// A descriptor of what was captured, at its beginning, once the child has ended; that of stdout is 0.
UniqueFd TakeCaptured(ProcessState& state, int stream);

// A descriptor that is readable for ever: the sentinel of those that were joined.
int EndedSentinel();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_LAUNCHER_PROCESS_STATE_H_
