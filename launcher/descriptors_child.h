// Moves and closes descriptors so that each process of a launch holds exactly what it needs.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_DESCRIPTORS_CHILD_H_
#define BROOD_LAUNCHER_DESCRIPTORS_CHILD_H_

#include "launcher/launch_record.h"

namespace brood::child {

// In the guardian: moves every descriptor of the record above the numbers that the child will use and closes all
// others, which are copies of whatever the caller had open. Returns 0 or an errno value.
int TakeDescriptors(LaunchRecord* record);

// In init: closes what is the guardian's alone. Returns 0 or an errno value.
int KeepInitDescriptors(const LaunchRecord& record);

// In init: gives the child's descriptors their numbers, without close-on-exec, and closes every other number,
// but for that of `kept`. Returns 0 or an errno value.
int PlaceChildDescriptors(const LaunchRecord& record, int kept = -1);

// Closes everything but the `count` numbers in `keep`. Returns 0 or an errno value: something may be open then that a
// child must not have.
int CloseAllBut(const int* keep, size_t count);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_DESCRIPTORS_CHILD_H_
