#include "ipc/value_memory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/owned_word.h"

namespace brood::internal {
namespace {

// The lock stands first, as in an RLock's region; the elements begin at the next multiple of their alignment's bound.
constexpr size_t kElementsOffset = 64;
static_assert(sizeof(OwnedWord) <= kElementsOffset && Region::kHeaderBytes % kElementsOffset == 0);

}  // namespace

// parameters: [0] the bytes of an element, [1] how many.
absl::StatusOr<ValueMemory> ValueMemory::Create(RegionKind kind, size_t element_bytes, size_t count) {
  size_t bytes = 0;
  if (__builtin_mul_overflow(element_bytes, count, &bytes) || __builtin_add_overflow(bytes, kElementsOffset, &bytes)) {
    return absl::ResourceExhaustedError(absl::StrCat("create ", KindName(kind), " of ", count, " elements: too large"));
  }
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Create(kind, {element_bytes, count}, bytes));
  return Over(std::move(region));
}

absl::StatusOr<ValueMemory> ValueMemory::Attach(UniqueFd fd, RegionKind kind, size_t element_bytes) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Attach(std::move(fd), kind));
  if (region->parameters()[0] != element_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("attach to ", KindName(kind), ": its elements have ",
                                                   region->parameters()[0], " bytes, not ", element_bytes));
  }
  return Over(std::move(region));
}

absl::StatusOr<ValueMemory> ValueMemory::Over(std::shared_ptr<Region> region) {
  ValueMemory memory;
  memory.element_bytes_ = region->parameters()[0];
  memory.count_ = region->parameters()[1];
  const size_t bytes = region->payload_bytes();
  if (bytes < kElementsOffset || memory.element_bytes_ == 0 ||
      memory.count_ > (bytes - kElementsOffset) / memory.element_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("attach to ", KindName(region->kind()), ": it is smaller than it says"));
  }
  memory.first_ = region->payload() + kElementsOffset;
  memory.lock_ = RLock(region, region->PayloadAs<OwnedWord>());
  memory.region_ = std::move(region);
  return memory;
}

absl::StatusOr<UniqueFd> ValueMemory::Descriptor() const {
  if (region_ == nullptr) return NoRegion("value");
  return region_->Descriptor();
}

}  // namespace brood::internal
