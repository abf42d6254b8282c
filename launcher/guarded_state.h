// What a Process holds on Linux besides: its child's guardian.
#ifndef BROOD_LAUNCHER_GUARDED_STATE_H_
#define BROOD_LAUNCHER_GUARDED_STATE_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "launcher/copy/copies.h"
#include "launcher/launch_record.h"
#include "launcher/light_guardian.h"
#include "launcher/outcome.h"
#include "launcher/process_state.h"

namespace brood::internal {

// How a child is spoken with that has no guardian, but a keeper of this process's own: leased_child.h. Guarded by the mutex of the
// state that has it, but for AwaitStart, during which nobody else knows that yet. Destroyed: the child is ended, if it lives.
class ChildLink {
 public:
  virtual ~ChildLink() = default;

  // The socket over which the child says why its program cannot be run; its end, that it runs.
  virtual void TakeSetup(UniqueFd setup) = 0;

  // The word that its target awaits: LaunchTarget::awaits_word.
  virtual void SendWord() = 0;

  // Waits until the program runs, or `sentinel` is readable, or it has taken too long to be a program's start, and is killed.
  virtual void AwaitStart(int sentinel) = 0;

  virtual bool started() const = 0;
  virtual int pid() = 0;

  // Errors: what send(2) says; none if it has ended.
  virtual absl::Status Signal(int signal, bool group) = 0;
  virtual absl::Status Kill() = 0;

  // Should the keeper be stopped, which only somebody outside can do.
  virtual void Continue() const = 0;

  // What there is to tell once `sentinel` is readable. False: the keeper was killed, and the child with it.
  virtual bool ReadEnd(int sentinel, GuardianReport* report) = 0;
};

// Every ProcessState is one. The mutex of that guards this too.
struct GuardedState : ProcessState {
  pid_t guardian = -1;      // -1 once it is reaped; 0 where that is the forkserver's task.
  bool served = false;
  // Of a child that `brood serve` has started: takes its outcome from the sentinel.
  std::function<Outcome(int sentinel)> read_outcome;
  std::unique_ptr<ChildLink> link;      // Instead of `control`.
  std::function<void(UniqueFd keeper)> take_keeper;  // Of the keeper that bore it, should the supervisor pass that on.
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
