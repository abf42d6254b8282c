// Where a preload puts what all children are to find, so that it costs no fork anything:
//
//   std::pmr::vector<Row> g_rows(brood::PreloadMemory());
//   std::vector<int, brood::PreloadAllocator<int>> g_numbers;
//   void LoadTables() { ... fill them ... }
//   BROOD_TARGET(LoadTables);
//
// While a forkserver runs a preload it is a PreloadArena, which the server seals before it forks. At any other time, and in
// any other process, it is the heap, so that the same code may run everywhere; what was allocated at one time may be freed at
// any other. In the children the memory may be written to, as any; a process that a preload itself forks has no access to
// it. Thread-safe.
#ifndef BROOD_FORKSERVER_PRELOAD_MEMORY_H_
#define BROOD_FORKSERVER_PRELOAD_MEMORY_H_

#include <cstddef>
#include <limits>
#include <memory_resource>
#include <new>

#include "absl/status/statusor.h"
#include "forkserver/preload_arena.h"

namespace brood {

// Lives for ever. Throws std::bad_alloc when there is no memory.
std::pmr::memory_resource* PreloadMemory();

// For containers whose type has an allocator that needs no argument.
template <typename T>
struct PreloadAllocator {
  using value_type = T;

  PreloadAllocator() = default;
  template <typename U>
  PreloadAllocator(const PreloadAllocator<U>&) {}  // NOLINT: what an allocator must have.

  T* allocate(size_t n) {
    if (n > std::numeric_limits<size_t>::max() / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(PreloadMemory()->allocate(n * sizeof(T), alignof(T)));
  }
  void deallocate(T* pointer, size_t n) { PreloadMemory()->deallocate(pointer, n * sizeof(T), alignof(T)); }

  template <typename U>
  bool operator==(const PreloadAllocator<U>&) const {
    return true;
  }
};

namespace internal {

// While one of these lives, PreloadMemory() is an arena.
class PreloadMemoryScope {
 public:
  PreloadMemoryScope();
  ~PreloadMemoryScope();
  PreloadMemoryScope(const PreloadMemoryScope&) = delete;
  PreloadMemoryScope& operator=(const PreloadMemoryScope&) = delete;
};

// Seals what was allocated in such scopes so far; later ones have an arena of their own. Errors: those of
// PreloadArena::Seal.
absl::StatusOr<PreloadArena::Report> SealPreloadMemory();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_FORKSERVER_PRELOAD_MEMORY_H_
