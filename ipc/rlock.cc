#include "ipc/rlock.h"

#include "base/status.h"

namespace brood {

using internal::Member;
using internal::OwnedWord;
using internal::Region;
using internal::RegionKind;

namespace {

// Only the thread itself ever stores its own number, so that reading it proves that this thread holds the lock.
bool ThisThreadHolds(const Member& self) {
  return self.recursion.thread.load(std::memory_order_relaxed) == internal::ThisThread();
}

void Begin(Member& self, uint64_t depth) {
  self.recursion.depth = depth;
  self.recursion.thread.store(internal::ThisThread(), std::memory_order_relaxed);
}

void End(Member& self) {
  self.recursion.depth = 0;
  self.recursion.thread.store(0, std::memory_order_relaxed);
}

absl::Status NotHeld(std::string_view operation) {
  return absl::FailedPreconditionError(absl::StrCat(operation, " rlock: this thread does not hold it"));
}

}  // namespace

absl::StatusOr<RLock> RLock::Create() {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Create(RegionKind::kRLock, {}, sizeof(OwnedWord)));
  auto* word = region->PayloadAs<OwnedWord>();
  return RLock(std::move(region), word);
}

absl::StatusOr<RLock> RLock::FromDescriptor(UniqueFd fd) {
  // The lock of a value or an array stands where an rlock's is.
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region,
                         Region::Attach(std::move(fd), {RegionKind::kRLock, RegionKind::kValue, RegionKind::kArray}));
  BROOD_ASSIGN_OR_RETURN(OwnedWord * word, internal::CheckedPayload<OwnedWord>(*region));
  return RLock(std::move(region), word);
}

absl::StatusOr<UniqueFd> RLock::Descriptor() const {
  if (region_ == nullptr) return internal::NoRegion("rlock");
  return region_->Descriptor();
}

absl::Status RLock::Acquire(absl::Duration timeout) const {
  if (region_ == nullptr) return internal::NoRegion("rlock");
  BROOD_ASSIGN_OR_RETURN(Member * self, region_->Self());
  if (ThisThreadHolds(*self)) {
    ++self->recursion.depth;
    return absl::OkStatus();
  }
  BROOD_ASSIGN_OR_RETURN(const OwnedWord::Result result,
                         word_->Acquire(*region_, self->id, internal::Deadline(timeout)));
  if (result == OwnedWord::Result::kHolderDied) return internal::HolderDiedError("rlock");
  if (result == OwnedWord::Result::kTimedOut) {
    return absl::DeadlineExceededError("acquire rlock: it is held by another thread or process");
  }
  Begin(*self, 1);
  return absl::OkStatus();
}

absl::Status RLock::Release() const {
  if (region_ == nullptr) return internal::NoRegion("rlock");
  BROOD_ASSIGN_OR_RETURN(Member * self, region_->Self());
  if (!ThisThreadHolds(*self)) return NotHeld("release");
  if (--self->recursion.depth > 0) return absl::OkStatus();
  End(*self);
  if (word_->Release(self->id)) return absl::OkStatus();
  return absl::DataLossError("release rlock: another process has changed it while it was held");
}

absl::Status RLock::Recover() const {
  if (region_ == nullptr) return internal::NoRegion("rlock");
  BROOD_ASSIGN_OR_RETURN(Member * self, region_->Self());
  BROOD_ASSIGN_OR_RETURN(const bool taken, word_->TakeOver(*region_, self->id));
  if (!taken) return absl::FailedPreconditionError("recover rlock: no dead process holds it; acquire it");
  Begin(*self, 1);
  return absl::OkStatus();
}

absl::StatusOr<bool> RLock::IsHeld() const {
  if (region_ == nullptr) return internal::NoRegion("rlock");
  return word_->owner() != 0;
}

absl::StatusOr<bool> RLock::IsHeldHere() const {
  if (region_ == nullptr) return internal::NoRegion("rlock");
  BROOD_ASSIGN_OR_RETURN(const Member* self, region_->Self());
  return ThisThreadHolds(*self);
}

absl::StatusOr<uint64_t> RLock::Suspend() const {
  BROOD_ASSIGN_OR_RETURN(Member * self, region_->Self());
  if (!ThisThreadHolds(*self)) return NotHeld("wait with");
  const uint64_t depth = self->recursion.depth;
  End(*self);
  if (!word_->Release(self->id)) {
    return absl::DataLossError("release rlock: another process has changed it while it was held");
  }
  return depth;
}

absl::Status RLock::Resume(uint64_t depth) const {
  BROOD_RETURN_IF_ERROR(Acquire());
  BROOD_ASSIGN_OR_RETURN(Member * self, region_->Self());
  self->recursion.depth = depth;
  return absl::OkStatus();
}

}  // namespace brood
