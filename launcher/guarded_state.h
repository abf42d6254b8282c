// What a Process holds on Linux besides: its child's guardian.
#ifndef BROOD_LAUNCHER_GUARDED_STATE_H_
#define BROOD_LAUNCHER_GUARDED_STATE_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "launcher/copy/copies.h"
#include "launcher/light_guardian.h"
#include "launcher/outcome.h"
#include "launcher/process_state.h"

namespace brood::internal {

// Every ProcessState is one. The mutex of that guards this too.
struct GuardedState : ProcessState {
  pid_t guardian = -1;      // -1 once it is reaped; 0 where that is the forkserver's task.
  bool served = false;
  // Of a child that `brood serve` has started: takes its outcome from the sentinel.
  std::function<Outcome(int sentinel)> read_outcome;
  bool let_go = false;      // The guardian knows that it will be reaped.
  UniqueFd guardian_fd;     // Its pidfd.
  LightMemory light_memory; // What it runs on, if it has no memory of its own.
  UniqueFd control;         // Our end of the guardian's socket; closing it ends the child.
  UniqueFd word;            // To the target, while that awaits it; see LaunchTarget::awaits_word.
  UniqueFd init_fd;         // pidfd of the child's init, once that is born; for the case that the guardian is killed.
  UniqueFd stack_memory;    // For the snapshot of a violation; see stack/snapshot.h.
  Copies copies;
  std::vector<std::string> cgroups;  // Paths, for the same case.

  ~GuardedState() override;
};

// Should it be stopped. signal(7), SIGCONT
void ContinueGuardian(const GuardedState& state);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_GUARDED_STATE_H_
