#include "ipc/unit_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood::internal {
namespace {

// Units that were taken; 0 for an entry that has given back more.
uint64_t Taken(uint64_t units) { return static_cast<int64_t>(units) > 0 ? units : 0; }

}  // namespace

UnitTable::Entry* UnitTable::Find(Member& self) {
  Block& current = block();
  // Where it was last time; another process may have got that entry when its units were 0.
  Entry& last = current.entries[self.unit_entry.load(std::memory_order_relaxed) % kEntries];
  if (last.id.load(std::memory_order_relaxed) == self.id) return &last;
  Entry* free = nullptr;
  for (Entry& entry : current.entries) {
    const uint64_t id = entry.id.load(std::memory_order_relaxed);
    if (id == self.id) {
      self.unit_entry.store(static_cast<uint32_t>(&entry - current.entries), std::memory_order_relaxed);
      return &entry;
    }
    if (free == nullptr && (id == 0 || entry.units.load(std::memory_order_relaxed) == 0)) free = &entry;
  }
  if (free == nullptr) return nullptr;
  self.unit_entry.store(static_cast<uint32_t>(free - current.entries), std::memory_order_relaxed);
  free->units.store(0, std::memory_order_relaxed);
  free->id.store(self.id, std::memory_order_release);
  return free;
}

absl::Status UnitTable::Add(const Region& region, Member& self, int64_t units, DeadUnits dead) {
  Entry* entry = Find(self);
  if (entry == nullptr) {
    BROOD_RETURN_IF_ERROR(Settle(region, dead));
    entry = Find(self);
  }
  if (entry == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("use ", KindName(region.kind()), ": ", kEntries,
                     " processes have units of it, which is the most it can tell apart; "
                     "if they are dead, call Recover()"));
  }
  entry->units.store(entry->units.load(std::memory_order_relaxed) + static_cast<uint64_t>(units),
                     std::memory_order_release);
  return absl::OkStatus();
}

uint64_t UnitTable::Sum() const {
  const Block& current = block();
  uint64_t sum = current.settled.load(std::memory_order_relaxed);
  for (const Entry& entry : current.entries) {
    if (entry.id.load(std::memory_order_relaxed) != 0) sum += entry.units.load(std::memory_order_relaxed);
  }
  return sum;
}

absl::StatusOr<uint64_t> UnitTable::TakenByDead(const Region& region, uint64_t limit) const {
  uint64_t taken = 0;
  for (const Entry& entry : block().entries) {
    if (taken >= limit) break;
    const uint64_t id = entry.id.load(std::memory_order_relaxed);
    const uint64_t units = Taken(entry.units.load(std::memory_order_relaxed));
    if (id == 0 || units == 0) continue;
    BROOD_ASSIGN_OR_RETURN(const bool alive, region.IsAlive(id));
    if (!alive) taken += std::min(units, limit - taken);
  }
  return taken;
}

absl::StatusOr<uint64_t> UnitTable::GiveBackOfDead(const Region& region, uint64_t limit) {
  uint64_t given = 0;
  for (Entry& entry : block().entries) {
    if (given >= limit) break;
    const uint64_t id = entry.id.load(std::memory_order_relaxed);
    const uint64_t units = Taken(entry.units.load(std::memory_order_relaxed));
    if (id == 0 || units == 0) continue;
    BROOD_ASSIGN_OR_RETURN(const bool alive, region.IsAlive(id));
    if (alive) continue;
    const uint64_t back = std::min(units, limit - given);
    entry.units.store(units - back, std::memory_order_release);
    given += back;
  }
  return given;
}

absl::Status UnitTable::Settle(const Region& region, DeadUnits dead) {
  const uint32_t now = active_.load(std::memory_order_relaxed) & 1;
  const Block& from = blocks_[now];
  Block& to = blocks_[1 - now];
  uint64_t settled = from.settled.load(std::memory_order_relaxed);
  uint32_t kept = 0;
  for (const Entry& entry : from.entries) {
    const uint64_t id = entry.id.load(std::memory_order_relaxed);
    const uint64_t units = entry.units.load(std::memory_order_relaxed);
    if (id == 0 || units == 0) continue;
    BROOD_ASSIGN_OR_RETURN(const bool alive, region.IsAlive(id));
    if (alive || (dead == DeadUnits::kKeep && Taken(units) > 0)) {
      to.entries[kept].id.store(id, std::memory_order_relaxed);
      to.entries[kept++].units.store(units, std::memory_order_relaxed);
    } else {
      settled += units;
    }
  }
  for (uint32_t i = kept; i < kEntries; ++i) {
    to.entries[i].id.store(0, std::memory_order_relaxed);
    to.entries[i].units.store(0, std::memory_order_relaxed);
  }
  to.settled.store(settled, std::memory_order_relaxed);
  active_.store(1 - now, std::memory_order_release);
  return absl::OkStatus();
}

}  // namespace brood::internal
