// What a Process holds. Shared by process_linux.cc and launch_linux.cc only.
#ifndef BROOD_LAUNCHER_PROCESS_STATE_H_
#define BROOD_LAUNCHER_PROCESS_STATE_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fork_generation.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/launch_record.h"
#include "launcher/outcome.h"

namespace brood::internal {

struct ProcessState {
  uint64_t owner = ForkGeneration();  // A fork has copies of this, and of numbers that are not its descriptors.
  std::string name;
  bool daemon = false;
  std::shared_ptr<const CompiledPolicy> policy;
  pid_t guardian = -1;    // -1 once it is reaped.
  UniqueFd guardian_fd;   // Its pidfd.
  UniqueFd control;       // Our end of the guardian's socket; closing it ends the child.
  UniqueFd sentinel;      // Read end of the pipe for the final report.
  UniqueFd init_fd;       // pidfd of the child's init, once it has started; for the case that the guardian is killed.
  std::vector<std::string> cgroups;  // Paths, for the same case.
  UniqueFd captured[2];   // memfds of captured streams.
  absl::Time start;
  pid_t pid = 0;
  bool started = false;
  std::optional<Outcome> outcome;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_PROCESS_STATE_H_
