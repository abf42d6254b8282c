#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/status.h"
#include "forkserver/huge_blocks_child.h"
#include "forkserver/preload_arena.h"
#include "forkserver/smaps.h"

namespace brood {
namespace {

using child::kHugeBlock;

// The file grows by an eighth of its size, within these.
constexpr size_t kLeastStep = kHugeBlock;
constexpr size_t kLargestStep = size_t{64} << 20;

constexpr size_t RoundUp(size_t size, size_t to) { return (size + to - 1) & ~(to - 1); }

size_t PageSize() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// Beyond this limit a file does not grow, and who tries is sent SIGXFSZ. getrlimit(2)
bool MayHave(size_t file_size) {
  rlimit limit = {};
  return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || file_size <= limit.rlim_cur;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PreloadArena>> PreloadArena::Create(const Options& options) {
  UniqueFd file(memfd_create("brood-preload", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) return ErrnoStatus(errno, "memfd_create", "for preloaded data");
  const size_t reserved = RoundUp(options.reserve_bytes, kHugeBlock);
  // More, to begin at a multiple of a huge page's size.
  void* const all = mmap(nullptr, reserved + kHugeBlock, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) {
    return ErrnoStatus(errno, "reserve addresses", "for preloaded data", "see `ulimit -v`, or reserve less");
  }
  const auto first = reinterpret_cast<uintptr_t>(all);
  char* const base = static_cast<char*>(all) + (RoundUp(first, kHugeBlock) - first);
  char* const end = static_cast<char*>(all) + reserved + kHugeBlock;
  if (base > all) munmap(all, static_cast<size_t>(base - static_cast<char*>(all)));
  if (end > base + reserved) munmap(base + reserved, static_cast<size_t>(end - (base + reserved)));
  if (mmap(base, reserved, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(), 0) == MAP_FAILED ||
      madvise(base, reserved, MADV_DONTFORK) != 0) {
    const int error = errno;
    munmap(base, reserved);
    return ErrnoStatus(error, "map", "the file of preloaded data");
  }
  std::unique_ptr<PreloadArena> arena(new PreloadArena(options, std::move(file)));
  arena->base_ = base;
  arena->reserved_ = reserved;
  return arena;
}

PreloadArena::~PreloadArena() {
  if (reserved_ > 0) munmap(base_, reserved_);
}

bool PreloadArena::Holds(const void* pointer) const {
  return pointer >= base_ && pointer < base_ + backed_;
}

void* PreloadArena::do_allocate(size_t bytes, size_t alignment) {
  if (sealed_) return options_.later->allocate(bytes, alignment);
  // The base is aligned to more than anybody asks for, unless to more than that.
  if (alignment > kHugeBlock || bytes > reserved_) throw std::bad_alloc();
  const size_t at = RoundUp(used_, alignment);
  const size_t end = at + std::max(bytes, size_t{1});
  if (end > reserved_ || (end > backed_ && !Grow(end))) throw std::bad_alloc();
  used_ = end;
  return base_ + at;
}

void PreloadArena::do_deallocate(void* pointer, size_t bytes, size_t alignment) {
  if (!Holds(pointer)) return options_.later->deallocate(pointer, bytes, alignment);
  const auto at = static_cast<size_t>(static_cast<char*>(pointer) - base_);
  if (!sealed_ && at + bytes == used_) used_ = at;
}

bool PreloadArena::Grow(size_t size) {
  const size_t step = std::clamp(backed_ / 8, kLeastStep, kLargestStep);
  const size_t to = std::min(RoundUp(std::max(size, backed_ + step), kHugeBlock), reserved_);
  if (!MayHave(to) || !Back(backed_, to)) return false;
  backed_ = to;
  return true;
}

// Takes the pages now: without memory for one, a later write would be SIGBUS.
bool PreloadArena::Back(size_t from, size_t to) {
  if (ftruncate(file_.get(), static_cast<off_t>(to)) != 0) return false;
  if (options_.huge_pages != HugePages::kNever && child::MakeHuge(file_.get(), base_ + from, to - from, from)) {
    huge_ += to - from;
    return true;
  }
  int failed;
  do {
    failed = fallocate(file_.get(), 0, static_cast<off_t>(from), static_cast<off_t>(to - from));
  } while (failed != 0 && errno == EINTR);
  if (failed == 0) return true;
  (void)!ftruncate(file_.get(), static_cast<off_t>(from));
  return false;
}

absl::StatusOr<PreloadArena::Report> PreloadArena::Seal() {
  const size_t page = huge_ > 0 ? kHugeBlock : PageSize();
  const size_t mapped = RoundUp(used_, page);
  const Report report = {.used_bytes = used_, .mapped_bytes = mapped, .huge_bytes = std::min(huge_, mapped)};
  if (sealed_) return report;
  if (mapped > 0 && ftruncate(file_.get(), static_cast<off_t>(mapped)) != 0) return ErrnoStatus(errno, "cut", "preloaded data");
  backed_ = mapped;
  huge_ = report.huge_bytes;
  // A writable shared mapping would keep the file from being sealed, and all of this must be gone before that. fcntl(2),
  // F_SEAL_WRITE. No other thread sees it in between, as the class promises none.
  if (mapped > 0 &&
      mmap(base_, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file_.get(), 0) == MAP_FAILED) {
    return ErrnoStatus(errno, "map", "preloaded data as private");
  }
  munmap(base_ + mapped, reserved_ - mapped);
  reserved_ = mapped;
  if (fcntl(file_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    const int error = errno;
    (void)mmap(base_, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_.get(), 0);
    madvise(base_, mapped, MADV_DONTFORK);
    return ErrnoStatus(error, "seal", "preloaded data", "something else maps it for writing");
  }
  sealed_ = true;
  file_.reset();  // The mapping keeps it.
  return report;
}

absl::StatusOr<uint64_t> PreloadArena::WrittenBytes() const {
  if (!sealed_) return absl::FailedPreconditionError("the preload arena is not sealed yet");
  BROOD_ASSIGN_OR_RETURN(const std::string text, internal::ReadSmaps());
  BROOD_ASSIGN_OR_RETURN(const auto mappings, internal::ParseSmaps(text, std::pmr::new_delete_resource()));
  uint64_t bytes = 0;
  for (const internal::Mapping& mapping : mappings) {
    if (Holds(reinterpret_cast<const void*>(mapping.start))) bytes += mapping.anonymous_bytes + mapping.swap_bytes;
  }
  return bytes;
}

}  // namespace brood
