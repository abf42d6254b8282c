// The init of a slot: sets the sandbox up as that of one child does (init_child.h), starts nothing, and keeps it for those
// that a keeper bears in it (forkserver/slot_child.h).
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_SLOT_INIT_CHILD_H_
#define BROOD_LAUNCHER_SLOT_INIT_CHILD_H_

#include "launcher/launch_record.h"

namespace brood::child {

// The descriptors of its kStarted message: its children's list, its namespaces (user first, mount last), and of each tmpfs of
// the plan but the root its folder, and those folders that were made in it for what is mounted there; then the folder of POSIX message queues, and the counters of network interfaces, where the
// record asks for them.
inline constexpr int kSlotListPlace = 0;
inline constexpr int kSlotNamespacesPlace = 1;

// How many namespaces of the plan a keeper has to enter.
int SlotNamespaces(const ChildPlan& plan);

// The folder of the POSIX message queues of this ipc namespace: -1 with `failure` filled. While we have the rights for it.
// mq_overview(7), "Mounting the message queue filesystem"
int OpenQueues(SetupMessage* failure);

// Says so and serves, until the other end is closed: for each byte it kills all others of its pid namespace, waits for their
// end as far as they are its children, and answers with a byte.
[[noreturn]] void RunSlotInit(const LaunchRecord& record, int queues);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_SLOT_INIT_CHILD_H_
