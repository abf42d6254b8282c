#include "ipc/semaphore.h"

#include <atomic>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/futex.h"
#include "ipc/monitor.h"
#include "ipc/turn.h"
#include "ipc/unit_table.h"

namespace brood {
namespace internal {

struct SemaphoreMemory {
  OwnedWord word;
  Turn units;                   // Some have come.
  std::atomic<uint64_t> value;  // Initial minus the sum of the table.
  UnitTable table;
};

}  // namespace internal

using internal::Deadline;
using internal::Monitor;
using internal::Region;
using internal::RegionKind;
using internal::SemaphoreMemory;
using internal::UnitTable;

namespace {

// parameters: [0] the initial value, [1] whether that is the most.
uint64_t Initial(const Region& region) { return region.parameters()[0]; }

// The units that are neither free nor announced later: only those can be a dead process's.
uint64_t Missing(const Region& region, uint64_t value) { return Initial(region) > value ? Initial(region) - value : 0; }

// Inside the monitor.
absl::StatusOr<uint64_t> CheckedValue(const Region& region, SemaphoreMemory& memory, const Monitor& monitor) {
  if (monitor.took_over()) memory.value.store(Initial(region) - memory.table.Sum(), std::memory_order_relaxed);
  const uint64_t value = memory.value.load(std::memory_order_relaxed);
  if (value > Semaphore::kMaxValue) {
    return absl::DataLossError(absl::StrCat("use semaphore: another process damaged it; its value is ", value));
  }
  return value;
}

absl::Status Change(const Region& region, SemaphoreMemory& memory, const Monitor& monitor, uint64_t value,
                    int64_t taken) {
  // Where nothing is missing, what the dead took were announcements.
  const auto dead = Missing(region, value) > 0 ? UnitTable::DeadUnits::kKeep : UnitTable::DeadUnits::kForget;
  BROOD_RETURN_IF_ERROR(memory.table.Add(region, monitor.self(), taken, dead));
  memory.value.store(value - static_cast<uint64_t>(taken), std::memory_order_relaxed);
  return absl::OkStatus();
}

}  // namespace

template <bool kBounded>
absl::StatusOr<BasicSemaphore<kBounded>> BasicSemaphore<kBounded>::Create(uint32_t initial) {
  if (initial > kMaxValue) {
    return absl::InvalidArgumentError(absl::StrCat("create semaphore: ", initial, " is more than ", kMaxValue));
  }
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region,
                         Region::Create(RegionKind::kSemaphore, {initial, kBounded}, sizeof(SemaphoreMemory)));
  auto* memory = region->PayloadAs<SemaphoreMemory>();
  memory->value.store(initial, std::memory_order_relaxed);
  return BasicSemaphore(std::move(region), memory);
}

template <bool kBounded>
absl::StatusOr<BasicSemaphore<kBounded>> BasicSemaphore<kBounded>::FromDescriptor(UniqueFd fd) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Attach(std::move(fd), RegionKind::kSemaphore));
  BROOD_ASSIGN_OR_RETURN(auto* memory, internal::CheckedPayload<SemaphoreMemory>(*region));
  if ((region->parameters()[1] != 0) != kBounded) {
    return absl::InvalidArgumentError(kBounded ? "expected bounded_semaphore, got semaphore"
                                               : "expected semaphore, got bounded_semaphore");
  }
  if (Initial(*region) > kMaxValue)
    return absl::InvalidArgumentError("attach to semaphore: its initial value is damaged");
  return BasicSemaphore(std::move(region), memory);
}

template <bool kBounded>
absl::StatusOr<UniqueFd> BasicSemaphore<kBounded>::Descriptor() const {
  if (region_ == nullptr) return internal::NoRegion("semaphore");
  return region_->Descriptor();
}

template <bool kBounded>
absl::Status BasicSemaphore<kBounded>::Acquire(absl::Duration timeout) const {
  if (region_ == nullptr) return internal::NoRegion("semaphore");
  const Deadline deadline(timeout);
  internal::Slices slices(deadline);
  for (;;) {
    BROOD_ASSIGN_OR_RETURN(Monitor monitor, Monitor::Enter(*region_, memory_->word, deadline));
    BROOD_ASSIGN_OR_RETURN(const uint64_t value, CheckedValue(*region_, *memory_, monitor));
    if (value > 0) return Change(*region_, *memory_, monitor, value, 1);
    const bool last_look = deadline.passed();
    if (last_look || !slices.first()) {
      BROOD_ASSIGN_OR_RETURN(const uint64_t lost, memory_->table.TakenByDead(*region_, Missing(*region_, value)));
      if (lost > 0) {
        return absl::AbortedError(absl::StrCat("acquire semaphore: none is free, and processes that died hold ", lost,
                                               "; call Recover() to give these back"));
      }
    }
    if (last_look) return absl::DeadlineExceededError("acquire semaphore: none is free");
    const uint32_t seen = memory_->units.Prepare();
    monitor.Leave();
    BROOD_RETURN_IF_ERROR(memory_->units.Sleep(seen, slices));
  }
}

template <bool kBounded>
absl::Status BasicSemaphore<kBounded>::Release(uint32_t units) const {
  if (region_ == nullptr) return internal::NoRegion("semaphore");
  if (units == 0) return absl::InvalidArgumentError("release semaphore: 0 units");
  BROOD_ASSIGN_OR_RETURN(Monitor monitor, Monitor::Enter(*region_, memory_->word, Deadline(absl::InfiniteDuration())));
  BROOD_ASSIGN_OR_RETURN(const uint64_t value, CheckedValue(*region_, *memory_, monitor));
  const uint64_t most = kBounded ? Initial(*region_) : kMaxValue;
  if (value + units > most) {
    return absl::FailedPreconditionError(
        absl::StrCat("release semaphore: ", units, " more than the ", value, " that are free would exceed ", most));
  }
  BROOD_RETURN_IF_ERROR(Change(*region_, *memory_, monitor, value, -static_cast<int64_t>(units)));
  const bool wake = memory_->units.Advance();
  monitor.Leave();
  if (wake) memory_->units.Wake(static_cast<int>(units));
  return absl::OkStatus();
}

template <bool kBounded>
absl::StatusOr<uint32_t> BasicSemaphore<kBounded>::Recover() const {
  if (region_ == nullptr) return internal::NoRegion("semaphore");
  BROOD_ASSIGN_OR_RETURN(Monitor monitor, Monitor::Enter(*region_, memory_->word, Deadline(absl::InfiniteDuration())));
  BROOD_ASSIGN_OR_RETURN(const uint64_t value, CheckedValue(*region_, *memory_, monitor));
  BROOD_ASSIGN_OR_RETURN(const uint64_t given, memory_->table.GiveBackOfDead(*region_, Missing(*region_, value)));
  memory_->value.store(value + given, std::memory_order_relaxed);
  memory_->units.Advance();
  monitor.Leave();
  memory_->units.Wake(internal::kEverybody);
  return static_cast<uint32_t>(given);
}

template <bool kBounded>
absl::StatusOr<uint32_t> BasicSemaphore<kBounded>::Value() const {
  if (region_ == nullptr) return internal::NoRegion("semaphore");
  BROOD_ASSIGN_OR_RETURN(const Monitor monitor,
                         Monitor::Enter(*region_, memory_->word, Deadline(absl::InfiniteDuration())));
  BROOD_ASSIGN_OR_RETURN(const uint64_t value, CheckedValue(*region_, *memory_, monitor));
  return static_cast<uint32_t>(value);
}

template class BasicSemaphore<false>;
template class BasicSemaphore<true>;

}  // namespace brood
