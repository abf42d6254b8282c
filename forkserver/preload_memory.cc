#include "forkserver/preload_memory.h"

#include <memory>
#include <mutex>
#include <vector>

#include "base/status.h"

namespace brood {
namespace {

class Resource final : public std::pmr::memory_resource {
 public:
  void Enter() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++scopes_;
  }
  void Leave() {
    const std::lock_guard<std::mutex> lock(mutex_);
    --scopes_;
  }

  absl::StatusOr<PreloadArena::Report> Seal() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (arenas_.empty() || arenas_.back()->sealed()) return PreloadArena::Report();
    return arenas_.back()->Seal();
  }

 private:
  void* do_allocate(size_t bytes, size_t alignment) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (scopes_ == 0 || !Open()) return heap_->allocate(bytes, alignment);
    return arenas_.back()->allocate(bytes, alignment);
  }

  void do_deallocate(void* pointer, size_t bytes, size_t alignment) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& arena : arenas_) {
      if (arena->Holds(pointer)) return arena->deallocate(pointer, bytes, alignment);
    }
    heap_->deallocate(pointer, bytes, alignment);
  }

  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  // Where there is no room for an arena, as few addresses are allowed, the heap does, too.
  bool Open() {
    if (!arenas_.empty() && !arenas_.back()->sealed()) return true;
    absl::StatusOr<std::unique_ptr<PreloadArena>> arena = PreloadArena::Create({});
    if (arena.ok()) arenas_.push_back(*std::move(arena));
    return arena.ok();
  }

  std::pmr::memory_resource* const heap_ = std::pmr::new_delete_resource();
  std::mutex mutex_;  // Guards what follows.
  int scopes_ = 0;
  std::vector<std::unique_ptr<PreloadArena>> arenas_;  // All but the last are sealed. None is ever removed.
};

Resource& Global() {
  static Resource* const one = new Resource;
  return *one;
}

}  // namespace

std::pmr::memory_resource* PreloadMemory() { return &Global(); }

namespace internal {

PreloadMemoryScope::PreloadMemoryScope() { Global().Enter(); }
PreloadMemoryScope::~PreloadMemoryScope() { Global().Leave(); }

absl::StatusOr<PreloadArena::Report> SealPreloadMemory() { return Global().Seal(); }

}  // namespace internal
}  // namespace brood
