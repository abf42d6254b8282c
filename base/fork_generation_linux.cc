#include "base/fork_generation.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

namespace brood {
namespace {

// The kernel zeroes this page in every fork; a process number would not do, because each pid namespace counts anew.
// madvise(2), MADV_WIPEONFORK.
std::atomic<uint64_t>* MakePage() {
  const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* page = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (madvise(page, size, MADV_WIPEONFORK) != 0) {  // Before Linux 4.14.
    munmap(page, size);
    return nullptr;
  }
  return static_cast<std::atomic<uint64_t>*>(page);
}

// Made at the first call, which may come from the constructor of a static object, before ours would run.
std::atomic<uint64_t>* Page() {
  static std::atomic<uint64_t>* const page = MakePage();
  return page;
}

// Survives the fork: what the parent had. Not zero, so that it lies among the data, near what each child writes anyway: another
// page of zeros would be one more that each child copies.
std::atomic<uint64_t> g_last = 1;

}  // namespace

uint64_t ForkGeneration() {
  std::atomic<uint64_t>* const page = Page();
  if (page == nullptr) return static_cast<uint64_t>(getpid());
  const uint64_t generation = page->load(std::memory_order_acquire);
  return generation != 0 ? generation : BeginForkGeneration();
}

uint64_t BeginForkGeneration() {
  std::atomic<uint64_t>* const page = Page();
  if (page == nullptr) return static_cast<uint64_t>(getpid());
  // Of several threads one wins. Counted before it is seen: another thread may fork in between, and its child must not count
  // the same number again.
  const uint64_t next = g_last.fetch_add(1) + 1;
  uint64_t generation = 0;
  return page->compare_exchange_strong(generation, next) ? next : generation;
}

}  // namespace brood
