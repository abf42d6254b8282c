#include "ipc/shared_memory.h"

#include <fcntl.h>

#include <cerrno>

#include "base/status.h"

namespace brood {

using internal::Access;
using internal::Region;
using internal::RegionKind;

namespace {

// The header has a page of its own, so that the user's bytes begin at one.
constexpr size_t kPage = 4096;

}  // namespace

// parameters: [0] the size. It says the same as the file's size, which is what counts.
absl::StatusOr<SharedMemory> SharedMemory::Create(size_t size) {
  if (size == 0) return absl::InvalidArgumentError("create shared memory: 0 bytes");
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region,
                         Region::Create(RegionKind::kSharedMemory, {size}, size, kPage));
  return SharedMemory(std::move(region), Access::kReadWrite);
}

absl::StatusOr<SharedMemory> SharedMemory::FromDescriptor(UniqueFd fd) {
  const int flags = fcntl(fd.get(), F_GETFL);
  if (flags < 0) return ErrnoStatus(errno, "fcntl", "attach to shared memory");
  const Access access = (flags & O_ACCMODE) == O_RDONLY ? Access::kReadOnly : Access::kReadWrite;
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region,
                         Region::Attach(std::move(fd), RegionKind::kSharedMemory, access));
  return SharedMemory(std::move(region), access);
}

absl::StatusOr<UniqueFd> SharedMemory::Descriptor() const {
  if (region_ == nullptr) return internal::NoRegion("shared memory");
  return region_->Descriptor(access_);
}

absl::StatusOr<UniqueFd> SharedMemory::ReadOnlyDescriptor() const {
  if (region_ == nullptr) return internal::NoRegion("shared memory");
  return region_->Descriptor(Access::kReadOnly);
}

std::span<const std::byte> SharedMemory::bytes() const {
  if (region_ == nullptr) return {};
  return {region_->payload(), region_->payload_bytes()};
}

std::span<std::byte> SharedMemory::mutable_bytes() const {
  if (region_ == nullptr || read_only()) return {};
  return {region_->payload(), region_->payload_bytes()};
}

}  // namespace brood
