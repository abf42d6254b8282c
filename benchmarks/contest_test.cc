#include "benchmarks/contest.h"

#include <string>

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

TEST(ContestTest, ATurnIsAsManyTimesInARowAsWasSet) {
  std::string ran;
  Contest contest("turns", "first");
  contest.SetTimesInARow(3);
  contest.Add("first", [&] { return ran += 'a', absl::OkStatus(); });
  contest.Add("second", [&] { return ran += 'b', absl::OkStatus(); });
  contest.Run(10, 0);
  ASSERT_EQ(ran.size(), 60u);
  for (size_t turn = 0; turn < ran.size(); turn += 3) EXPECT_EQ(ran.substr(turn, 3), std::string(3, ran[turn])) << ran;
  for (const Row& row : contest.Rows()) EXPECT_EQ(row.n, 30);
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
