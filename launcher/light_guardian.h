// A guardian that shares the caller's memory instead of having a copy of it, for a function that is not sandboxed.
//
// Such a launch would fork three times: guardian, init, target. Each copies the page tables of the caller, and as long
// as the guardian lives the caller pays a fault for each page that it writes. Nothing of that is needed where there is
// neither a sandbox to set up nor one to protect: here the only copy is a forked target's, which is what a bare fork(2)
// costs, and one that is spawned borrows the memory until its exec, as by vfork(2).
//
// The guardian is a process of its own in all other things (descriptors, signals, credentials, parenthood) and outlives
// the caller: the kernel keeps the memory for it. clone(2), CLONE_VM. Not so if the kernel kills the caller for lack of
// memory, which ends all that share it (mm/oom_kill.c, __oom_kill_process()); the target goes with its guardian then, what
// it has started does not: for programs there is an init that sees to it. It has a stack and a thread pointer of its own,
// so that neither errno nor the stack's canary are the calling thread's. It runs child-safe code only, which writes to no
// static memory (guardian_child.h).
#ifndef BROOD_LAUNCHER_LIGHT_GUARDIAN_H_
#define BROOD_LAUNCHER_LIGHT_GUARDIAN_H_

#include <sys/types.h>

#include <cstddef>

#include "absl/status/statusor.h"
#include "launcher/launch_record.h"

namespace brood::internal {

// What a light guardian runs on. Must live until it is reaped. Moves, so that the owner can be handed on.
class LightMemory {
 public:
  LightMemory() = default;
  LightMemory(LightMemory&& other) noexcept;
  LightMemory& operator=(LightMemory&& other) noexcept;
  LightMemory(const LightMemory&) = delete;
  LightMemory& operator=(const LightMemory&) = delete;
  ~LightMemory();

  // Errors: mmap's.
  static absl::StatusOr<LightMemory> Create();

  void* begin() const { return begin_; }
  static size_t size();

 private:
  void* begin_ = nullptr;
};

// False where nobody wrote it for this processor yet, or a sanitizer keeps state for each thread that it knows.
bool LightGuardiansWork();

struct LightGuardian {
  pid_t pid = -1;  // Or a negative errno value.
  int pidfd = -1;
};

// Starts it and returns once the target is forked or executed. `record` may go then. Call with all signals blocked. In a
// forked target, a copy of this process in which the calling thread goes on as after fork(3), it does not return.
LightGuardian StartLightGuardian(const LaunchRecord& record, const LightMemory& memory);

// The guardian may leave as soon as it has reported, see guardian_end_child.h.
void LetLightGuardianGo(const LightMemory& memory);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_LIGHT_GUARDIAN_H_
