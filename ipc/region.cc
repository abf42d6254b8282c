#include "ipc/region.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"
#include "ipc/region_file.h"

namespace brood::internal {
namespace {

// Whether the descriptor `member.fd` is, in a forked child, still the copy of what it was in the parent. Its number may
// have been closed and used again, even for the same file: only this one has its id as its offset.
bool IsInheritedCopy(const Member& member) {
  RegionKey key;
  return IdentifyFile(member.fd.get(), key) && key.device == member.key.device && key.inode == member.key.inode &&
         lseek(member.fd.get(), 0, SEEK_CUR) == static_cast<off_t>(member.mark);
}

// Closes what keeps a dead parent alive, and nothing else.
void DropInherited(Member& member) {
  if (!IsInheritedCopy(member)) member.fd.release();
  member.fd.reset();
}

absl::Status TakeId(RegionHeader& header, Member& member) {
  // A number that is taken although the counter says it is new: a peer has changed the counter. It can be tried again,
  // but not for ever.
  for (int attempt = 0; attempt < 16; ++attempt) {
    const uint64_t id = header.last_id.fetch_add(1, std::memory_order_relaxed) + 1;
    if (id == 0 || id > Region::kMaxId) break;
    BROOD_ASSIGN_OR_RETURN(const bool locked, LockId(member.fd.get(), id));
    if (!locked) continue;
    member.id = id;
    return absl::OkStatus();
  }
  return absl::DataLossError("attach to shared memory: its counter of members was damaged by another process");
}

// Makes this process a member through any descriptor of the file.
absl::StatusOr<std::shared_ptr<Member>> MakeMember(LocalProcess* process, const RegionKey& key, std::byte* memory,
                                                   int fd) {
  auto member = std::make_shared<Member>();
  member->process = process;
  member->key = key;
  BROOD_ASSIGN_OR_RETURN(member->fd, Reopen(fd, key.read_only ? Access::kReadOnly : Access::kReadWrite));
  uint64_t number = 0;
  if (key.read_only) {
    BROOD_RETURN_IF_ERROR(FillRandom(&number, sizeof(number)));
    number &= Region::kMaxId;
  } else {
    BROOD_RETURN_IF_ERROR(TakeId(*reinterpret_cast<RegionHeader*>(memory), *member));
    number = member->id;
  }
  member->mark = kFirstIdByte + number;
  if (lseek(member->fd.get(), static_cast<off_t>(member->mark), SEEK_SET) < 0) {
    return ErrnoStatus(errno, "lseek", "shared memory");
  }
  return member;
}

}  // namespace

std::string_view KindName(RegionKind kind) {
  constexpr std::string_view kNames[] = {"lock",    "rlock", "semaphore", "event",         "condition",
                                         "barrier", "value", "array",     "shared_memory", "queue"};
  const auto index = static_cast<uint32_t>(kind) - 1;
  return index < std::size(kNames) ? kNames[index] : "object of an unknown kind";
}

absl::Status NoRegion(std::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat("this ", what, " was neither created nor received"));
}

Member::~Member() {
  // In a forked child the number may belong to somebody else by now.
  if (process != LocalProcess::Peek()) DropInherited(*this);
}

absl::StatusOr<std::shared_ptr<Region>> Region::Create(RegionKind kind, const RegionParameters& parameters,
                                                       size_t payload_bytes, size_t payload_offset) {
  RegionHeader header = {};
  header.kind = kind;
  header.parameters = parameters;
  header.payload_offset = payload_offset;
  if (__builtin_add_overflow(payload_bytes, payload_offset, &header.size)) {
    return absl::ResourceExhaustedError(absl::StrCat("create a shared region of ", payload_bytes, " bytes: too large"));
  }
  BROOD_ASSIGN_OR_RETURN(UniqueFd fd, CreateRegionFile(header));
  return Attach(std::move(fd), kind);
}

absl::StatusOr<std::shared_ptr<Region>> Region::Attach(UniqueFd fd, absl::Span<const RegionKind> kinds, Access access) {
  LocalProcess* const process = &LocalProcess::Get();
  RegionHeader header = {};
  BROOD_RETURN_IF_ERROR(ReadRegionHeader(fd.get(), header));
  if (std::find(kinds.begin(), kinds.end(), header.kind) == kinds.end()) {
    return absl::InvalidArgumentError(absl::StrCat("expected ", KindName(kinds[0]), ", got ", KindName(header.kind)));
  }
  RegionKey key;
  key.random = header.random;
  key.read_only = access == Access::kReadOnly;
  if (!IdentifyFile(fd.get(), key)) return ErrnoStatus(errno, "fstat", "attach to shared memory");

  std::shared_ptr<Region> region;  // Declared before the guard: the last owner of a region takes the mutex.
  const std::lock_guard guard(process->mutex);
  if (const auto known = process->regions.find(key); known != process->regions.end()) {
    region = known->second.lock();
    if (region != nullptr) return region;
  }
  region.reset(new Region);
  region->kind_ = header.kind;
  region->parameters_ = header.parameters;
  region->key_ = key;
  region->size_ = header.size;
  region->payload_offset_ = header.payload_offset;
  BROOD_RETURN_IF_ERROR(region->Join(process, std::move(fd)));
  process->regions[key] = region;
  return region;
}

absl::Status Region::Join(LocalProcess* process, UniqueFd fd) {
  const int protection = key_.read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  // Through the description that came, never through the member's: a mapping keeps its description, and the locks on
  // it, for as long as any forked child has the mapping.
  void* memory = mmap(nullptr, size_, protection, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "mmap", absl::StrCat("shared region of ", size_, " bytes"));
  memory_ = static_cast<std::byte*>(memory);
  BROOD_ASSIGN_OR_RETURN(member_, MakeMember(process, key_, memory_, fd.get()));
  current_member_.store(member_.get(), std::memory_order_release);
  return absl::OkStatus();
}

Region::~Region() {
  if (memory_ != nullptr) munmap(memory_, size_);
  LocalProcess* process = LocalProcess::Peek();
  if (process == nullptr) return;
  const std::lock_guard guard(process->mutex);
  const auto known = process->regions.find(key_);
  if (known != process->regions.end() && known->second.expired()) process->regions.erase(known);
}

absl::StatusOr<Member*> Region::Self() const {
  Member* member = current_member_.load(std::memory_order_acquire);
  if (member->process == LocalProcess::Peek()) return member;
  return JoinAfterFork();
}

absl::StatusOr<Member*> Region::JoinAfterFork() const {
  LocalProcess* const process = &LocalProcess::Get();
  std::shared_ptr<Region> other;  // Declared before the guard, as in Attach.
  const std::lock_guard guard(process->mutex);
  if (member_->process == process) return member_.get();
  std::shared_ptr<Member> member;
  if (const auto known = process->regions.find(key_); known != process->regions.end()) other = known->second.lock();
  if (other != nullptr) {
    // The same object has been passed to this process: two objects, one member.
    member = other->member_;
  } else {
    if (!IsInheritedCopy(*member_)) {
      return absl::FailedPreconditionError(
          absl::StrCat("this ", KindName(kind_),
                       " was created before the fork and its descriptor is closed in this process; pass "
                       "the object to the child as an argument"));
    }
    BROOD_ASSIGN_OR_RETURN(member, MakeMember(process, key_, memory_, member_->fd.get()));
    process->regions[key_] = std::const_pointer_cast<Region>(shared_from_this());
  }
  DropInherited(*member_);
  // Another thread may be reading the parent's member just now.
  parents_members_.push_back(std::exchange(member_, std::move(member)));
  current_member_.store(member_.get(), std::memory_order_release);
  return member_.get();
}

absl::StatusOr<bool> Region::IsAlive(uint64_t id) const {
  BROOD_ASSIGN_OR_RETURN(const Member* self, Self());
  if (id == self->id) return true;  // Own locks are no conflict, so that the kernel does not report them.
  if (id == 0 || id > kMaxId) return false;
  return IdIsLocked(self->fd.get(), id);
}

absl::StatusOr<UniqueFd> Region::Descriptor(Access access) const {
  BROOD_ASSIGN_OR_RETURN(const Member* self, Self());
  if (key_.read_only) access = Access::kReadOnly;
  return Reopen(self->fd.get(), access);
}

}  // namespace brood::internal
