#include "benchmarks/contest.h"

#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(ContestTest, EveryContestantRunsInEveryRound) {
  int first = 0;
  int second = 0;
  Contest contest("counting", "first");
  contest.Add("first", [&] { return ++first, absl::OkStatus(); });
  contest.Add("second", [&] { return ++second, absl::OkStatus(); });
  contest.Run(20);
  EXPECT_EQ(first, second);
  const std::vector<Row> rows = contest.Rows();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].n, 20);
  EXPECT_EQ(rows[0].ratio_to_floor, 1.0);
  EXPECT_LE(rows[1].p50_us, rows[1].p99_us);
}

TEST(ContestTest, AContestantThatFailsHasAReasonAndNoRow) {
  int calls = 0;
  Contest contest("failing", "good");
  contest.Add("good", [] { return absl::OkStatus(); });
  contest.Add("bad", [&] { return ++calls > 8 ? absl::InternalError("broke") : absl::OkStatus(); });
  contest.Run(20);
  EXPECT_EQ(contest.Rows().size(), 1u);
  ASSERT_EQ(contest.skipped().size(), 1u);
  EXPECT_EQ(contest.skipped()[0].reason, "broke");
  EXPECT_EQ(calls, 9);
}

}  // namespace
}  // namespace brood
