// Sets slots up, in the supervisor of a forkserver: an init (slot_init_child.h) with cgroups and mounts, as a guardian would.
#ifndef BROOD_LAUNCHER_SLOT_H_
#define BROOD_LAUNCHER_SLOT_H_

#include "forkserver/slot.h"

namespace brood::internal {

// A SlotMaker; `plan` is what EncodeSlot gives.
absl::StatusOr<std::unique_ptr<Slot>> MakeSlot(std::string_view plan, uint32_t number);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SLOT_H_
