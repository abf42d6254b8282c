// Guardians, inits and keepers wait, for the end of a child or for a limit. When that comes they are to run at once,
// though hundreds of processes of that child want the processor, too.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_BASE_WAKE_SOON_CHILD_H_
#define BROOD_BASE_WAKE_SOON_CHILD_H_

namespace brood::child {

enum class BornLater {
  kNobody,     // The thread forks nobody any more.
  kAsWeWere,   // Whom it forks has what it had itself before this.
};

// Asks for the shortest time slices, of 100 us: no more of the processor in all, but each slice as soon as it is wanted. From Linux 6.12
// on; else nothing changes, nor where the thread has a scheduling of its own. Documentation/scheduler/sched-eevdf.rst
void WakeSoon(BornLater children);

}  // namespace brood::child

#endif  // BROOD_BASE_WAKE_SOON_CHILD_H_
