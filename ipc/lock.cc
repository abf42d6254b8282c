#include "ipc/lock.h"

#include "base/status.h"

namespace brood {

using internal::OwnedWord;
using internal::Region;
using internal::RegionKind;

absl::StatusOr<Lock> Lock::Create() {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Create(RegionKind::kLock, {}, sizeof(OwnedWord)));
  auto* word = region->PayloadAs<OwnedWord>();
  return Lock(std::move(region), word);
}

absl::StatusOr<Lock> Lock::FromDescriptor(UniqueFd fd) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Attach(std::move(fd), RegionKind::kLock));
  BROOD_ASSIGN_OR_RETURN(OwnedWord * word, internal::CheckedPayload<OwnedWord>(*region));
  return Lock(std::move(region), word);
}

absl::StatusOr<UniqueFd> Lock::Descriptor() const {
  if (region_ == nullptr) return internal::NoRegion("lock");
  return region_->Descriptor();
}

absl::Status Lock::Acquire(absl::Duration timeout) const {
  if (region_ == nullptr) return internal::NoRegion("lock");
  BROOD_ASSIGN_OR_RETURN(const internal::Member* self, region_->Self());
  BROOD_ASSIGN_OR_RETURN(const OwnedWord::Result result,
                         word_->Acquire(*region_, self->id, internal::Deadline(timeout)));
  if (result == OwnedWord::Result::kAcquired) return absl::OkStatus();
  if (result == OwnedWord::Result::kHolderDied) return internal::HolderDiedError("lock");
  return absl::DeadlineExceededError("acquire lock: it is held by another");
}

absl::Status Lock::Release() const {
  if (region_ == nullptr) return internal::NoRegion("lock");
  BROOD_ASSIGN_OR_RETURN(const internal::Member* self, region_->Self());
  if (word_->Release(self->id)) return absl::OkStatus();
  const uint64_t owner = word_->owner();
  if (owner == 0) return absl::FailedPreconditionError("release lock: nobody holds it");
  BROOD_ASSIGN_OR_RETURN(const bool died, word_->HolderDied(*region_));
  if (died) return internal::HolderDiedError("lock");
  if (word_->Release(owner)) return absl::OkStatus();
  return absl::FailedPreconditionError("release lock: its holder has just released it");
}

absl::Status Lock::Recover() const {
  if (region_ == nullptr) return internal::NoRegion("lock");
  BROOD_ASSIGN_OR_RETURN(const internal::Member* self, region_->Self());
  BROOD_ASSIGN_OR_RETURN(const bool taken, word_->TakeOver(*region_, self->id));
  if (taken) return absl::OkStatus();
  return absl::FailedPreconditionError("recover lock: no dead process holds it; acquire it");
}

absl::StatusOr<bool> Lock::IsHeld() const {
  if (region_ == nullptr) return internal::NoRegion("lock");
  return word_->owner() != 0;
}

absl::StatusOr<bool> Lock::IsHeldHere() const {
  if (region_ == nullptr) return internal::NoRegion("lock");
  BROOD_ASSIGN_OR_RETURN(const internal::Member* self, region_->Self());
  return word_->owner() == self->id;
}

absl::StatusOr<uint64_t> Lock::Suspend() const {
  BROOD_RETURN_IF_ERROR(Release());
  return 1;
}

absl::Status Lock::Resume(uint64_t) const { return Acquire(); }

}  // namespace brood
