// What each child changes of the C library's own state, moved from where the library has it to the data of the program, to which
// each child writes anyway: three pages fewer that a child copies.
#ifndef BROOD_FORKSERVER_NEAR_STATE_H_
#define BROOD_FORKSERVER_NEAR_STATE_H_

#include <cstddef>

namespace brood::internal {

// In a server, when nothing of a preload's runs any more, before anything is frozen.
//
// The state of random(3) is one that initstate(3) gives it, unless a preload has given it another one. So is the list of the
// environment, unless it is long.
void MoveStateNear();

// In a child, before anything else of this kind: as SeedRandom(RandomSeed()) of bootstrap/run_child.h.
void SeedNearRandom();

// In a child: room for the list of its environment, `count` pointers with the null at the end, which is what `environ` points to.
// Null: there is none.
char** NearEnvironment(size_t count);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_NEAR_STATE_H_
