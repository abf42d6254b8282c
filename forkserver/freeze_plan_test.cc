#include "forkserver/freeze_plan.h"

#include <sys/mman.h>

#include <memory_resource>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace brood::internal {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::pmr::memory_resource* Heap() { return std::pmr::new_delete_resource(); }
std::pmr::vector<CodeRun> NoCode() { return std::pmr::vector<CodeRun>(Heap()); }

// One mapping of an smaps file, which has pages of its own.
std::string Text(std::string_view range, std::string_view protection, std::string_view offset, std::string_view file,
                 std::string_view flags, int own_kb = 4) {
  return absl::StrCat(range, " ", protection, " ", offset, " ", file, "\nRss: 4 kB\nAnonymous: ", own_kb,
                      " kB\nSwap: 0 kB\nVmFlags: ", flags, "\n");
}

TEST(FreezePlanTest, EachKindOfMemoryThatCannotBeMovedHasItsReason) {
  struct Case {
    std::string text;
    std::string reason;
  };
  const std::string file = "08:01 5 /x";
  for (const Case& one : {
           Case{Text("10000-20000", "rw-p", "0", "00:00 0", "rd wr ht"), "huge pages of hugetlbfs"},
           Case{Text("10000-20000", "rw-p", "0", "00:05 9 /dev/mem", "rd wr io pf"), "memory of a device"},
           Case{Text("10000-20000", "rw-p", "0", "00:05 9 /dev/x", "rd wr mm"), "memory of a device"},
           Case{Text("10000-20000", "rw-p", "0", "00:00 0 [stack]", "rd wr gd"), "grows down, as the stack does"},
           Case{Text("10000-20000", "rw-p", "0", "00:00 0", "rd wr um"), "watched (userfaultfd)"},
           Case{Text("10000-20000", "rw-p", "0", "00:00 0", "rd wr uw"), "watched (userfaultfd)"},
           Case{Text("10000-20000", "rw-p", "0", "00:00 0", "rd wr ss"), "a shadow stack"},
           Case{Text("10000-20000", "rw-p", "0", "00:00 0", "rd wr sl"), "sealed (mseal)"},
           Case{Text("10000-20000", "rw-p", "0", "00:00 0", "rd wr gu"), "has guard pages (MADV_GUARD_INSTALL)"},
           Case{Text("10000-20000", "rw-p", "0", "00:00 0", "rd wr dp"), "may be dropped (MAP_DROPPABLE)"},
           Case{Text("10000-20000", "rw-p", "0", "00:00 0", "rd wr mg"), "shared by content (MADV_MERGEABLE)"},
           Case{Text("10000-20000", "rw-s", "0", file, "rd wr sh"), "shared"},
           Case{Text("10000-20000", "r--p", "0", "00:00 0 [vvar]", "rd"), "the kernel's own"},
           Case{Text("10000-20000", "r-xp", "0", "00:00 0 [vdso]", "rd ex"), "the kernel's own"},
           Case{Text("10000-20000", "r-xp", "0", file, "rd ex"), "executable"},
           Case{Text("10000-20000", "-w-p", "0", "00:00 0", "wr"), "not readable"},
           Case{Text("10000-20000", "rw-p", "0", "00:00 0", "rd wr") , ""},
           Case{Text("10000-20000", "rw-p", "0", file, "rd wr"), ""},
           Case{Text("1000000-2000000", "rw-p", "0", file, "rd wr"), "a view of a file of which little was changed"},
           Case{Text("1000000-2000000", "rw-p", "0", file, "rd wr", 4096), ""},
           Case{Text("1000000-2000000", "rw-p", "0", "00:01 5 /memfd:brood-frozen (deleted)", "rd wr"),
                "frozen already, and little was written since"},
           Case{Text("1000000-2000000", "rw-p", "0", "00:00 0", "rd wr"), ""},
       }) {
    const auto mappings = ParseSmaps(one.text, Heap());
    ASSERT_TRUE(mappings.ok()) << mappings.status();
    const FreezePlan plan = PlanFreeze(*mappings, NoCode(), 0, {}, Heap());
    if (one.reason.empty()) {
      EXPECT_EQ(plan.moved.size(), 1u) << one.text;
      EXPECT_TRUE(plan.left.empty()) << one.text;
    } else {
      EXPECT_TRUE(plan.moved.empty()) << one.text;
      ASSERT_EQ(plan.left.size(), 1u) << one.text;
      EXPECT_EQ(plan.left[0].reason, one.reason) << one.text;
    }
  }
}

TEST(FreezePlanTest, WhatCostsAForkNothingIsNotTouched) {
  const std::string text = absl::StrCat(Text("10000-20000", "rw-p", "0", "08:01 5 /x", "rd wr", 0),
                                        Text("20000-30000", "rw-p", "0", "00:00 0", "rd wr", 0));
  const FreezePlan plan = PlanFreeze(ParseSmaps(text, Heap()).value(), NoCode(), 0, {}, Heap());
  EXPECT_TRUE(plan.moved.empty());
  EXPECT_TRUE(plan.left.empty());
}

TEST(FreezePlanTest, EmptyMemoryIsMovedWhereItBecomesOneMappingWithItsNeighbour) {
  const std::string data = Text("10000-20000", "rw-p", "0", "08:01 5 /x", "rd wr mr mw me ac");
  struct Case {
    std::string second;
    size_t moved;
  };
  for (const Case& one : {Case{Text("20000-30000", "rw-p", "0", "00:00 0", "rd wr mr mw me ac", 0), 2},
                          Case{Text("30000-40000", "rw-p", "0", "00:00 0", "rd wr mr mw me ac", 0), 1},     // Elsewhere.
                          Case{Text("20000-30000", "r--p", "0", "00:00 0", "rd mr mw me ac", 0), 1},        // Not to be written.
                          Case{Text("20000-30000", "rw-p", "0", "00:00 0", "rd wr mr mw me ac wf", 0), 1},  // Special.
                          Case{Text("20000-30000", "rw-p", "0", "00:00 0", "rd wr mr mw me nr", 0), 1},
                          Case{Text("20000-9000000", "rw-p", "0", "00:00 0", "rd wr mr mw me ac", 0), 1}}) {  // Large.
    const FreezePlan plan = PlanFreeze(ParseSmaps(data + one.second, Heap()).value(), NoCode(), 0, {}, Heap());
    ASSERT_EQ(plan.moved.size(), one.moved) << one.second;
    EXPECT_TRUE(plan.left.empty()) << one.second;
    if (one.moved == 2) {
      EXPECT_EQ(plan.moved[1].offset, plan.moved[0].offset + 0x10000);
      EXPECT_FALSE(plan.moved[1].from_file);
    }
  }
}

TEST(FreezePlanTest, NeighboursAreNeighboursInTheFileAndRunsHaveRoomBehindThem) {
  const std::string text = absl::StrCat(Text("7f0000123000-7f0000400000", "r--p", "0", "00:00 0", "rd"),
                                        Text("7f0000400000-7f0000500000", "rw-p", "0", "00:00 0", "rd wr nr dd"),
                                        Text("7f0000600000-7f0000601000", "rw-p", "3000", "08:01 5 /x", "rd wr"));
  const FreezePlan plan = PlanFreeze(ParseSmaps(text, Heap()).value(), NoCode(), 0, {}, Heap());
  ASSERT_EQ(plan.moved.size(), 3u);
  EXPECT_EQ(plan.moved[1].offset - plan.moved[0].offset, 0x400000u - 0x123000u);
  EXPECT_GE(plan.moved[2].offset, plan.moved[1].offset + kMiB + (uint64_t{1} << 30));
  EXPECT_GE(plan.file_bytes, plan.moved[2].offset + (uint64_t{1} << 30));
  for (const child::MovedMapping& moved : plan.moved) EXPECT_EQ(moved.offset % (2 * kMiB), moved.start % (2 * kMiB));
  EXPECT_EQ(plan.moved[0].protection, PROT_READ);
  EXPECT_EQ(plan.moved[1].protection, PROT_READ | PROT_WRITE);
  EXPECT_FALSE(plan.moved[0].no_reserve);
  EXPECT_TRUE(plan.moved[1].no_reserve);
  EXPECT_EQ(plan.moved[1].advice[0], MADV_DONTDUMP);
  EXPECT_FALSE(plan.moved[1].from_file);
  EXPECT_TRUE(plan.moved[2].from_file);
}

TEST(FreezePlanTest, CodeIsJoinedWithConstantsOfTheSameFileOnly) {
  const std::string text = absl::StrCat(
      // A library: header, code, constants, relocated constants, data.
      Text("100000-110000", "r--p", "0", "08:01 5 /a", "rd", 0), Text("110000-120000", "r-xp", "10000", "08:01 5 /a", "rd ex", 0),
      Text("120000-130000", "r--p", "20000", "08:01 5 /a", "rd", 0), Text("130000-131000", "r--p", "30000", "08:01 5 /a", "rd"),
      Text("131000-132000", "rw-p", "31000", "08:01 5 /a", "rd wr", 0),
      // Another, whose parts do not follow each other in the file.
      Text("200000-210000", "r--p", "0", "08:01 6 /b", "rd", 0), Text("210000-220000", "r-xp", "11000", "08:01 6 /b", "rd ex", 0),
      // Two files of the same name; constants alone.
      Text("220000-230000", "r--p", "21000", "08:01 7 /b", "rd", 0), Text("230000-240000", "r--p", "31000", "08:01 7 /b", "rd", 0));
  using enum FreezeOptions::Coalesce;
  const auto mappings = ParseSmaps(text, Heap()).value();
  EXPECT_TRUE(FindCodeRuns(mappings, kNever, Heap()).empty());
  const auto runs = FindCodeRuns(mappings, kCodeWithConstants, Heap());
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].start, 0x100000u);
  EXPECT_EQ(runs[0].end, 0x130000u);
  EXPECT_EQ(runs[0].mappings, 3u);

  const auto moved_runs = FindCodeRuns(mappings, kCodeIntoFile, Heap());
  ASSERT_EQ(moved_runs.size(), 2u);
  EXPECT_EQ(moved_runs[0].end, 0x131000u);
  EXPECT_EQ(moved_runs[1].start, 0x200000u);
  EXPECT_EQ(moved_runs[1].end, 0x220000u);
  const FreezePlan plan = PlanFreeze(mappings, moved_runs, 0, {.coalesce = kCodeIntoFile, .keep = {}}, Heap());
  ASSERT_EQ(plan.moved.size(), 6u);
  for (const child::MovedMapping& moved : plan.moved) {
    EXPECT_TRUE(moved.from_file);
    EXPECT_EQ(moved.protection, PROT_READ | PROT_EXEC);
  }
  EXPECT_EQ(plan.moved[3].offset, plan.moved[0].offset + 0x30000);
}

}  // namespace
}  // namespace brood::internal
