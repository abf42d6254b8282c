// Memory that several processes share, and who of them is alive.
//
// A region is one sealed memory file (memfd_create(2)), passed by descriptor. It has no name, so that nothing stays
// behind however its users end. It begins with a header that says what it is; then comes what the object keeps in it.
//
// Members. A process that may own something in a region has an id in it: a number that is issued once, from a counter
// in the header. Never a process or thread id: those repeat across pid namespaces and in time. While the member lives
// it holds a lock (fcntl(2), "Open file description locks") on the byte of the file whose offset is its id; the kernel
// drops that lock however the process ends, and any other member can ask about it. Three things must hold for that:
//
//   - The lock's description is nobody else's: each member opens the file anew through /proc/self/fd. A description
//     that came from another process may still be open there, and would keep a dead member alive.
//   - That description is never mapped: a mapping keeps its description open, and a fork inherits mappings.
//   - A forked child has a copy of its parent's descriptor until it closes it. The children that brood forks close all
//     that was not passed to them; others drop the copy when they first use the object. A process that forks by itself
//     and dies holding a lock is seen as dead once those children have ended, used the object, or called exec.
//
// Whoever closes descriptors that are not its own (close_range(2) over everything) ends its memberships: others then
// take it for dead.
//
// A forked child that uses an object of its parent's becomes a member of its own, through the inherited descriptor. If
// that is gone, the operation fails with FailedPrecondition: objects are passed as arguments.
//
// All that a region holds is written by other processes, which may be hostile: what must not change is copied at
// Attach, and everything else is checked at each use. Thread-safe.
#ifndef BROOD_IPC_REGION_H_
#define BROOD_IPC_REGION_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"
#include "ipc/local_process.h"

namespace brood::internal {

// Part of the header, hence never renumbered.
enum class RegionKind : uint32_t {
  kLock = 1,
  kRLock = 2,
  kSemaphore = 3,
  kEvent = 4,
  kCondition = 5,
  kBarrier = 6,
  kValue = 7,
  kArray = 8,
  kSharedMemory = 9,
  kQueue = 10,
};
std::string_view KindName(RegionKind kind);

enum class Access { kReadWrite, kReadOnly };

// Fixed at creation, as the kind defines them.
using RegionParameters = std::array<uint64_t, 4>;

// How often the thread `thread` of this process has acquired the RLock of a region. In this process only.
struct Recursion {
  std::atomic<uint64_t> thread{0};
  uint64_t depth = 0;  // Of the thread that holds the lock.
};

// What this process is in a region.
struct Member {
  ~Member();
  LocalProcess* process = nullptr;
  RegionKey key;
  UniqueFd fd;  // The description that holds the lock. Its file offset is `mark`.
  uint64_t mark = 0;
  uint64_t id = 0;  // 0 if it may only read.
  Recursion recursion;
  std::atomic<uint32_t> unit_entry{0};  // Where its entry in a UnitTable was last.
};

class Region : public std::enable_shared_from_this<Region> {
 public:
  static constexpr size_t kHeaderBytes = 256;
  static constexpr uint64_t kMaxId = (uint64_t{1} << 55) - 1;

  // A new region whose payload, `payload_bytes` of zeros, begins at `payload_offset` (kHeaderBytes or a whole page).
  //
  // Errors: ResourceExhausted (memory, descriptors, or the limit of a file's size), Unimplemented or PermissionDenied
  // (a
  //   filter), NotFound (no /proc).
  static absl::StatusOr<std::shared_ptr<Region>> Create(RegionKind kind, const RegionParameters& parameters,
                                                        size_t payload_bytes, size_t payload_offset = kHeaderBytes);

  // The region behind a descriptor that another process passed, or this one: a process has each region once. It must be
  // of one of `kinds`; the first is what an error says was expected. Errors: as Create; InvalidArgument (another kind,
  // not sealed, or damaged).
  static absl::StatusOr<std::shared_ptr<Region>> Attach(UniqueFd fd, absl::Span<const RegionKind> kinds,
                                                        Access access = Access::kReadWrite);
  static absl::StatusOr<std::shared_ptr<Region>> Attach(UniqueFd fd, RegionKind kind,
                                                        Access access = Access::kReadWrite) {
    return Attach(std::move(fd), absl::MakeConstSpan(&kind, 1), access);
  }

  Region(const Region&) = delete;
  ~Region();

  RegionKind kind() const { return kind_; }
  const RegionParameters& parameters() const { return parameters_; }
  std::byte* payload() const { return memory_ + payload_offset_; }
  size_t payload_bytes() const { return size_ - payload_offset_; }

  // The payload as the kind's structure; null if it is too small for it.
  template <typename T>
  T* PayloadAs() const {
    static_assert(alignof(T) <= 64);
    return payload_bytes() < sizeof(T) ? nullptr : reinterpret_cast<T*>(payload());
  }

  // This process's part. No system call, except after a fork. Errors: FailedPrecondition (a forked child that has lost
  //   the descriptor), ResourceExhausted (descriptors).
  absl::StatusOr<Member*> Self() const;

  // Whether the member `id` lives. One system call, none for the own id.
  absl::StatusOr<bool> IsAlive(uint64_t id) const;

  // A new descriptor to pass on. Attach works for whoever receives it. Errors as Self.
  absl::StatusOr<UniqueFd> Descriptor(Access access = Access::kReadWrite) const;

 private:
  Region() = default;
  absl::Status Join(LocalProcess* process, UniqueFd fd);
  absl::StatusOr<Member*> JoinAfterFork() const;

  RegionKind kind_ = {};
  RegionParameters parameters_ = {};
  RegionKey key_;
  std::byte* memory_ = nullptr;
  size_t size_ = 0;
  size_t payload_offset_ = 0;
  mutable std::shared_ptr<Member> member_;                        // Guarded by the mutex of its process.
  mutable std::vector<std::shared_ptr<Member>> parents_members_;  // Likewise. Of the processes that forked this one.
  mutable std::atomic<Member*> current_member_{nullptr};          // What member_ holds, for those without the mutex.
};

// What an empty handle says: "a lock that was neither created nor received".
absl::Status NoRegion(std::string_view what);

// The region of a handle and its payload's structure, or what is wrong with it.
template <typename T>
absl::StatusOr<T*> CheckedPayload(const Region& region) {
  T* payload = region.PayloadAs<T>();
  if (payload == nullptr) return absl::InvalidArgumentError("attach: the region is too small for what it says to be");
  return payload;
}

}  // namespace brood::internal

#endif  // BROOD_IPC_REGION_H_
