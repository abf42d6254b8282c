// Bytes that several processes share.
//
//   BROOD_ASSIGN_OR_RETURN(auto memory, brood::SharedMemory::Create(1 << 20));
//   context.Start(Fill, memory);                                // void Fill(brood::SharedMemory memory)
//   std::span<std::byte> bytes = memory.mutable_bytes();
//
// A handle: copies are the same memory. It has no name and lies in no file system: the kernel frees it when the last
// process that has it ends, however it ends. Its size is fixed. Pages take memory when they are first touched.
//
// Nothing is locked: who else writes is the users' affair, and what they read may change under them. Copy what another
// process writes before you check it. The handle itself is thread-safe.
#ifndef BROOD_IPC_SHARED_MEMORY_H_
#define BROOD_IPC_SHARED_MEMORY_H_

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/region.h"
#include "ipc/shared_object.h"

namespace brood {

class SharedMemory {
 public:
  SharedMemory() = default;  // Empty: no bytes.

  // `size` zeros, beginning at a page. Errors as Lock's; InvalidArgument (size 0), ResourceExhausted (too large for the
  //   address space, or for the limit of a file's size).
  static absl::StatusOr<SharedMemory> Create(size_t size);

  // A descriptor that was opened for reading gives memory that can only be read.
  static absl::StatusOr<SharedMemory> FromDescriptor(UniqueFd fd);

  // A new descriptor to pass on. One for reading guards against mistakes, not against a hostile receiver, which can
  // open the file anew for writing.
  absl::StatusOr<UniqueFd> Descriptor() const;
  absl::StatusOr<UniqueFd> ReadOnlyDescriptor() const;

  std::span<const std::byte> bytes() const;
  std::span<std::byte> mutable_bytes() const;  // Empty if it can only be read.
  size_t size() const { return bytes().size(); }
  bool read_only() const { return access_ == internal::Access::kReadOnly; }

  static void DescribeTo(internal::Description& to) { to.Word("shared_memory"); }

 private:
  SharedMemory(std::shared_ptr<internal::Region> region, internal::Access access)
      : region_(std::move(region)), access_(access) {}

  std::shared_ptr<internal::Region> region_;
  internal::Access access_ = internal::Access::kReadOnly;
};

}  // namespace brood

#endif  // BROOD_IPC_SHARED_MEMORY_H_
