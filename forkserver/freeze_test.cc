// Freezing a process as programs are: with a heap, data of its own and its libraries', blocks of mmap. Each test does it to a
// fork of the test.
#include "forkserver/freeze.h"

#include <malloc.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "forkserver/freeze_testing.h"
#include "forkserver/in_child_testing.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

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

// On plain memory it would find zeros.
TEST(FreezeTest, ABlockThatGrowsFindsTheBytesOfItsNeighbour) {
  TestInChild([] {
    const Content content(13);
    const uint64_t neighbours = Sum(content.mapped() + 2 * kMiB, kMiB);
    Freeze();
    EXPECT_TRUE(TrueInChild([&] {
      const void* const grown = mremap(content.mapped() + kMiB, kMiB, 2 * kMiB, MREMAP_MAYMOVE);
      return grown != MAP_FAILED && Sum(static_cast<const char*>(grown) + kMiB, kMiB) == neighbours;
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
