#include "benchmarks/goal.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

Contest TenAndForty() {
  Contest contest("waiting", "ten");
  contest.AddTimed("ten", [] { return 10.0; });
  contest.AddTimed("forty", [] { return 40.0; });
  contest.AddTimed("broken", []() -> absl::StatusOr<double> { return absl::InternalError("broke"); });
  contest.Run(3);
  return contest;
}

TEST(GoalTest, BothKindsAreMetOrMissedByTheRatioOfTheMedians) {
  const std::vector<Verdict> verdicts = Judge({{"id", "waiting", "forty", Goal::Kind::kAtMostTimes, "ten", 4.5},
                                               {"id", "waiting", "forty", Goal::Kind::kAtMostTimes, "ten", 3.5},
                                               {"id", "waiting", "ten", Goal::Kind::kAtLeastTimesFaster, "forty", 3.5},
                                               {"id", "waiting", "ten", Goal::Kind::kAtLeastTimesFaster, "forty", 4.5}},
                                              {TenAndForty()});
  ASSERT_EQ(verdicts.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(verdicts[i].measured, 4.0);
    EXPECT_EQ(VerdictName(verdicts[i]), i % 2 == 0 ? "met" : "missed");
    EXPECT_EQ(IsMet(verdicts[i]), i % 2 == 0);
  }
}

TEST(GoalTest, ADifferenceIsMetOrMissedInNanoseconds) {
  const std::vector<Verdict> verdicts =
      Judge({{"id", "waiting", "forty", Goal::Kind::kAtMostMoreNanoseconds, "ten", 30'000},
             {"id", "waiting", "forty", Goal::Kind::kAtMostMoreNanoseconds, "ten", 29'999}},
            {TenAndForty()});
  EXPECT_EQ(verdicts[0].measured, 30'000.0);
  EXPECT_EQ(VerdictName(verdicts[0]), "met");
  EXPECT_EQ(VerdictName(verdicts[1]), "missed");
}

TEST(GoalTest, ATimeNeedsNobodyToCompareWith) {
  const std::vector<Verdict> verdicts = Judge({{"id", "waiting", "forty", Goal::Kind::kAtMostMicroseconds, "", 40},
                                               {"id", "waiting", "forty", Goal::Kind::kAtMostMicroseconds, "", 39}},
                                              {TenAndForty()});
  EXPECT_EQ(verdicts[0].measured, 40.0);
  EXPECT_EQ(VerdictName(verdicts[0]), "met");
  EXPECT_EQ(VerdictName(verdicts[1]), "missed");
  EXPECT_EQ(GoalText(verdicts[0].goal), "waiting: forty at most 40 us");
}

TEST(GoalTest, WithoutARowNothingIsMeasuredAndWithoutTheContestNothingIsSaid) {
  const std::vector<Verdict> verdicts = Judge({{"id", "waiting", "ten", Goal::Kind::kAtMostTimes, "broken", 2},
                                               {"id", "sleeping", "ten", Goal::Kind::kAtMostTimes, "forty", 2}},
                                              {TenAndForty()});
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(VerdictName(verdicts[0]), "not measured");
  EXPECT_EQ(IsMet(verdicts[0]), std::nullopt);
}

}  // namespace
}  // namespace brood
