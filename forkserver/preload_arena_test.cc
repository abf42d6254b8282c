#include "forkserver/preload_arena.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "forkserver/in_child_testing.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

std::unique_ptr<PreloadArena> NewArena(const PreloadArena::Options& options = {}) {
  absl::StatusOr<std::unique_ptr<PreloadArena>> arena = PreloadArena::Create(options);
  EXPECT_TRUE(arena.ok()) << arena.status();
  return *std::move(arena);
}

void Fill(char* data, size_t size) {
  for (size_t i = 0; i < size; i += 8) memcpy(data + i, &i, sizeof(i));
}

bool IsFilled(const char* data, size_t size) {
  for (size_t i = 0; i < size; i += 8) {
    if (memcmp(data + i, &i, sizeof(i)) != 0) return false;
  }
  return true;
}

class PreloadArenaTest : public testing::TestWithParam<PreloadArena::HugePages> {};

INSTANTIATE_TEST_SUITE_P(Pages, PreloadArenaTest,
                         testing::Values(PreloadArena::HugePages::kWhereTheyCan, PreloadArena::HugePages::kNever),
                         [](const auto& param) { return param.index == 0 ? "Huge" : "Small"; });

TEST_P(PreloadArenaTest, DataIsTheSameAfterSealHereAndInChildren) {
  const auto arena = NewArena({.huge_pages = GetParam()});
  std::pmr::map<std::pmr::string, int> map(arena.get());
  for (int i = 0; i < 10'000; ++i) map.emplace(("a name that is too long to stand in place " + std::to_string(i)).c_str(), i);
  constexpr size_t kSize = 24 * kMiB + 4096;
  char* const block = static_cast<char*>(arena->allocate(kSize));
  Fill(block, kSize);
  const auto same = [&] {
    int sum = 0;
    for (const auto& [name, value] : map) {
      sum += std::string_view(name) == "a name that is too long to stand in place " + std::to_string(value);
    }
    return sum == 10'000 && IsFilled(block, kSize);
  };
  ASSERT_TRUE(same());
  const auto report = arena->Seal();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GE(report->used_bytes, kSize);
  EXPECT_GE(report->mapped_bytes, report->used_bytes);
  EXPECT_LE(report->huge_bytes, report->mapped_bytes);
  EXPECT_TRUE(arena->sealed());
  EXPECT_TRUE(TrueInChild(same));
  EXPECT_TRUE(same());
  EXPECT_EQ(arena->Seal()->used_bytes, report->used_bytes);
}

TEST_P(PreloadArenaTest, WritesAfterSealAreTheWritersOwn) {
  const auto arena = NewArena({.huge_pages = GetParam()});
  auto* const value = static_cast<volatile int*>(arena->allocate(sizeof(int), alignof(int)));
  *value = 1;
  ASSERT_TRUE(arena->Seal().ok());
  int ready[2], go[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(go, O_CLOEXEC), 0);
  const pid_t writer = fork();
  ASSERT_GE(writer, 0);
  if (writer == 0) {
    *value = 2;
    char byte = 0;
    (void)!write(ready[1], &byte, 1);
    (void)!read(go[0], &byte, 1);
    _exit(*value == 2 ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(*value, 1);
  EXPECT_TRUE(TrueInChild([&] { return *value == 1; }));
  *value = 3;
  EXPECT_TRUE(TrueInChild([&] { return *value == 3; }));
  ASSERT_EQ(write(go[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(writer, &status, 0), writer);
  EXPECT_EQ(status, 0);
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
}

TEST(PreloadArenaTest, WrittenBytesTellsOfWritesAfterSealOnly) {
  const auto arena = NewArena();
  EXPECT_EQ(arena->WrittenBytes().status().code(), absl::StatusCode::kFailedPrecondition);
  char* const block = static_cast<char*>(arena->allocate(8 * kMiB));
  Fill(block, 8 * kMiB);
  ASSERT_TRUE(arena->Seal().ok());
  ASSERT_TRUE(IsFilled(block, 8 * kMiB));
  EXPECT_EQ(arena->WrittenBytes().value(), 0u);
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  EXPECT_TRUE(TrueInChild([&] {
    block[0] = block[3 * kMiB] = 1;
    return arena->WrittenBytes().value() == 2 * page;
  }));
  EXPECT_EQ(arena->WrittenBytes().value(), 0u);
}

// In KiB, of the calling process.
long PageTables() {
  char line[256];
  long tables = -1;
  FILE* const file = fopen("/proc/self/status", "re");
  while (file != nullptr && fgets(line, sizeof(line), file) != nullptr) (void)sscanf(line, "VmPTE: %ld", &tables);
  if (file != nullptr) fclose(file);
  return tables;
}

long PageTablesInChild() {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  EXPECT_TRUE(TrueInChild([&] {
    const long tables = PageTables();
    return write(fds[1], &tables, sizeof(tables)) == sizeof(tables);
  }));
  long tables = -1;
  EXPECT_EQ(read(fds[0], &tables, sizeof(tables)), static_cast<ssize_t>(sizeof(tables)));
  close(fds[0]);
  close(fds[1]);
  return tables;
}

TEST_P(PreloadArenaTest, AForkCopiesNoPageTablesOfWhatIsSealed) {
  constexpr size_t kSize = 256 * kMiB;
  constexpr long kTablesOfThat = 512;  // KiB: of 8 bytes for each page.
  const long before = PageTablesInChild();
  const auto arena = NewArena({.huge_pages = GetParam()});
  char* const sealed = static_cast<char*>(arena->allocate(kSize));
  Fill(sealed, kSize);
  ASSERT_TRUE(arena->Seal().ok());
  ASSERT_TRUE(IsFilled(sealed, kSize));  // All of it is in the page tables of the parent.
  EXPECT_LE(PageTablesInChild(), before + 64);

  void* const plain = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(plain, MAP_FAILED);
  (void)madvise(plain, kSize, MADV_NOHUGEPAGE);
  Fill(static_cast<char*>(plain), kSize);
  EXPECT_GE(PageTablesInChild(), before + kTablesOfThat);
  munmap(plain, kSize);
}

TEST(PreloadArenaTest, WhatIsAllocatedAfterSealComesFromTheOtherResource) {
  char buffer[256];
  std::pmr::monotonic_buffer_resource later(buffer, sizeof(buffer), std::pmr::null_memory_resource());
  const auto arena = NewArena({.later = &later});
  std::pmr::vector<int> numbers({1, 2, 3}, arena.get());
  EXPECT_TRUE(arena->Holds(numbers.data()));
  ASSERT_TRUE(arena->Seal().ok());
  numbers.push_back(4);
  EXPECT_FALSE(arena->Holds(numbers.data()));
  EXPECT_GE(reinterpret_cast<char*>(numbers.data()), buffer);
  EXPECT_LT(reinterpret_cast<char*>(numbers.data()), buffer + sizeof(buffer));
  EXPECT_EQ(numbers, (std::pmr::vector<int>{1, 2, 3, 4}));
}

TEST(PreloadArenaTest, BlocksAreAlignedAndDoNotOverlapAndTheLastIsGivenBack) {
  const auto arena = NewArena();
  char* const one = static_cast<char*>(arena->allocate(1, 1));
  char* const aligned = static_cast<char*>(arena->allocate(10, 4096));
  char* const none = static_cast<char*>(arena->allocate(0, 1));
  EXPECT_GT(aligned, one);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned) % 4096, 0u);
  EXPECT_GE(none, aligned + 10);
  void* const last = arena->allocate(100, 8);
  arena->deallocate(last, 100, 8);
  EXPECT_EQ(arena->allocate(200, 8), last);
  arena->deallocate(aligned, 10, 4096);  // In the middle: stays.
  EXPECT_GT(arena->allocate(1, 1), last);
}

TEST(PreloadArenaTest, IsFullWhereWhatIsReservedEnds) {
  const auto arena = NewArena({.reserve_bytes = 4 * kMiB});
  EXPECT_THROW((void)arena->allocate(5 * kMiB), std::bad_alloc);
  EXPECT_THROW((void)arena->allocate(SIZE_MAX - 100), std::bad_alloc);
  char* const block = static_cast<char*>(arena->allocate(4 * kMiB, 1));
  Fill(block, 4 * kMiB);
  EXPECT_THROW((void)arena->allocate(1, 1), std::bad_alloc);
  ASSERT_TRUE(arena->Seal().ok());
  EXPECT_TRUE(IsFilled(block, 4 * kMiB));
}

TEST(PreloadArenaTest, AFileSizeLimitIsBadAllocAndNoSignal) {
  EXPECT_TRUE(TrueInChild([] {
    const rlimit limit = {.rlim_cur = 8 * kMiB, .rlim_max = 8 * kMiB};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    absl::StatusOr<std::unique_ptr<PreloadArena>> arena = PreloadArena::Create({});
    if (!arena.ok()) return false;
    try {
      (void)(*arena)->allocate(16 * kMiB);
    } catch (const std::bad_alloc&) {
      return (*arena)->allocate(4 * kMiB) != nullptr && (*arena)->Seal().ok();
    }
    return false;
  }));
}

TEST(PreloadArenaTest, AForkBeforeSealHasNoAccessRatherThanASharedView) {
  const auto arena = NewArena();
  auto* const value = static_cast<volatile int*>(arena->allocate(sizeof(int), alignof(int)));
  *value = 1;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    const rlimit none = {};
    setrlimit(RLIMIT_CORE, &none);
    *value = 2;
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  EXPECT_EQ(*value, 1);
}

TEST(PreloadArenaTest, LeavesNoMappingAndNoDescriptor) {
  const auto count = [] {
    int fds = 0;
    for (int fd = 0; fd < 1000; ++fd) fds += fcntl(fd, F_GETFD) >= 0;
    return fds;
  };
  const int before = count();
  const void* block = nullptr;
  for (const bool seal : {false, true}) {
    const auto arena = NewArena();
    block = arena->allocate(3 * kMiB);
    if (seal) {
      ASSERT_TRUE(arena->Seal().ok());
    }
    EXPECT_EQ(count(), before + (seal ? 0 : 1));
  }
  EXPECT_EQ(count(), before);
  unsigned char resident = 0;
  EXPECT_EQ(mincore(const_cast<void*>(block), 1, &resident), -1);
  EXPECT_EQ(errno, ENOMEM);
}

TEST(PreloadArenaTest, AnEmptyOneCanBeSealed) {
  const auto arena = NewArena();
  const auto report = arena->Seal();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->mapped_bytes, 0u);
  EXPECT_EQ(arena->WrittenBytes().value(), 0u);
}

TEST(PreloadArenaTest, ASealedFileTakesNoWriteThroughAnyWayToIt) {
  const auto arena = NewArena();
  auto* const value = static_cast<volatile int*>(arena->allocate(sizeof(int), alignof(int)));
  *value = 1;
  // A descriptor of the file that somebody has kept.
  int kept = -1;
  for (int fd = 0; fd < 1000 && kept < 0; ++fd) {
    char target[64] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (readlink(link.c_str(), target, sizeof(target) - 1) > 0 && strstr(target, "memfd:brood-preload") != nullptr) {
      kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
  }
  ASSERT_GE(kept, 0);
  ASSERT_TRUE(arena->Seal().ok());
  const int two = 2;
  EXPECT_EQ(pwrite(kept, &two, sizeof(two), 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(ftruncate(kept, 0), -1);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, kept, 0), MAP_FAILED);
  EXPECT_EQ(*value, 1);
  close(kept);
}

}  // namespace
}  // namespace brood
