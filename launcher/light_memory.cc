#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include "base/status.h"
#include "launcher/light_guardian.h"

namespace brood::internal {
namespace {

// What the guardian's deepest call needs is 40 KiB (tree_child.cc); pages that are not touched cost nothing.
constexpr size_t kUsable = 192 * 1024;

size_t PageSize() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

void Unmap(void* begin) { munmap(static_cast<char*>(begin) - PageSize(), PageSize() + kUsable); }

// Kept for the next launches, which then neither map one nor unmap, for all processors, what has run on another. Without
// a lock, which a fork could copy while it is held; what a fork inherits here is memory of its own.
std::array<std::atomic<void*>, 4> g_kept = {};

void* TakeKept() {
  for (std::atomic<void*>& kept : g_kept) {
    if (void* begin = kept.exchange(nullptr); begin != nullptr) return begin;
  }
  return nullptr;
}

bool Keep(void* begin) {
  for (std::atomic<void*>& kept : g_kept) {
    void* none = nullptr;
    if (kept.compare_exchange_strong(none, begin)) return true;
  }
  return false;
}

}  // namespace

LightMemory::LightMemory(LightMemory&& other) noexcept : begin_(std::exchange(other.begin_, nullptr)) {}

LightMemory& LightMemory::operator=(LightMemory&& other) noexcept {
  std::swap(begin_, other.begin_);
  return *this;
}

LightMemory::~LightMemory() {
  if (begin_ != nullptr && !Keep(begin_)) Unmap(begin_);
}

size_t LightMemory::size() { return kUsable; }

absl::StatusOr<LightMemory> LightMemory::Create() {
  LightMemory memory;
  memory.begin_ = TakeKept();
  if (memory.begin_ != nullptr) return memory;
  void* mapped = mmap(nullptr, PageSize() + kUsable, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapped == MAP_FAILED) return ErrnoStatus(errno, "mmap", "the guardian's stack");
  memory.begin_ = static_cast<char*>(mapped) + PageSize();
  // The stack grows down to it: an overflow must hit nothing of the caller's.
  if (mprotect(mapped, PageSize(), PROT_NONE) != 0) return ErrnoStatus(errno, "mprotect", "the guardian's stack");
  return memory;
}

}  // namespace brood::internal
