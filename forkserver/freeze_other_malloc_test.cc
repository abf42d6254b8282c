// A program with a malloc of its own, as jemalloc is one: what it does with pages that it gives back, nobody knows.
#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "forkserver/freeze.h"
#include "gtest/gtest.h"

namespace {

constexpr size_t kBytes = size_t{1} << 30;
constexpr size_t kHead = 16;
std::atomic<size_t> g_used = 0;

void* Allocate(size_t size, size_t alignment) {
  static char* const base =
      static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  const size_t at = g_used.fetch_add(size + kHead + alignment);
  if (at + size + kHead + alignment > kBytes) abort();
  char* const block = base + (at + kHead + alignment - 1) / alignment * alignment;
  memcpy(block - kHead, &size, sizeof(size));
  return block;
}

}  // namespace

extern "C" {

void* malloc(size_t size) { return Allocate(size, 16); }
void free(void*) {}
void* calloc(size_t count, size_t size) { return Allocate(count * size, 16); }
void* realloc(void* old, size_t size) {
  void* const block = Allocate(size, 16);
  if (old == nullptr) return block;
  size_t old_size;
  memcpy(&old_size, static_cast<char*>(old) - kHead, sizeof(old_size));
  return memcpy(block, old, old_size < size ? old_size : size);
}
void* memalign(size_t alignment, size_t size) { return Allocate(size, alignment < 16 ? 16 : alignment); }
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, size_t alignment, size_t size) {
  *block = memalign(alignment, size);
  return 0;
}

}  // extern "C"

namespace brood {
namespace {

TEST(FreezeTest, NotWithAMallocThatIsNotGlibcs) {
  const absl::Status status = FreezeProcess({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "malloc is not glibc's")) << status;
}

}  // namespace
}  // namespace brood
