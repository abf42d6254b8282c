// What a Process holds, and what is done with it. For the files of launcher/ only.
//
// Functions may be called from several threads at once, in the process that started the child.
#ifndef BROOD_LAUNCHER_PROCESS_STATE_H_
#define BROOD_LAUNCHER_PROCESS_STATE_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fork_generation.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/launch_record.h"
#include "launcher/light_guardian.h"
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
  int waiting = 0;          // Threads that poll the sentinel now, so that its number must not pass to another file.
  pid_t guardian = -1;      // -1 once it is reaped; 0 where that is the forkserver's task.
  bool served = false;
  bool let_go = false;      // The guardian knows that it will be reaped.
  UniqueFd guardian_fd;     // Its pidfd.
  LightMemory light_memory; // What it runs on, if it has no memory of its own.
  UniqueFd control;         // Our end of the guardian's socket; closing it ends the child.
  UniqueFd init_fd;         // pidfd of the child's init, once that is born; for the case that the guardian is killed.
  std::vector<std::string> cgroups;  // Paths, for the same case.
  UniqueFd sentinel;        // Read end of the pipe for the final report.
  UniqueFd captured[2];     // memfds of captured streams.
  UniqueFd result_memory;   // Where a function leaves its result; gone once it is read.
  uint64_t max_result_bytes = 0;
  pid_t pid = 0;
  bool started = false;
  bool killed = false;      // Whoever waits keeps the guardian from being stopped until it has done that.
  bool closed = false;
  std::optional<Outcome> outcome;
  bool is_function = false;
  absl::StatusOr<std::optional<Result>> result = std::nullopt;

  ~ProcessState();  // Kills the tree of a child that still runs, and reaps it.
};

// A process that was made and not started.
struct Unstarted {
  const uint64_t creator = ForkGeneration();
  LaunchOptions options;
  std::function<absl::StatusOr<Process>(const LaunchOptions&)> launch;
};

// Waits until the child has ended, whose outcome is then known, or `timeout` has passed.
bool HasEnded(ProcessState& state, absl::Duration timeout);

absl::Status Command(ProcessState& state, GuardianCommand::Kind kind, int signal);

pid_t PidOf(ProcessState& state);

// Waits until a served child has a guardian, or has ended, or `timeout` has passed: false then. As AwaitStarted otherwise.
bool AwaitGuardian(ProcessState& state, absl::Duration timeout);

// Waits until the target runs; nobody else may know the state yet. Errors: that of Process::Start.
absl::Status AwaitStarted(ProcessState& state);

// Frees the descriptors that only a running child needs, once nobody waits on them.
void ReleaseSentinel(ProcessState& state);

// A descriptor that is readable for ever: the sentinel of those that were joined.
int EndedSentinel();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_LAUNCHER_PROCESS_STATE_H_
