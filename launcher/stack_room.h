// Whether there is stack enough to start a child.
#ifndef BROOD_LAUNCHER_STACK_ROOM_H_
#define BROOD_LAUNCHER_STACK_ROOM_H_

#include "absl/status/status.h"

namespace brood::internal {

// A guardian and an init go on where their caller's stack is, and the limit of that is theirs. Where it ends they would, by a SIGSEGV of
// which nobody could tell the reason.
//
// Errors: FailedPrecondition, with what to do. Of a thread that is not the first nothing is known.
absl::Status CheckStackRoom();

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_STACK_ROOM_H_
