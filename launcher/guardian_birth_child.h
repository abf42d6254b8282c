// The guardian's first half: it makes the init and gives it what only the outside can give.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_GUARDIAN_BIRTH_CHILD_H_
#define BROOD_LAUNCHER_GUARDIAN_BIRTH_CHILD_H_

#include <sys/types.h>

#include "launcher/guardian_child.h"
#include "launcher/launch_record.h"

namespace brood::child {

struct InitProcess {
  pid_t pid = -1;
  int pidfd = -1;
  uint32_t outside_id = 0;
};

// Makes the caller of this function a proper guardian: default signal dispositions, subreaper, own descriptors only.
bool BecomeGuardian(LaunchRecord* record, SetupMessage* failure);

// Makes the target itself, for a launch that needs no init: there is nothing to set up that only the inside can.
bool StartLightTarget(LaunchRecord* record, const LightBirth& birth, InitProcess* target, SetupMessage* failure);

// Clones the init into its namespaces, maps its ids, puts it into its cgroups and sends it on its way. The caller may be any
// process with one thread, all signals blocked.
bool BearInit(LaunchRecord* record, InitProcess* init, SetupMessage* failure);

// As BearInit, for a guardian, which keeps nothing of the child then.
bool StartInit(LaunchRecord* record, InitProcess* init, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_GUARDIAN_BIRTH_CHILD_H_
