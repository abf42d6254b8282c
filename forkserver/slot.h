// A slot as the supervisor has it: a sandbox that is set up once, for one keeper after the other's children. What it is made
// of is its maker's to know (launcher/slot_linux.cc).
#ifndef BROOD_FORKSERVER_SLOT_H_
#define BROOD_FORKSERVER_SLOT_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace brood::internal {

// What a keeper is sent to enter it: a child::SlotEntry and its descriptors, which are borrowed from the slot.
struct SlotOrder {
  std::string bytes;
  std::vector<int> fds;
};

class Slot {
 public:
  // Both its init and its keeper have been reaped.
  virtual ~Slot() = default;

  // Ends it, and all that runs in it.
  virtual void End() = 0;

  virtual int ready_fd() const = 0;  // Readable once it is set up, or could not be.
  virtual pid_t pid() const = 0;     // Of its init, a child of the supervisor's.

  virtual bool fresh() const { return false; }  // It is for one child alone.

  // Once ready_fd() is readable. `keeper` is the process that is to enter. Errors: what could not be set up, step and errno.
  virtual absl::StatusOr<SlotOrder> Finish(pid_t keeper) = 0;

  // The order of Finish is of no more use.
  virtual void Entered() = 0;

  // Readable when its keeper has used up something that is made for each child; Refill makes it anew. -1: there is nothing like it.
  // False: that could not be done, or the keeper is gone. It has no child any more.
  virtual int used_fd() const { return -1; }
  virtual bool Refill() { return false; }
};

// Begins to set up what `plan` describes. `number` is not 0, and that of no other living slot. Errors: InvalidArgument or
// DataLoss (no plan), what could not be done.
using SlotMaker = absl::StatusOr<std::unique_ptr<Slot>> (*)(std::string_view plan, uint32_t number);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_SLOT_H_
