#include "ipc/event.h"

#include "base/status.h"
#include "ipc/futex.h"

namespace brood {

using internal::Region;
using internal::RegionKind;

namespace {

constexpr uint32_t kSet = 1;
constexpr uint32_t kSleepers = 2;
constexpr uint32_t kOneTime = 4;

}  // namespace

absl::StatusOr<Event> Event::Create() {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Create(RegionKind::kEvent, {}, sizeof(Word)));
  Word* word = region->PayloadAs<Word>();
  return Event(std::move(region), word);
}

absl::StatusOr<Event> Event::FromDescriptor(UniqueFd fd) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Attach(std::move(fd), RegionKind::kEvent));
  BROOD_ASSIGN_OR_RETURN(Word * word, internal::CheckedPayload<Word>(*region));
  return Event(std::move(region), word);
}

absl::StatusOr<UniqueFd> Event::Descriptor() const {
  if (region_ == nullptr) return internal::NoRegion("event");
  return region_->Descriptor();
}

absl::Status Event::Set() const {
  if (region_ == nullptr) return internal::NoRegion("event");
  uint32_t seen = word_->load(std::memory_order_relaxed);
  do {
    if ((seen & kSet) != 0) return absl::OkStatus();
  } while (!word_->compare_exchange_weak(seen, ((seen & ~kSleepers) | kSet) + kOneTime, std::memory_order_release));
  if ((seen & kSleepers) != 0) internal::FutexWake(word_, internal::kEverybody);
  return absl::OkStatus();
}

absl::Status Event::Clear() const {
  if (region_ == nullptr) return internal::NoRegion("event");
  word_->fetch_and(~kSet, std::memory_order_acq_rel);
  return absl::OkStatus();
}

absl::StatusOr<bool> Event::IsSet() const {
  if (region_ == nullptr) return internal::NoRegion("event");
  return (word_->load(std::memory_order_acquire) & kSet) != 0;
}

absl::Status Event::Wait(absl::Duration timeout) const {
  if (region_ == nullptr) return internal::NoRegion("event");
  const internal::Deadline deadline(timeout);
  internal::Slices slices(deadline);
  uint32_t seen = word_->load(std::memory_order_acquire);
  const uint32_t times = seen / kOneTime;
  while ((seen & kSet) == 0 && seen / kOneTime == times) {
    if (deadline.passed()) return absl::DeadlineExceededError("wait for event: it was not set");
    if ((seen & kSleepers) == 0 && !word_->compare_exchange_weak(seen, seen | kSleepers, std::memory_order_acquire))
      continue;
    BROOD_RETURN_IF_ERROR(internal::FutexWait(word_, seen | kSleepers, slices.Next()));
    seen = word_->load(std::memory_order_acquire);
  }
  return absl::OkStatus();
}

}  // namespace brood
