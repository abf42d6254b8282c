#include "ipc/queue_memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/futex.h"
#include "ipc/monitor.h"
#include "ipc/owned_word.h"
#include "ipc/turn.h"
#include "ipc/unit_table.h"
#include "ipc/versioned.h"

namespace brood::internal {
namespace {

struct QueueState {
  uint64_t head = 0;        // Where the oldest item begins in the ring.
  uint64_t used = 0;        // Bytes from there.
  uint64_t items = 0;       // In the ring.
  uint64_t unfinished = 0;  // In the ring, or taken and not reported done. Counted if joinable.
  uint64_t closed = 0;
};

// Before each item's bytes.
using ItemSize = uint32_t;

uint64_t Fingerprint(std::string_view type) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a.
  for (const char c : type) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

absl::Status Damaged(std::string_view why) {
  return absl::DataLossError(absl::StrCat("use queue: another process damaged it; ", why));
}

}  // namespace

struct QueueShared {
  OwnedWord word;
  Versioned<QueueState> state;
  Turn items;       // An item has come, or the end.
  Turn room;        // An item has gone, or the end.
  Turn finished;    // A task is done.
  UnitTable taken;  // By whom items were taken that are not done. Used if joinable.
};

namespace {

constexpr size_t kRingOffset = (sizeof(QueueShared) + 63) / 64 * 64;

// The bytes of a ring, each part in one or two pieces. `at` and `size` have been checked.
void CopyIn(std::byte* ring, uint64_t capacity, uint64_t at, const void* from, size_t size) {
  const size_t first = std::min<uint64_t>(size, capacity - at);
  if (first > 0) std::memcpy(ring + at, from, first);
  if (size > first) std::memcpy(ring, static_cast<const char*>(from) + first, size - first);
}

void CopyOut(const std::byte* ring, uint64_t capacity, uint64_t at, void* to, size_t size) {
  const size_t first = std::min<uint64_t>(size, capacity - at);
  if (first > 0) std::memcpy(to, ring + at, first);
  if (size > first) std::memcpy(static_cast<char*>(to) + first, ring, size - first);
}

uint64_t Advance(uint64_t at, uint64_t size, uint64_t capacity) { return (at + size) % capacity; }

// What was taken and cannot be reported done any more: its taker has died, or died before it was put on record.
absl::StatusOr<uint64_t> LostTasks(const Region& region, const QueueShared& shared, const QueueState& state) {
  const uint64_t in_hand = state.unfinished - state.items;
  BROOD_ASSIGN_OR_RETURN(const uint64_t dead, shared.taken.TakenByDead(region, in_hand));
  const int64_t lost = static_cast<int64_t>(in_hand - shared.taken.Sum() + dead);
  return lost <= 0 ? 0 : std::min<uint64_t>(lost, in_hand);
}

// Inside the monitor.
absl::StatusOr<QueueState> ReadState(const Region& region, const QueueShared& shared) {
  const QueueState state = shared.state.Read();
  const uint64_t capacity = region.parameters()[0];
  if (state.head >= capacity || state.used > capacity || state.items > state.used / sizeof(ItemSize) ||
      (region.parameters()[2] != 0 && state.unfinished < state.items)) {
    return Damaged("its positions cannot be");
  }
  return state;
}

Deadline Forever() { return Deadline(absl::InfiniteDuration()); }

}  // namespace

// parameters: [0] bytes of the ring, [1] the most items, [2] whether tasks are counted, [3] the type's fingerprint.
absl::StatusOr<QueueMemory> QueueMemory::Create(const QueueOptions& options, std::string_view type, bool joinable) {
  if (options.max_bytes < sizeof(ItemSize)) {
    return absl::InvalidArgumentError(absl::StrCat("create queue: max_bytes ", options.max_bytes, " holds no item"));
  }
  size_t bytes = 0;
  if (__builtin_add_overflow(kRingOffset, options.max_bytes, &bytes)) {
    return absl::ResourceExhaustedError(absl::StrCat("create queue of ", options.max_bytes, " bytes: too large"));
  }
  BROOD_ASSIGN_OR_RETURN(
      std::shared_ptr<Region> region,
      Region::Create(RegionKind::kQueue, {options.max_bytes, options.max_items, joinable, Fingerprint(type)}, bytes));
  auto* shared = region->PayloadAs<QueueShared>();
  return QueueMemory(std::move(region), shared);
}

absl::StatusOr<QueueMemory> QueueMemory::Attach(UniqueFd fd, std::string_view type, bool joinable) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Attach(std::move(fd), RegionKind::kQueue));
  BROOD_ASSIGN_OR_RETURN(QueueShared * shared, CheckedPayload<QueueShared>(*region));
  const RegionParameters& parameters = region->parameters();
  if (region->payload_bytes() < kRingOffset || parameters[0] < sizeof(ItemSize) ||
      parameters[0] > region->payload_bytes() - kRingOffset) {
    return absl::InvalidArgumentError("attach to queue: it is smaller than it says");
  }
  if ((parameters[2] != 0) != joinable) {
    return absl::InvalidArgumentError(joinable ? "expected joinable_queue, got queue"
                                               : "expected queue, got joinable_queue");
  }
  if (parameters[3] != Fingerprint(type)) {
    return absl::InvalidArgumentError(absl::StrCat("expected a queue of ", type, ", got one of another type"));
  }
  return QueueMemory(std::move(region), shared);
}

absl::StatusOr<UniqueFd> QueueMemory::Descriptor() const {
  if (region_ == nullptr) return NoRegion("queue");
  return region_->Descriptor();
}

absl::Status QueueMemory::Put(std::string_view item, const Deadline& deadline, absl::StatusCode otherwise) const {
  if (region_ == nullptr) return NoRegion("queue");
  const uint64_t need = sizeof(ItemSize) + item.size();
  if (need > capacity() || item.size() > UINT32_MAX) {
    return absl::InvalidArgumentError(absl::StrCat("put into queue: the item takes ", need,
                                                   " bytes, the whole queue has ", capacity(),
                                                   "; create it with a larger max_bytes"));
  }
  for (Slices slices(deadline);;) {
    BROOD_ASSIGN_OR_RETURN(Monitor monitor, Monitor::Enter(*region_, shared_->word, deadline));
    BROOD_ASSIGN_OR_RETURN(QueueState state, ReadState(*region_, *shared_));
    if (state.closed != 0) return absl::FailedPreconditionError("put into queue: it is closed");
    if (capacity() - state.used >= need && (max_items() == 0 || state.items < max_items())) {
      std::byte* ring = region_->payload() + kRingOffset;
      const uint64_t tail = Advance(state.head, state.used, capacity());
      const auto size = static_cast<ItemSize>(item.size());
      CopyIn(ring, capacity(), tail, &size, sizeof(size));
      CopyIn(ring, capacity(), Advance(tail, sizeof(size), capacity()), item.data(), item.size());
      state.used += need;
      ++state.items;
      ++state.unfinished;
      shared_->state.Commit(state);
      const bool wake = shared_->items.Advance();
      monitor.Leave();
      if (wake) shared_->items.Wake(1);
      return absl::OkStatus();
    }
    if (deadline.passed()) return absl::Status(otherwise, "put into queue: it is full");
    const uint32_t seen = shared_->room.Prepare();
    monitor.Leave();
    BROOD_RETURN_IF_ERROR(shared_->room.Sleep(seen, slices));
  }
}

absl::StatusOr<std::string> QueueMemory::Get(const Deadline& deadline, absl::StatusCode otherwise) const {
  if (region_ == nullptr) return NoRegion("queue");
  for (Slices slices(deadline);;) {
    BROOD_ASSIGN_OR_RETURN(Monitor monitor, Monitor::Enter(*region_, shared_->word, deadline));
    BROOD_ASSIGN_OR_RETURN(QueueState state, ReadState(*region_, *shared_));
    if (state.items > 0) {
      const std::byte* ring = region_->payload() + kRingOffset;
      ItemSize size = 0;
      CopyOut(ring, capacity(), state.head, &size, sizeof(size));
      const uint64_t taken = sizeof(size) + uint64_t{size};
      if (taken > state.used) return Damaged("an item is larger than all of them");
      std::string item(size, '\0');
      CopyOut(ring, capacity(), Advance(state.head, sizeof(size), capacity()), item.data(), size);
      // The entry is made before the item is gone, so that recording it cannot fail after.
      if (joinable()) {
        BROOD_RETURN_IF_ERROR(shared_->taken.Add(*region_, monitor.self(), 0, UnitTable::DeadUnits::kKeep));
      }
      state.head = Advance(state.head, taken, capacity());
      state.used -= taken;
      --state.items;
      if (state.items == 0) state.head = state.used = 0;  // The same pages again, while they are in the cache.
      shared_->state.Commit(state);
      if (joinable()) {
        BROOD_RETURN_IF_ERROR(shared_->taken.Add(*region_, monitor.self(), 1, UnitTable::DeadUnits::kKeep));
      }
      const bool wake = shared_->room.Advance();
      monitor.Leave();
      if (wake) shared_->room.Wake(kEverybody);  // One who needs more room than there is must not keep it from another.
      return item;
    }
    if (state.closed != 0) return absl::OutOfRangeError("get from queue: it is closed, and empty");
    if (deadline.passed()) return absl::Status(otherwise, "get from queue: it is empty");
    const uint32_t seen = shared_->items.Prepare();
    monitor.Leave();
    BROOD_RETURN_IF_ERROR(shared_->items.Sleep(seen, slices));
  }
}

absl::StatusOr<uint64_t> QueueMemory::Size() const {
  if (region_ == nullptr) return NoRegion("queue");
  BROOD_ASSIGN_OR_RETURN(const Monitor monitor, Monitor::Enter(*region_, shared_->word, Forever()));
  BROOD_ASSIGN_OR_RETURN(const QueueState state, ReadState(*region_, *shared_));
  return state.items;
}

absl::Status QueueMemory::Close() const {
  if (region_ == nullptr) return NoRegion("queue");
  BROOD_ASSIGN_OR_RETURN(Monitor monitor, Monitor::Enter(*region_, shared_->word, Forever()));
  BROOD_ASSIGN_OR_RETURN(QueueState state, ReadState(*region_, *shared_));
  state.closed = 1;
  shared_->state.Commit(state);
  shared_->items.Advance();
  shared_->room.Advance();
  monitor.Leave();
  shared_->items.Wake(kEverybody);
  shared_->room.Wake(kEverybody);
  return absl::OkStatus();
}

absl::Status QueueMemory::TaskDone() const {
  if (region_ == nullptr) return NoRegion("queue");
  BROOD_ASSIGN_OR_RETURN(Monitor monitor, Monitor::Enter(*region_, shared_->word, Forever()));
  BROOD_ASSIGN_OR_RETURN(QueueState state, ReadState(*region_, *shared_));
  if (state.unfinished == state.items) {
    return absl::FailedPreconditionError("report a task of queue: more are reported done than were taken");
  }
  BROOD_RETURN_IF_ERROR(shared_->taken.Add(*region_, monitor.self(), 0, UnitTable::DeadUnits::kKeep));
  --state.unfinished;
  shared_->state.Commit(state);
  BROOD_RETURN_IF_ERROR(shared_->taken.Add(*region_, monitor.self(), -1, UnitTable::DeadUnits::kKeep));
  const bool wake = shared_->finished.Advance() && state.unfinished == 0;
  monitor.Leave();
  if (wake) shared_->finished.Wake(kEverybody);
  return absl::OkStatus();
}

absl::Status QueueMemory::Join(const Deadline& deadline) const {
  if (region_ == nullptr) return NoRegion("queue");
  for (Slices slices(deadline);;) {
    BROOD_ASSIGN_OR_RETURN(Monitor monitor, Monitor::Enter(*region_, shared_->word, deadline));
    BROOD_ASSIGN_OR_RETURN(const QueueState state, ReadState(*region_, *shared_));
    if (state.unfinished == 0) return absl::OkStatus();
    const bool last_look = deadline.passed();
    if (last_look || !slices.first()) {
      BROOD_ASSIGN_OR_RETURN(const uint64_t lost, LostTasks(*region_, *shared_, state));
      if (lost > 0) {
        return absl::AbortedError(absl::StrCat("join queue: processes died with ", lost,
                                               " tasks that they had taken; Recover() counts these as done"));
      }
    }
    if (last_look) return absl::DeadlineExceededError("join queue: not all tasks are done");
    const uint32_t seen = shared_->finished.Prepare();
    monitor.Leave();
    BROOD_RETURN_IF_ERROR(shared_->finished.Sleep(seen, slices));
  }
}

absl::StatusOr<uint64_t> QueueMemory::Recover() const {
  if (region_ == nullptr) return NoRegion("queue");
  BROOD_ASSIGN_OR_RETURN(Monitor monitor, Monitor::Enter(*region_, shared_->word, Forever()));
  BROOD_ASSIGN_OR_RETURN(QueueState state, ReadState(*region_, *shared_));
  BROOD_ASSIGN_OR_RETURN(const uint64_t lost, LostTasks(*region_, *shared_, state));
  const uint64_t in_hand = state.unfinished - state.items;
  state.unfinished -= lost;
  shared_->state.Commit(state);
  // If we die here, what is counted twice adds up to nothing: see LostTasks.
  BROOD_RETURN_IF_ERROR(shared_->taken.GiveBackOfDead(*region_, in_hand).status());
  shared_->finished.Advance();
  monitor.Leave();
  shared_->finished.Wake(kEverybody);
  return lost;
}

}  // namespace brood::internal
