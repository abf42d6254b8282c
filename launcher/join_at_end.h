// Non-daemon children are waited for when the process that brood started for a target ends, as in Python.
#ifndef BROOD_LAUNCHER_JOIN_AT_END_H_
#define BROOD_LAUNCHER_JOIN_AT_END_H_

namespace brood::internal {

// Notes a running, non-daemon child by its sentinel until EndJoin is called with it. The first call of a process adds a
// finalizer (priority -100: after the user's own) that waits for all that are left. Thread-safe.
void BeginJoin(int sentinel);
void EndJoin(int sentinel);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOIN_AT_END_H_
