#include "sandbox/filter_layout.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <random>

#include "gtest/gtest.h"
#include "sandbox/notice_child.h"

namespace brood {
namespace {

using Op = ArgumentRule::Op;

constexpr uint32_t kYes = SECCOMP_RET_ALLOW;
constexpr uint32_t kNo = SECCOMP_RET_ERRNO | 1;
constexpr uint32_t kForeign = SECCOMP_RET_KILL_PROCESS;
constexpr Op kOps[] = {Op::kEqual, Op::kNotEqual, Op::kLess, Op::kLessOrEqual, Op::kGreater, Op::kGreaterOrEqual};

std::vector<sock_filter> LayOut(const std::vector<FilterInterval>& intervals) {
  absl::StatusOr<std::vector<sock_filter>> code = LayOutFilter(AUDIT_ARCH_X86_64, kForeign, intervals);
  EXPECT_TRUE(code.ok()) << code.status();
  return code.ok() ? *code : std::vector<sock_filter>();
}

uint32_t Call(const std::vector<sock_filter>& code, uint32_t number, uint64_t argument = 0, uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data = {};
  data.nr = static_cast<int>(number);
  data.arch = arch;
  data.args[0] = argument;
  return child::RunFilter(code.data(), code.size(), data);
}

// As C compares unsigned numbers.
bool Holds(Op op, uint64_t argument, uint64_t value) {
  switch (op) {
    case Op::kEqual:
    case Op::kMaskedEqual:
      return argument == value;
    case Op::kNotEqual:
      return argument != value;
    case Op::kLess:
      return argument < value;
    case Op::kLessOrEqual:
      return argument <= value;
    case Op::kGreater:
      return argument > value;
    case Op::kGreaterOrEqual:
      return argument >= value;
  }
  return false;
}

constexpr uint64_t kEdges[] = {0,          1,           0x7fffffff,  0x80000000,         0xfffffffe,
                               0xffffffff, 0x100000000, 0x100000001, 0x1fffffffe,        0x7fffffffffffffff,
                               1ull << 63, ~0ull - 1,   ~0ull,       0xffffffff00000000, 0xffffffff80000000};

TEST(FilterLayoutTest, EveryOperatorComparesAsCDoesIn64Bits) {
  for (const Op op : kOps) {
    for (const uint64_t value : kEdges) {
      const auto code = LayOut({{0, {{{{{.index = 0, .op = op, .value = value}}, kYes}}, kNo}}});
      for (const uint64_t argument : kEdges) {
        EXPECT_EQ(Call(code, 0, argument), Holds(op, argument, value) ? kYes : kNo)
            << static_cast<int>(op) << " " << std::hex << argument << " " << value;
      }
    }
  }
}

TEST(FilterLayoutTest, NarrowOperatorsDoNotLookAtTheHighHalf) {
  for (const Op op : kOps) {
    for (const uint64_t value : {0ull, 1ull, 0x7fffffffull, 0x80000000ull, 0xffffffffull, ~0ull}) {
      const auto code = LayOut({{0, {{{{{.index = 0, .op = op, .value = value, .width = 32}}, kYes}}, kNo}}});
      for (const uint64_t argument : kEdges) {
        EXPECT_EQ(Call(code, 0, argument), Holds(op, argument & 0xffffffff, value & 0xffffffff) ? kYes : kNo)
            << static_cast<int>(op) << " " << std::hex << argument << " " << value;
      }
    }
  }
}

TEST(FilterLayoutTest, MasksLookAtTheirBitsOnly) {
  const ArgumentRule rule = {.index = 0, .op = Op::kMaskedEqual, .value = 0x100000002, .mask = 0xf0000000f};
  const auto code = LayOut({{0, {{{{rule}, kYes}}, kNo}}});
  EXPECT_EQ(Call(code, 0, 0x100000002), kYes);
  EXPECT_EQ(Call(code, 0, 0xfffffff1fffffff2), kYes);
  EXPECT_EQ(Call(code, 0, 0x200000002), kNo);
  EXPECT_EQ(Call(code, 0, 0x100000003), kNo);
}

TEST(FilterLayoutTest, AllComparisonsOfARuleMustHoldAndTheFirstRuleThatHoldsCounts) {
  const auto code = LayOut({{0,
                             {{{{{.index = 0, .op = Op::kGreaterOrEqual, .value = 10}, {.index = 0, .op = Op::kLess, .value = 20}}, 1},
                               {{{.index = 0, .op = Op::kLess, .value = 15}}, 2},
                               {{{.index = 0, .op = Op::kNotEqual, .value = 99}}, 3}},
                              4}}});
  EXPECT_EQ(Call(code, 0, 12), 1u);
  EXPECT_EQ(Call(code, 0, 5), 2u);
  EXPECT_EQ(Call(code, 0, 20), 3u);
  EXPECT_EQ(Call(code, 0, 99), 4u);
}

TEST(FilterLayoutTest, FindsEveryNumberAmongHundredsOfIntervals) {
  std::mt19937 random(1);
  std::vector<FilterInterval> intervals;
  std::vector<uint32_t> expected;
  for (uint32_t number = 0; number < 600; ++number) {
    const uint32_t result = random() % 3;
    expected.push_back(result);
    FilterInterval interval = {number, {{}, result}};
    if (random() % 10 == 0) interval.decision.cases.push_back({{{.index = 0, .op = Op::kEqual, .value = 7}}, 100});
    expected.back() += interval.decision.cases.empty() ? 0 : 1000;
    intervals.push_back(interval);
  }
  const auto code = LayOut(intervals);
  for (uint32_t number = 0; number < 600; ++number) {
    const bool compared = expected[number] >= 1000;
    EXPECT_EQ(Call(code, number, 7), compared ? 100 : expected[number]) << number;
    EXPECT_EQ(Call(code, number, 8), expected[number] % 1000) << number;
  }
  EXPECT_EQ(Call(code, 0xffffffff, 8), expected[599] % 1000);
  EXPECT_EQ(Call(code, 5, 0, AUDIT_ARCH_I386), kForeign);
}

TEST(FilterLayoutTest, ThreeHundredRulesInTwentyIntervalsTakeFewInstructions) {
  std::vector<FilterInterval> intervals;
  for (uint32_t i = 0; i < 40; ++i) intervals.push_back({i * 15, {{}, i % 2 == 0 ? kYes : kNo}});
  EXPECT_LE(LayOut(intervals).size(), 90u);
}

TEST(FilterLayoutTest, ComparisonsThatCanNeverHoldAreErrors) {
  const auto message = [](const ArgumentRule& rule) {
    return std::string(LayOutFilter(AUDIT_ARCH_X86_64, kForeign, {{0, {{{{rule}, kYes}}, kNo}}}).status().message());
  };
  EXPECT_EQ(message({.index = 2, .op = Op::kMaskedEqual, .value = 3, .mask = 1}),
            "the comparison of argument 2 can never hold: its value has bits that its mask lacks");
  EXPECT_EQ(message({.index = 1, .op = Op::kEqual, .value = 0x100000000, .width = 32}),
            "the comparison of argument 1 can never hold: its value has more than 32 bits");
  EXPECT_EQ(message({.index = 6}), "an argument's index must be 0 to 5, not 6");
  EXPECT_EQ(message({.width = 16}), "the width of a comparison is 32 or 64, not 16");
}

TEST(FilterLayoutTest, RefusesWhatTheKernelWouldNotTake) {
  FilterInterval interval = {0, {{}, kNo}};
  for (uint32_t i = 0; i < 1500; ++i) interval.decision.cases.push_back({{{.index = 0, .op = Op::kEqual, .value = i}}, kYes});
  EXPECT_EQ(LayOutFilter(AUDIT_ARCH_X86_64, kForeign, {interval}).status().message(),
            "the filter has 7505 instructions, the kernel takes 4096");
}

}  // namespace
}  // namespace brood
