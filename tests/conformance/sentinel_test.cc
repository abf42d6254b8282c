// When a child has ended, and who is told: sentinels, Wait, Join with a timeout (test_sentinel, TestWait). What CPython
// gets wrong, a grandchild that survives and a child that executes a program, is in sentinel_linux_test.cc.
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "bootstrap/current_process.h"
#include "ipc/connection.h"
#include "ipc/pipe.h"
#include "ipc/wait.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

void AnswerUntilTheEnd(Connection connection) {
  while (true) {
    const absl::StatusOr<int> value = connection.Receive<int>();
    if (!value.ok()) return;
    if (!connection.Send(*value + 1).ok()) return;
  }
}
BROOD_TARGET(AnswerUntilTheEnd);

using SentinelTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(SentinelTest);

TEST_P(SentinelTest, ThereIsNoneBeforeTheStartAndNoneAfterClose) {
  Process process = context_.Create(Nothing).value();
  EXPECT_EQ(process.sentinel(), -1);
  ASSERT_EQ(process.Start(), absl::OkStatus());
  EXPECT_GE(process.sentinel(), 0);
  ASSERT_TRUE(process.Join().ok());
  EXPECT_TRUE(IsReadable(process.sentinel()));
  ASSERT_EQ(process.Close(), absl::OkStatus());
  EXPECT_EQ(process.sentinel(), -1);
}

TEST_P(SentinelTest, WaitGivesExactlyTheChildrenThatHaveEnded) {
  const RawPipe first_pipe, second_pipe;
  RawPipe third_pipe;
  Process first = context_.Start(WaitForEnd, first_pipe.reader).value();
  Process second = context_.Start(WaitForEnd, second_pipe.reader).value();
  Process third = context_.Start(WaitForEnd, third_pipe.reader).value();
  const std::vector<Waitable> all = {first.sentinel(), second.sentinel(), third.sentinel()};
  EXPECT_EQ(Wait(all, absl::ZeroDuration()).value(), std::vector<size_t>());
  third_pipe.writer.reset();
  EXPECT_EQ(Wait(all, absl::Milliseconds(kPatienceMs)).value(), (std::vector<size_t>{2}));
  ASSERT_EQ(first.Kill(), absl::OkStatus());
  ASSERT_TRUE(first.Join().ok());  // Its sentinel is another descriptor now, and ready for ever.
  EXPECT_EQ(Wait({first.sentinel(), second.sentinel(), third.sentinel()}).value(), (std::vector<size_t>{0, 2}));
}

TEST_P(SentinelTest, SentinelsAndConnectionsAreWaitedForTogether) {
  auto [mine, childs] = Pipe().value();
  Process process = context_.Start(AnswerUntilTheEnd, childs).value();
  childs.Close();
  EXPECT_EQ(Wait({process.sentinel(), mine}, absl::Milliseconds(1)).value(), std::vector<size_t>());
  ASSERT_EQ(mine.Send(7), absl::OkStatus());
  EXPECT_EQ(Wait({process.sentinel(), mine}, absl::Milliseconds(kPatienceMs)).value(), (std::vector<size_t>{1}));
  EXPECT_EQ(mine.Receive<int>().value(), 8);
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join().ok());
  // The peer's end is an event too.
  EXPECT_EQ(Wait({process.sentinel(), mine}, absl::Milliseconds(kPatienceMs)).value(), (std::vector<size_t>{0, 1}));
  EXPECT_EQ(mine.Receive<int>().status().code(), absl::StatusCode::kOutOfRange);
}

TEST_P(SentinelTest, ATimeoutIsTheWholeTimeAndANegativeOneLooksOnce) {
  Process process = StartWaiting();
  const absl::Time start = absl::Now();
  EXPECT_TRUE(Wait({process.sentinel()}, -absl::Seconds(1)).value().empty());
  EXPECT_TRUE(Wait({process.sentinel()}, absl::Milliseconds(150)).value().empty());
  EXPECT_EQ(process.Join(absl::Milliseconds(150)).status().code(), absl::StatusCode::kDeadlineExceeded);
  const absl::Duration took = absl::Now() - start;
  EXPECT_GE(took, absl::Milliseconds(290));
  EXPECT_LT(took, absl::Seconds(30));
  Release();
  ASSERT_TRUE(process.Join().ok());
}

}  // namespace
}  // namespace brood
