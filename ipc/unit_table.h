// Who has taken how many units of something, in shared memory: what a dead process took can be told, and given back.
//
// Each member has an entry: units taken minus units given back, which is negative for one that only gives. The entry is
// changed by one store, which is also what makes an operation happen: what else is known of the units (a semaphore's
// value) is the sum of the entries, and is computed again after a death. All functions are called inside a Monitor.
#ifndef BROOD_IPC_UNIT_TABLE_H_
#define BROOD_IPC_UNIT_TABLE_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ipc/region.h"

namespace brood::internal {

class UnitTable {
 public:
  // Entries with units of living processes, and of dead ones that nobody has recovered.
  static constexpr uint32_t kEntries = 1024;

  // What becomes of the units that a dead process has taken, when room is needed for another process.
  enum class DeadUnits { kKeep, kForget };

  // Adds `units` (negative: gives back) to the entry of `self`. Errors: ResourceExhausted (no entry is free).
  absl::Status Add(const Region& region, Member& self, int64_t units, DeadUnits dead);

  // All entries together, modulo 2^64: a hostile process may have written anything.
  uint64_t Sum() const;

  // Units that dead processes have taken, at most `limit`.
  absl::StatusOr<uint64_t> TakenByDead(const Region& region, uint64_t limit) const;

  // Gives those back; how many.
  absl::StatusOr<uint64_t> GiveBackOfDead(const Region& region, uint64_t limit);

 private:
  struct Entry {
    std::atomic<uint64_t> id;     // 0: free.
    std::atomic<uint64_t> units;  // Two's complement. 0: may be given to another id.
  };
  struct Block {
    std::atomic<uint64_t> settled;  // Of processes that are gone.
    Entry entries[kEntries];
  };

  Block& block() { return blocks_[active_.load(std::memory_order_acquire) & 1]; }
  const Block& block() const { return blocks_[active_.load(std::memory_order_acquire) & 1]; }
  Entry* Find(Member& self);
  absl::Status Settle(const Region& region, DeadUnits dead);

  // Settling writes the other block and then switches to it: one store.
  std::atomic<uint32_t> active_;
  Block blocks_[2];
};

}  // namespace brood::internal

#endif  // BROOD_IPC_UNIT_TABLE_H_
