#include "ipc/barrier.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/futex.h"
#include "ipc/monitor.h"

namespace brood {
namespace internal {
namespace {

// Why a round ended.
enum class End : uint64_t { kPassed = 0, kDied = 1, kTimedOut = 2, kAborted = 3, kReset = 4, kActionFailed = 5 };

// The barrier in one word, so that each change of it is one store: how many have come, why it is broken (0: it is not),
// and the number of the round. What sleepers compare is the low half.
struct State {
  explicit State(uint64_t word) : word(word) {}
  State(uint64_t round, End broken, uint32_t arrived)
      : word(round << 24 | static_cast<uint64_t>(broken) << 16 | arrived) {}
  uint32_t arrived() const { return word & 0xffff; }
  End broken() const { return static_cast<End>((word >> 16) & 0xff); }
  uint64_t round() const { return word >> 24; }
  uint64_t word;
};

// How many rounds back an end is known. A party that sleeps through more of them than that gets Aborted.
constexpr uint64_t kHistory = 256;

}  // namespace

struct BarrierMemory {
  OwnedWord word;
  std::atomic<uint64_t> state;
  std::atomic<uint64_t> ends[kHistory];                 // Round and End of past rounds: round << 8 | end.
  std::atomic<uint64_t> arrived[Barrier::kMaxParties];  // Who has come in this round.
};

namespace {

absl::Status Broken(End end) {
  constexpr std::string_view kWhy[] = {"it was passed without us",
                                       "a party died while it waited",
                                       "a party gave up waiting",
                                       "it was aborted",
                                       "it was reset",
                                       "the action failed"};
  const auto index = static_cast<uint64_t>(end);
  return absl::AbortedError(
      absl::StrCat("wait at barrier: ", index < std::size(kWhy) ? kWhy[index] : "it is damaged",
                   end == End::kReset || end == End::kPassed ? "" : "; it is broken until Reset()"));
}

// Inside the monitor. Ends the round of `state`.
void EndRound(BarrierMemory& memory, State state, End end) {
  memory.ends[state.round() % kHistory].store(state.round() << 8 | static_cast<uint64_t>(end),
                                              std::memory_order_relaxed);
  const End broken = end == End::kReset ? End::kPassed : end;
  memory.state.store(State(state.round() + 1, broken, 0).word, std::memory_order_release);
  FutexWake(&memory.state, kEverybody);
}

// How a past round ended for one who had come to it.
absl::Status PastRound(const BarrierMemory& memory, uint64_t round) {
  const uint64_t entry = memory.ends[round % kHistory].load(std::memory_order_acquire);
  if (entry >> 8 != (round & (UINT64_MAX >> 8))) return Broken(End::kPassed);
  const End end = static_cast<End>(entry & 0xff);
  return end == End::kPassed ? absl::OkStatus() : Broken(end);
}

}  // namespace
}  // namespace internal

using internal::BarrierMemory;
using internal::Deadline;
using internal::End;
using internal::Monitor;
using internal::Region;
using internal::RegionKind;
using internal::State;

namespace {

// parameters: [0] how many parties.
uint32_t PartiesOf(const Region& region) { return static_cast<uint32_t>(region.parameters()[0]); }

State Now(const BarrierMemory& memory) { return State(memory.state.load(std::memory_order_acquire)); }

absl::StatusOr<Monitor> Enter(const Region& region, BarrierMemory& memory,
                              const Deadline& deadline = Deadline(absl::InfiniteDuration())) {
  return Monitor::Enter(region, memory.word, deadline);
}

// Whether the party that came `index`th in this round has died.
absl::StatusOr<bool> Died(const Region& region, const BarrierMemory& memory, uint32_t index) {
  BROOD_ASSIGN_OR_RETURN(const bool alive, region.IsAlive(memory.arrived[index].load(std::memory_order_acquire)));
  return !alive;
}

// Breaks the barrier if it is still in `round`.
absl::Status BreakRound(const Region& region, BarrierMemory& memory, uint64_t round, End end) {
  BROOD_ASSIGN_OR_RETURN(const Monitor monitor, Enter(region, memory));
  const State state = Now(memory);
  if (state.round() == round) internal::EndRound(memory, state, end);
  return absl::OkStatus();
}

// Of one who has come, `index`th, and is not the last.
absl::StatusOr<uint32_t> WaitForEnd(const Region& region, BarrierMemory& memory, uint64_t round, uint32_t index,
                                    const Deadline& deadline) {
  for (internal::Slices slices(deadline);;) {
    const State state = Now(memory);
    if (state.round() != round) {
      BROOD_RETURN_IF_ERROR(internal::PastRound(memory, round));
      return index;
    }
    if (deadline.passed()) {
      BROOD_RETURN_IF_ERROR(BreakRound(region, memory, round, End::kTimedOut));
      // It may have ended while we gave up.
      if (internal::PastRound(memory, round).ok()) return index;
      return absl::DeadlineExceededError("wait at barrier: not all parties came; it is broken until Reset()");
    }
    if (!slices.first()) {
      // Each looks after its neighbour in the ring of those who have come: of the dead, one has a neighbour that lives.
      const uint32_t arrived = std::min(state.arrived(), PartiesOf(region));
      const uint32_t neighbour = index + 1 < arrived ? index + 1 : 0;
      BROOD_ASSIGN_OR_RETURN(const bool died, Died(region, memory, neighbour));
      if (died && Now(memory).round() == round) {
        BROOD_RETURN_IF_ERROR(BreakRound(region, memory, round, End::kDied));
        continue;
      }
    }
    BROOD_RETURN_IF_ERROR(internal::FutexWait(&memory.state, static_cast<uint32_t>(state.word), slices.Next()));
  }
}

// Of the one who came last. `monitor` is entered.
absl::StatusOr<uint32_t> Complete(const Region& region, BarrierMemory& memory, State state, Monitor monitor,
                                  const std::function<absl::Status()>& action) {
  const uint32_t index = state.arrived();
  for (uint32_t other = 0; other < index; ++other) {
    BROOD_ASSIGN_OR_RETURN(const bool died, Died(region, memory, other));
    if (died) {
      internal::EndRound(memory, state, End::kDied);
      return internal::Broken(End::kDied);
    }
  }
  if (action != nullptr) {
    // Full: nobody else comes in, and if we die now a neighbour sees it.
    memory.state.store(State(state.round(), End::kPassed, index + 1).word, std::memory_order_release);
    monitor.Leave();
    absl::Cleanup failed = [&] { BreakRound(region, memory, state.round(), End::kActionFailed).IgnoreError(); };
    BROOD_RETURN_IF_ERROR(action());
    std::move(failed).Cancel();
    BROOD_ASSIGN_OR_RETURN(const Monitor again, Enter(region, memory));
    if (Now(memory).round() != state.round()) {
      BROOD_RETURN_IF_ERROR(internal::PastRound(memory, state.round()));
      return internal::Broken(End::kPassed);
    }
    internal::EndRound(memory, Now(memory), End::kPassed);
    return index;
  }
  internal::EndRound(memory, state, End::kPassed);
  return index;
}

}  // namespace

absl::StatusOr<Barrier> Barrier::Create(uint32_t parties) {
  if (parties == 0 || parties > kMaxParties) {
    return absl::InvalidArgumentError(
        absl::StrCat("create barrier: ", parties, " parties; 1 to ", kMaxParties, " are possible"));
  }
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region,
                         Region::Create(RegionKind::kBarrier, {parties}, sizeof(BarrierMemory)));
  auto* memory = region->PayloadAs<BarrierMemory>();
  return Barrier(std::move(region), memory);
}

absl::StatusOr<Barrier> Barrier::FromDescriptor(UniqueFd fd) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Attach(std::move(fd), RegionKind::kBarrier));
  BROOD_ASSIGN_OR_RETURN(auto* memory, internal::CheckedPayload<BarrierMemory>(*region));
  const uint64_t parties = region->parameters()[0];
  if (parties == 0 || parties > kMaxParties)
    return absl::InvalidArgumentError("attach to barrier: its size is damaged");
  return Barrier(std::move(region), memory);
}

absl::StatusOr<UniqueFd> Barrier::Descriptor() const {
  if (region_ == nullptr) return internal::NoRegion("barrier");
  return region_->Descriptor();
}

absl::StatusOr<uint32_t> Barrier::Wait(absl::Duration timeout, const std::function<absl::Status()>& action) const {
  if (region_ == nullptr) return internal::NoRegion("barrier");
  const Deadline deadline(timeout);
  internal::Slices slices(deadline);
  for (;;) {
    BROOD_ASSIGN_OR_RETURN(Monitor monitor, Enter(*region_, *memory_, deadline));
    const State state = Now(*memory_);
    if (state.broken() != End::kPassed) return internal::Broken(state.broken());
    const uint32_t index = state.arrived();
    if (index < PartiesOf(*region_)) {
      memory_->arrived[index].store(monitor.self().id, std::memory_order_release);
      if (index + 1 == PartiesOf(*region_)) return Complete(*region_, *memory_, state, std::move(monitor), action);
      memory_->state.store(State(state.round(), End::kPassed, index + 1).word, std::memory_order_release);
      monitor.Leave();
      return WaitForEnd(*region_, *memory_, state.round(), index, deadline);
    }
    // The round is full and its action runs: the next round is ours. Not being a party of this one, we do not break it.
    monitor.Leave();
    if (deadline.passed()) return absl::DeadlineExceededError("wait at barrier: the round before is not over");
    if (!slices.first()) {
      BROOD_ASSIGN_OR_RETURN(const bool died, Died(*region_, *memory_, PartiesOf(*region_) - 1));
      if (died) BROOD_RETURN_IF_ERROR(BreakRound(*region_, *memory_, state.round(), End::kDied));
    }
    BROOD_RETURN_IF_ERROR(internal::FutexWait(&memory_->state, static_cast<uint32_t>(state.word), slices.Next()));
  }
}

absl::Status Barrier::Abort() const {
  if (region_ == nullptr) return internal::NoRegion("barrier");
  BROOD_ASSIGN_OR_RETURN(const Monitor monitor, Enter(*region_, *memory_));
  const State state = Now(*memory_);
  if (state.broken() == End::kPassed) internal::EndRound(*memory_, state, End::kAborted);
  return absl::OkStatus();
}

absl::Status Barrier::Reset() const {
  if (region_ == nullptr) return internal::NoRegion("barrier");
  BROOD_ASSIGN_OR_RETURN(const Monitor monitor, Enter(*region_, *memory_));
  internal::EndRound(*memory_, Now(*memory_), End::kReset);
  return absl::OkStatus();
}

absl::StatusOr<bool> Barrier::IsBroken() const {
  if (region_ == nullptr) return internal::NoRegion("barrier");
  return Now(*memory_).broken() != End::kPassed;
}

absl::StatusOr<uint32_t> Barrier::Waiting() const {
  if (region_ == nullptr) return internal::NoRegion("barrier");
  return std::min(Now(*memory_).arrived(), PartiesOf(*region_));
}

absl::StatusOr<uint32_t> Barrier::Parties() const {
  if (region_ == nullptr) return internal::NoRegion("barrier");
  return PartiesOf(*region_);
}

}  // namespace brood
