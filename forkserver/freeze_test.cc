// Freezing a process as programs are: with a heap, data of its own and its libraries', blocks of mmap. Each test does it to a
// fork of the test.
#include "forkserver/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "forkserver/in_child_testing.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

uint64_t g_data[100'000] = {1, 2, 3};  // .data
uint64_t g_bss[100'000];               // .bss
// Data that nobody has looked at: without a page until then.
struct Untouched {
  constexpr Untouched() {
    for (uint64_t i = 0; i < std::size(values); ++i) values[i] = i + 1;
  }
  bool IsRight() const {
    for (uint64_t i = 0; i < std::size(values); ++i) {
      if (values[i] != i + 1) return false;
    }
    return true;
  }
  uint64_t values[50'000] = {};
};
constinit Untouched g_untouched;
thread_local uint64_t t_local[1000] = {4, 5};
using Function = int (*)();
int Seven() { return 7; }
const Function volatile g_relocated[] = {Seven};  // .data.rel.ro

uint64_t Mix(uint64_t sum, uint64_t value) { return (sum ^ value) * 0x9e3779b97f4a7c15 + (sum >> 29); }

uint64_t Sum(const void* data, size_t size) {
  uint64_t sum = 0;
  for (size_t i = 0; i + 8 <= size; i += 8) {
    uint64_t value;
    memcpy(&value, static_cast<const char*>(data) + i, sizeof(value));
    sum = Mix(sum, value);
  }
  return sum;
}

void Fill(void* data, size_t size, uint64_t seed) {
  for (size_t i = 0; i + 8 <= size; i += 8) {
    seed = Mix(seed, i);
    memcpy(static_cast<char*>(data) + i, &seed, sizeof(seed));
  }
}

// Something of everything that a process has.
class Content {
 public:
  explicit Content(uint64_t seed) {
    for (int i = 0; i < 50'000; ++i) strings_.push_back(absl::StrCat("a string that has a place of its own ", seed, " ", i));
    for (size_t i = 0; i < strings_.size(); i += 3) strings_[i] = std::string();
    blocks_.resize(20);
    for (std::vector<char>& block : blocks_) {
      block.resize(kMiB);
      Fill(block.data(), block.size(), ++seed);
    }
    mapped_ = mmap(nullptr, kMapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Fill(mapped_, kMapped / 2, ++seed);  // The other half has no pages.
    mprotect(static_cast<char*>(mapped_) + 4 * kMiB, kMiB, PROT_READ);
    Fill(g_data, sizeof(g_data), ++seed);
    Fill(g_bss, sizeof(g_bss), ++seed);
    Fill(t_local, sizeof(t_local), ++seed);
  }

  uint64_t Checksum() const {
    uint64_t sum = 0;
    for (const std::string& text : strings_) sum = Mix(sum, Mix(text.size(), Sum(text.data(), text.size())));
    for (const std::vector<char>& block : blocks_) sum = Mix(sum, Sum(block.data(), block.size()));
    sum = Mix(sum, Sum(mapped_, kMapped));
    sum = Mix(sum, Sum(g_data, sizeof(g_data)));
    sum = Mix(sum, Sum(g_bss, sizeof(g_bss)));
    sum = Mix(sum, Sum(t_local, sizeof(t_local)));
    return Mix(sum, static_cast<uint64_t>(g_relocated[0]()));
  }

  void Scribble() {
    for (std::string& text : strings_) text += "!";
    for (std::vector<char>& block : blocks_) Fill(block.data(), block.size(), 99);
    memset(mapped_, 0x55, 4 * kMiB);
    memset(static_cast<char*>(mapped_) + kMapped - kMiB, 0x55, kMiB);
    Fill(g_data, sizeof(g_data), 99);
    Fill(g_bss, sizeof(g_bss), 99);
    Fill(t_local, sizeof(t_local), 99);
  }

  char* mapped() const { return static_cast<char*>(mapped_); }
  static constexpr size_t kMapped = 16 * kMiB;

 private:
  std::vector<std::string> strings_;
  std::vector<std::vector<char>> blocks_;
  void* mapped_ = nullptr;
};

FreezeReport Freeze(const FreezeOptions& options = {}) {
  absl::StatusOr<FreezeReport> report = FreezeProcess(options);
  EXPECT_TRUE(report.ok()) << report.status();
  return report.ok() ? *std::move(report) : FreezeReport();
}

const FreezeReport::Left* LeftAt(const FreezeReport& report, const void* address) {
  for (const FreezeReport::Left& left : report.left) {
    const auto at = reinterpret_cast<uintptr_t>(address);
    if (left.start <= at && at < left.end) return &left;
  }
  return nullptr;
}

std::string ReasonAt(const FreezeReport& report, const void* address) {
  const FreezeReport::Left* const left = LeftAt(report, address);
  return left == nullptr ? "" : left->reason;
}

bool IsFrozenAt(const void* address) {
  const absl::StatusOr<FrozenTaint> taint = ReadFrozenTaint();
  EXPECT_TRUE(taint.ok()) << taint.status();
  const auto at = reinterpret_cast<uintptr_t>(address);
  return std::any_of(taint->mappings.begin(), taint->mappings.end(),
                     [&](const FrozenTaint::Mapping& one) { return one.start <= at && at < one.end; });
}

class FreezeTest : public testing::TestWithParam<FreezeOptions::HugePages> {
 protected:
  FreezeOptions Options() const { return {.huge_pages = GetParam(), .keep = {}}; }
};

INSTANTIATE_TEST_SUITE_P(Pages, FreezeTest,
                         testing::Values(FreezeOptions::HugePages::kWherePaying, FreezeOptions::HugePages::kNever),
                         [](const auto& param) { return param.index == 0 ? "Huge" : "Small"; });

TEST_P(FreezeTest, NothingChangesInWhatTheProcessAndItsChildrenRead) {
  TestInChild([&] {
    const Content content(1);
    const uint64_t before = content.Checksum();
    const FreezeReport report = Freeze(Options());
    EXPECT_GE(report.copied_bytes, 30 * kMiB);
    EXPECT_GE(report.moved_bytes, report.copied_bytes);
    EXPECT_LE(report.huge_bytes, report.moved_bytes);
    EXPECT_TRUE(GetParam() != FreezeOptions::HugePages::kNever || report.huge_bytes == 0);
    EXPECT_TRUE(IsFrozenAt(g_data) && IsFrozenAt(g_bss + 1000) && IsFrozenAt(content.mapped()) && IsFrozenAt(t_local));
    EXPECT_TRUE(IsFrozenAt(&content) || LeftAt(report, &content) != nullptr);
    const uint64_t after = content.Checksum();
    EXPECT_EQ(after, before);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == before && g_untouched.IsRight(); }));
    EXPECT_TRUE(g_untouched.IsRight());
    g_untouched.values[7] = 8;
  });
}

TEST_P(FreezeTest, WritesOfAChildAreItsOwn) {
  TestInChild([&] {
    Content content(2);
    const uint64_t before = content.Checksum();
    Freeze(Options());
    EXPECT_TRUE(TrueInChild([&] {
      content.Scribble();
      return content.Checksum() != before;
    }));
    EXPECT_EQ(content.Checksum(), before);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == before; }));
    content.Scribble();
    const uint64_t own = content.Checksum();
    EXPECT_NE(own, before);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == own; }));
  });
}

// What allocators do with memory that they take it to be plain.
bool Torture() {
  std::vector<std::string> strings;
  for (int i = 0; i < 100'000; ++i) strings.push_back(absl::StrCat("string ", i, std::string(static_cast<size_t>(i % 200), 'x')));
  for (size_t i = 0; i < strings.size(); i += 2) std::string().swap(strings[i]);
  malloc_trim(0);
  for (size_t i = 1; i < strings.size(); i += 2) {
    if (strings[i] != absl::StrCat("string ", i, std::string(i % 200, 'x'))) return false;
  }
  const auto is_zero = [](size_t bytes) {
    char* const zeros = static_cast<char*>(calloc(bytes, 1));
    bool all = zeros != nullptr;
    for (size_t i = 0; all && i < bytes; ++i) all = zeros[i] == 0;
    if (zeros != nullptr) memset(zeros, 0xff, bytes);
    free(zeros);
    return all;
  };
  if (!is_zero(64 * kMiB)) return false;
  for (const size_t bytes : {24u, 200u, 1500u, 9'000u, 100'000u, 130'000u, 1'000'000u}) {
    for (int i = 0; i < 50; ++i) {
      if (!is_zero(bytes)) return false;
    }
  }
  char* grown = static_cast<char*>(malloc(200 * 1024));
  memset(grown, 7, 200 * 1024);
  grown = static_cast<char*>(realloc(grown, 64 * kMiB));
  for (size_t i = 0; i < 200 * 1024; ++i) {
    if (grown[i] != 7) return false;
  }
  memset(grown, 8, 64 * kMiB);
  free(grown);
  malloc_trim(0);
  return true;
}

TEST_P(FreezeTest, TheAllocatorOfAChildBearsIt) {
  TestInChild([&] {
    Content content(3);
    const uint64_t before = content.Checksum();
    // Blocks that were frozen while in use, and are given back, or grown, in the child.
    std::vector<std::unique_ptr<std::string>> mixed;
    for (int i = 0; i < 20'000; ++i) mixed.push_back(std::make_unique<std::string>(static_cast<size_t>(i % 3000), 'm'));
    char* large = static_cast<char*>(malloc(200 * 1024));
    memset(large, 9, 200 * 1024);
    Freeze(Options());
    for (int child = 0; child < 3; ++child) {
      EXPECT_TRUE(TrueInChild([&] {
        for (size_t i = 0; i < mixed.size(); i += 2) mixed[i].reset();
        malloc_trim(0);
        for (size_t i = 1; i < mixed.size(); i += 2) {
          if (*mixed[i] != std::string(i % 3000, 'm')) return false;
        }
        large = static_cast<char*>(realloc(large, 64 * kMiB));
        for (size_t i = 0; i < 200 * 1024; ++i) {
          if (large[i] != 9) return false;
        }
        memset(large, 1, 64 * kMiB);
        if (!Torture()) return false;
        std::thread([] { Torture(); }).join();  // In an arena of its own.
        return content.Checksum() == before;
      }));
    }
    EXPECT_TRUE(Torture());
    EXPECT_EQ(content.Checksum(), before);
  });
}

TEST_P(FreezeTest, AnArenaThatAThreadHasLeftStaysUsable) {
  TestInChild([&] {
    std::vector<std::string> of_thread;
    std::thread([&] {
      for (int i = 0; i < 20'000; ++i) of_thread.push_back(absl::StrCat("by a thread, long enough for a place of its own ", i));
    }).join();
    Freeze(Options());
    EXPECT_TRUE(TrueInChild([&] {
      for (size_t i = 0; i < of_thread.size(); i += 2) std::string().swap(of_thread[i]);
      malloc_trim(0);
      std::thread([] { Torture(); }).join();
      for (size_t i = 1; i < of_thread.size(); i += 2) {
        if (of_thread[i] != absl::StrCat("by a thread, long enough for a place of its own ", i)) return false;
      }
      return true;
    }));
  });
}

TEST_P(FreezeTest, MoreIsPreloadedAndFrozenAgain) {
  TestInChild([&] {
    const Content first(4);
    Freeze(Options());
    std::vector<std::unique_ptr<char[]>> more;
    for (int i = 0; i < 30; ++i) {
      more.push_back(std::make_unique<char[]>(kMiB));
      Fill(more.back().get(), kMiB, static_cast<uint64_t>(i));
    }
    const auto sum = [&] {
      uint64_t all = first.Checksum();
      for (const auto& block : more) all = Mix(all, Sum(block.get(), kMiB));
      return all;
    };
    const uint64_t before = sum();
    const FreezeReport second = Freeze(Options());
    EXPECT_GE(second.copied_bytes, 28 * kMiB) << second.ToString();  // Some of it fitted into what was free.
    EXPECT_TRUE(IsFrozenAt(more.back().get()) && IsFrozenAt(first.mapped()));
    EXPECT_EQ(sum(), before);
    EXPECT_TRUE(TrueInChild([&] { return sum() == before && Torture() && sum() == before; }));
  });
}

TEST(FreezeTest, AFrozenMappingThatWasRewrittenIsFrozenAgain) {
  TestInChild([] {
    Content content(5);
    Freeze();
    EXPECT_EQ(ReadFrozenTaint()->mappings.empty(), false);
    content.Scribble();
    const uint64_t before = content.Checksum();
    EXPECT_GE(ReadFrozenTaint()->written_bytes, 20 * kMiB);
    Freeze();
    EXPECT_LT(ReadFrozenTaint()->written_bytes, 2 * kMiB);
    EXPECT_EQ(content.Checksum(), before);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == before; }));
  });
}

TEST(FreezeTest, TaintTellsWhichMappingWasWrittenAndHowMuch) {
  TestInChild([] {
    const Content content(6);
    Freeze();
    const auto written_at = [](const void* address) {
      const auto at = reinterpret_cast<uintptr_t>(address);
      const absl::StatusOr<FrozenTaint> taint = ReadFrozenTaint();
      for (const FrozenTaint::Mapping& one : taint->mappings) {
        if (one.start <= at && at < one.end) return one.written_bytes;
      }
      return uint64_t{1} << 60;
    };
    // Which may be one mapping with its neighbours.
    const uint64_t before = written_at(content.mapped());
    const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    content.mapped()[0] = content.mapped()[2 * kMiB] = content.mapped()[2 * kMiB + 1] = 1;
    EXPECT_EQ(written_at(content.mapped()), before + 2 * page);
  });
}

long PageTables() {
  char line[256];
  long tables = -1;
  FILE* const file = fopen("/proc/self/status", "re");
  while (file != nullptr && fgets(line, sizeof(line), file) != nullptr) (void)sscanf(line, "VmPTE: %ld", &tables);
  if (file != nullptr) fclose(file);
  return tables;
}

TEST_P(FreezeTest, AForkOfAFrozenProcessHasTheTablesOfAnEmptyOne) {
  TestInChild([&] {
    constexpr size_t kSize = 256 * kMiB;
    const long before = PageTables();
    std::vector<std::unique_ptr<char[]>> blocks;
    for (size_t size = 0; size < kSize; size += kMiB / 8) {
      blocks.push_back(std::make_unique<char[]>(kMiB / 8 - 32));
      Fill(blocks.back().get(), kMiB / 8 - 32, size);
    }
    EXPECT_TRUE(TrueInChild([&] { return PageTables() >= before + 400; }));
    Freeze(Options());
    EXPECT_TRUE(TrueInChild([&] { return PageTables() <= before + 100; }));
  });
}

TEST(FreezeTest, WhatCannotBeMovedIsLeftAndNamedWithItsReason) {
  TestInChild([] {
    const auto map = [](int flags = 0) {
      char* const memory = static_cast<char*>(mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0));
      EXPECT_NE(memory, MAP_FAILED);
      Fill(memory, kMiB, 1);
      return memory;
    };
    char* const not_inherited = map();
    ASSERT_EQ(madvise(not_inherited, kMiB, MADV_DONTFORK), 0);
    char* const wiped = map();
    ASSERT_EQ(madvise(wiped, kMiB, MADV_WIPEONFORK), 0);
    char* const locked = map();
    ASSERT_EQ(mlock(locked, 64 * 1024), 0);  // RLIMIT_MEMLOCK may be little.
    char* const unreadable = map();
    ASSERT_EQ(mprotect(unreadable, kMiB, PROT_NONE), 0);
    char* const executable = map();
    ASSERT_EQ(mprotect(executable, kMiB, PROT_READ | PROT_EXEC), 0);
    char* const kept = map();
    for (char* const end : {kept, kept + kMiB - 4096}) ASSERT_EQ(mprotect(end, 4096, PROT_NONE), 0);  // No neighbour's, too.
    char* const guard = map();
    ASSERT_EQ(mprotect(guard, 4096, PROT_NONE), 0);
    int on_stack = 1;
    const FreezeReport report = Freeze({.keep = {{.address = kept + 5000, .bytes = 1}}});
    EXPECT_EQ(ReasonAt(report, not_inherited), "not inherited (MADV_DONTFORK)");
    EXPECT_EQ(ReasonAt(report, wiped), "wiped in children (MADV_WIPEONFORK)");
    EXPECT_EQ(ReasonAt(report, locked), "locked into memory (mlock)");
    EXPECT_EQ(ReasonAt(report, unreadable), "not readable");
    EXPECT_EQ(ReasonAt(report, executable), "executable");
    EXPECT_EQ(ReasonAt(report, kept + 4096), "kept, as was asked for");
    EXPECT_EQ(ReasonAt(report, &on_stack), "the stack in use");
    EXPECT_TRUE(absl::StrContains(report.ToString(), "[stack]: the stack in use")) << report.ToString();
    for (const char* left : {not_inherited, wiped, locked, unreadable, executable, kept + 4096}) EXPECT_FALSE(IsFrozenAt(left));
    EXPECT_TRUE(IsFrozenAt(guard + 8192));
    // What they are for still holds.
    TestInChild([&] {
      EXPECT_EQ(wiped[8], 0);
      EXPECT_EQ(wiped[kMiB / 2], 0);
      unsigned char resident = 0;
      EXPECT_EQ(mincore(not_inherited, 4096, &resident), -1);
      EXPECT_EQ(errno, ENOMEM);
    });
  });
}

// The kernel cannot read there, and says so in the middle of the work.
TEST(FreezeTest, AViewBeyondTheEndOfItsFileIsLeftAndAllElseIsFrozen) {
  TestInChild([] {
    const Content content(10);
    const uint64_t before = content.Checksum();
    FILE* const file = tmpfile();
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(ftruncate(fileno(file), 4096), 0);
    char* const view = static_cast<char*>(mmap(nullptr, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0));
    ASSERT_NE(view, MAP_FAILED);
    view[0] = 1;
    const FreezeReport report = Freeze();
    EXPECT_TRUE(absl::StrContains(ReasonAt(report, view), "EFAULT")) << ReasonAt(report, view);
    EXPECT_FALSE(IsFrozenAt(view));
    EXPECT_TRUE(IsFrozenAt(content.mapped()));
    EXPECT_EQ(view[0], 1);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == before && view[0] == 1 && Torture(); }));
    fclose(file);
  });
}

TEST(FreezeTest, AGuardPageStaysOne) {
  TestInChild([] {
    constexpr int kInstallGuard = 102;  // MADV_GUARD_INSTALL, of Linux 6.13. madvise(2)
    char* const memory = static_cast<char*>(mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    Fill(memory, kMiB, 1);
    if (madvise(memory + kMiB / 2, 4096, kInstallGuard) != 0) return;  // This kernel has none.
    const uint64_t sum = Sum(memory, kMiB / 2);
    const FreezeReport report = Freeze();
    EXPECT_NE(LeftAt(report, memory), nullptr);
    EXPECT_EQ(Sum(memory, kMiB / 2), sum);
    const rlimit none = {};
    setrlimit(RLIMIT_CORE, &none);
    EXPECT_FALSE(TrueInChild([&] { return *static_cast<volatile char*>(memory + kMiB / 2) == 0 || true; }));
  });
}

TEST(FreezeTest, SharedMemoryStaysShared) {
  TestInChild([] {
    int* const shared = static_cast<int*>(mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    *shared = 1;
    Freeze();
    EXPECT_TRUE(TrueInChild([&] { return ++*shared == 2; }));
    EXPECT_EQ(*shared, 2);
  });
}

TEST(FreezeTest, NotWithAnotherThread) {
  TestInChild([] {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    std::thread thread([&] {
      char byte;
      (void)!read(fds[0], &byte, 1);
    });
    const absl::Status status = FreezeProcess({}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "1 other threads")) << status;
    ASSERT_EQ(write(fds[1], "", 1), 1);
    thread.join();
    Freeze();
  });
}

struct Pipe {
  int read_end = -1;
};

TEST(FreezeTest, NotWhileAnotherProcessSharesTheMemory) {
  TestInChild([] {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    alignas(16) static char stack[64 * 1024];
    Pipe pipe = {.read_end = fds[0]};
    const pid_t sharer = clone(
        [](void* arg) {
          char byte;
          (void)!read(static_cast<Pipe*>(arg)->read_end, &byte, 1);
          return 0;
        },
        stack + sizeof(stack), CLONE_VM | SIGCHLD, &pipe);
    ASSERT_GT(sharer, 0);
    const absl::Status status = FreezeProcess({}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "another process shares this memory")) << status;
    ASSERT_EQ(write(fds[1], "", 1), 1);
    ASSERT_EQ(waitpid(sharer, nullptr, 0), sharer);
    Freeze();
  });
}

// Has the kernel kill this process when it calls unshare(2), as a sandbox may.
bool ForbidUnshare() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {.len = std::size(program), .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(FreezeTest, UnderAFilterOfSystemCallsOnlyWithoutChildren) {
  TestInChild([] {
    const Content content(11);
    const uint64_t before = content.Checksum();
    ASSERT_TRUE(ForbidUnshare());
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(fds[1]);
      char byte;
      (void)!read(fds[0], &byte, 1);
      _exit(0);
    }
    const absl::Status status = FreezeProcess({}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "has children")) << status;
    close(fds[1]);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    Freeze();
    EXPECT_EQ(content.Checksum(), before);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == before; }));
  });
}

TEST(FreezeTest, NotWithAsynchronousInputAndOutput) {
  unsigned long context = 0;
  if (syscall(SYS_io_setup, 1, &context) != 0) GTEST_SKIP() << "this kernel has no AIO";
  const absl::Status status = FreezeProcess({}).status();
  syscall(SYS_io_destroy, context);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "asynchronous I/O")) << status;
}

TEST(FreezeTest, NotWithIoUring) {
  char parameters[120] = {};
  const auto ring = static_cast<int>(syscall(SYS_io_uring_setup, 1, parameters));
  if (ring < 0) GTEST_SKIP() << "this machine has no io_uring";
  const absl::Status status = FreezeProcess({}).status();
  close(ring);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "io_uring")) << status;
}

TEST(FreezeTest, NotWithAHardLimitOfFileSizesButWithASoftOne) {
  TestInChild([] {
    rlimit limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    Freeze();
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_EQ(limit.rlim_cur, 4096u);
    limit.rlim_max = 1 << 20;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const absl::Status status = FreezeProcess({}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "RLIMIT_FSIZE")) << status;
  });
}

TEST(FreezeTest, LeavesNoDescriptorAndNoSignalBlockedAndTheRseqAreaRegistered) {
  TestInChild([] {
    const auto count = [] {
      int fds = 0;
      for (int fd = 0; fd < 1000; ++fd) fds += fcntl(fd, F_GETFD) >= 0;
      return fds;
    };
    const int before = count();
    Freeze();
    EXPECT_EQ(count(), before);
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, nullptr, &blocked);
    EXPECT_TRUE(sigisemptyset(&blocked));
    if (__rseq_size == 0) return;
    const auto* const area = reinterpret_cast<const volatile struct rseq*>(static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset);
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      if (sched_setaffinity(0, sizeof(one), &one) != 0) continue;  // There is no such processor for us.
      EXPECT_EQ(area->cpu_id, cpu);
    }
  });
}

// Goes through the unwinder, and the tables that it reads.
int Thrown() {
  try {
    throw 3;
  } catch (int number) {
    return number;
  }
}

// How many mappings there are of /proc/self/maps, and whether one can be written to and executed.
struct Mappings {
  size_t count = 0;
  bool writable_code = false;
};
Mappings ReadMappings() {
  Mappings mappings;
  char line[1024];
  FILE* const file = fopen("/proc/self/maps", "re");
  while (file != nullptr && fgets(line, sizeof(line), file) != nullptr) {
    ++mappings.count;
    mappings.writable_code |= strstr(line, " rwxp ") != nullptr;
  }
  if (file != nullptr) fclose(file);
  return mappings;
}

class CoalesceTest : public testing::TestWithParam<FreezeOptions::Coalesce> {};

INSTANTIATE_TEST_SUITE_P(Kinds, CoalesceTest,
                         testing::Values(FreezeOptions::Coalesce::kCodeWithConstants, FreezeOptions::Coalesce::kCodeIntoFile),
                         [](const auto& param) { return param.index == 0 ? "WithConstants" : "IntoFile"; });

TEST_P(CoalesceTest, LeavesFewerMappingsAndNoneThatIsWritableAndExecutable) {
  TestInChild([] {
    const Content content(8);
    const uint64_t before = content.Checksum();
    const size_t mappings_before = ReadMappings().count;
    const FreezeReport report = Freeze({.coalesce = GetParam(), .keep = {}});
    EXPECT_EQ(report.mappings_before, mappings_before);
    EXPECT_LE(report.mappings_after + report.coalesced, report.mappings_before);
    EXPECT_LE(ReadMappings().count, report.mappings_after + 1);
    EXPECT_FALSE(ReadMappings().writable_code);
    const bool moved = GetParam() == FreezeOptions::Coalesce::kCodeIntoFile;
    // The C library's code. A static program's may have no neighbour to be joined with.
    if (getauxval(AT_BASE) != 0) {
      EXPECT_EQ(IsFrozenAt(reinterpret_cast<const void*>(&std::puts)), moved);
    }
    EXPECT_EQ(content.Checksum(), before);
    EXPECT_EQ(Thrown(), 3);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == before && Torture() && Thrown() == 3; }));
  });
}

// Hazards, so that docs/freeze.md is true.

TEST(FreezeTest, AMappingThatGrowsFindsZerosBehindTheFrozenPart) {
  TestInChild([] {
    const Content content(9);
    char* const last = static_cast<char*>(mmap(nullptr, 3 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    char* const alone = last + kMiB;
    munmap(last, kMiB);
    munmap(last + 2 * kMiB, kMiB);
    Fill(alone, kMiB, 1);
    const uint64_t sum = Sum(alone, kMiB);
    Freeze();
    EXPECT_TRUE(TrueInChild([&] {
      char* const grown = static_cast<char*>(mremap(alone, kMiB, 16 * kMiB, MREMAP_MAYMOVE));
      bool zeros = grown != MAP_FAILED && Sum(grown, kMiB) == sum;
      for (size_t i = kMiB; zeros && i < 16 * kMiB; i += 64) zeros = grown[i] == 0;
      return zeros;
    }));
  });
}

// The same on plain memory would bring a page of zeros.
TEST(FreezeTest, GivingPagesBackBringsWhatWasFrozen) {
  TestInChild([] {
    const Content content(7);
    const char frozen = content.mapped()[100];
    Freeze();
    EXPECT_TRUE(TrueInChild([&] {
      content.mapped()[100] = static_cast<char>(frozen + 1);
      return madvise(content.mapped(), 4096, MADV_DONTNEED) == 0 && content.mapped()[100] == frozen;
    }));
  });
}

}  // namespace
}  // namespace brood
