#include "ipc/queue.h"

#include <sched.h>
#include <signal.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ipc/lock.h"
#include "ipc/talking_child.h"
#include "serialization/value.h"

namespace brood {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(30);

template <typename T = int>
Queue<T> MakeQueue(const QueueOptions& options = {}) {
  return Queue<T>::Create(options).value();
}

TEST(QueueTest, GivesItemsInTheOrderInWhichTheyWerePut) {
  const Queue<std::string> queue = MakeQueue<std::string>();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(queue.Put(std::to_string(i)).ok());
  EXPECT_EQ(*queue.Size(), 10u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*queue.Get(), std::to_string(i));
  EXPECT_EQ(*queue.Size(), 0u);
}

TEST(QueueTest, AnEmptyOneSaysSo) {
  const Queue<int> queue = MakeQueue();
  EXPECT_TRUE(absl::IsUnavailable(queue.TryGet().status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.Get(absl::ZeroDuration()).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.Get(absl::Milliseconds(20)).status()));
}

TEST(QueueTest, AFullOneSaysSo) {
  const Queue<int> queue = MakeQueue({.max_items = 2});
  EXPECT_TRUE(queue.Put(1).ok());
  EXPECT_TRUE(queue.TryPut(2).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(queue.TryPut(3)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.Put(3, absl::Milliseconds(20))));
  EXPECT_EQ(*queue.Get(), 1);
  EXPECT_TRUE(queue.TryPut(3).ok());
}

TEST(QueueTest, IsBoundedByBytesToo) {
  const Queue<std::string> queue = MakeQueue<std::string>({.max_bytes = 100});
  EXPECT_TRUE(queue.TryPut(std::string(60, 'a')).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(queue.TryPut(std::string(60, 'b'))));
}

TEST(QueueTest, AnItemLargerThanTheQueueIsInvalidAndNamesBothSizes) {
  const absl::Status status = MakeQueue<std::string>({.max_bytes = 100}).Put(std::string(1000, 'a'));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("1012 bytes"), std::string::npos) << status;
  EXPECT_NE(status.message().find("has 100"), std::string::npos) << status;
}

TEST(QueueTest, ItemsWrapAroundTheEndOfTheMemory) {
  const Queue<std::string> queue = MakeQueue<std::string>({.max_bytes = 101});
  ASSERT_TRUE(queue.Put("first").ok());
  for (int i = 0; i < 500; ++i) {
    const std::string item(static_cast<size_t>(i % 40), static_cast<char>('a' + i % 26));
    ASSERT_TRUE(queue.TryPut(item).ok()) << i;
    const int p = i - 1;
    const std::string previous =
        i == 0 ? "first" : std::string(static_cast<size_t>(p % 40), static_cast<char>('a' + p % 26));
    ASSERT_EQ(*queue.Get(), previous) << i;
  }
}

TEST(QueueTest, AfterCloseNothingIsPutAndWhatIsLeftIsGiven) {
  const Queue<int> queue = MakeQueue();
  ASSERT_TRUE(queue.Put(1).ok());
  ASSERT_TRUE(queue.Close().ok());
  ASSERT_TRUE(queue.Close().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(queue.Put(2)));
  EXPECT_EQ(*queue.Get(), 1);
  EXPECT_TRUE(absl::IsOutOfRange(queue.Get().status()));
  EXPECT_TRUE(absl::IsOutOfRange(queue.TryGet().status()));
}

TEST(QueueTest, CloseWakesThoseWhoWait) {
  const Queue<int> full = MakeQueue({.max_items = 1});
  ASSERT_TRUE(full.Put(1).ok());
  const Queue<int> empty = MakeQueue();
  TalkingChild producer([&](const TalkingChild::Parent& parent) {
    parent.Say('p');
    BROOD_REQUIRE(absl::IsFailedPrecondition(full.Put(2, kSoon)));
    return 0;
  });
  TalkingChild consumer([&](const TalkingChild::Parent& parent) {
    parent.Say('c');
    BROOD_REQUIRE(absl::IsOutOfRange(empty.Get(kSoon).status()));
    return 0;
  });
  ASSERT_EQ(producer.Await(), 'p');
  ASSERT_EQ(consumer.Await(), 'c');
  ASSERT_TRUE(full.Close().ok());
  ASSERT_TRUE(empty.Close().ok());
  EXPECT_EQ(producer.Join(), 0);
  EXPECT_EQ(consumer.Join(), 0);
}

TEST(QueueTest, IsReceivedOnlyAsWhatItIs) {
  const TypedValue packed = Pack(MakeQueue<int>());
  EXPECT_EQ(packed.type, "queue<int32>");
  EXPECT_TRUE(Unpack<Queue<int>>(packed).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Unpack<Queue<std::string>>(packed).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Queue<float>::FromDescriptor(*MakeQueue<int>().Descriptor()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(JoinableQueue<int>::FromDescriptor(*MakeQueue<int>().Descriptor()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Lock::FromDescriptor(*MakeQueue<int>().Descriptor()).status()));
}

TEST(QueueTest, RefusesItemsWithHandles) {
  EXPECT_TRUE(absl::IsInvalidArgument(MakeQueue<Lock>().Put(Lock::Create().value())));
}

TEST(QueueTest, AnEmptyHandleIsAnError) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Queue<int>().Put(1)));
  EXPECT_TRUE(absl::IsFailedPrecondition(Queue<int>().Get().status()));
}

TEST(QueueTest, WhatWasPutIsThereAfterItsProducerDied) {
  const Queue<int> queue = MakeQueue();
  TalkingChild producer([&](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE_OK(queue.Put(5));
    parent.Say('p');
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(producer.Await(), 'p');
  producer.Kill();
  EXPECT_EQ(*queue.Get(kSoon), 5);
}

TEST(QueueTest, ManyProducersAndConsumersLoseAndDoubleNothing) {
  const Queue<uint64_t> queue = MakeQueue<uint64_t>({.max_bytes = 200});  // Small, so that both sides wait.
  const Queue<uint64_t> sums = MakeQueue<uint64_t>();
  constexpr uint64_t kEach = 5000;
  std::vector<TalkingChild> producers;
  std::vector<TalkingChild> consumers;
  for (int i = 0; i < 3; ++i) {
    producers.emplace_back([&](const TalkingChild::Parent&) {
      for (uint64_t n = 1; n <= kEach; ++n) BROOD_REQUIRE_OK(queue.Put(n));
      return 0;
    });
    consumers.emplace_back([&](const TalkingChild::Parent&) {
      uint64_t sum = 0;
      for (;;) {
        const absl::StatusOr<uint64_t> n = queue.Get();
        if (absl::IsOutOfRange(n.status())) break;
        BROOD_REQUIRE_OK(n.status());
        sum += *n;
      }
      BROOD_REQUIRE_OK(sums.Put(sum));
      return 0;
    });
  }
  for (TalkingChild& producer : producers) EXPECT_EQ(producer.Join(), 0);
  ASSERT_TRUE(queue.Close().ok());
  for (TalkingChild& consumer : consumers) EXPECT_EQ(consumer.Join(), 0);
  uint64_t sum = 0;
  for (int i = 0; i < 3; ++i) sum += *sums.Get();
  EXPECT_EQ(sum, 3 * kEach * (kEach + 1) / 2);
}

// Consumers record each item in a second queue before they take the next one, so that an item that is missing there was
// in the hand of one that was killed. The queue stays open: a consumer works or waits, and is alive when it is killed.
TEST(QueueTest, AKilledConsumerLosesAtMostWhatItHadTaken) {
  const Queue<int> queue = MakeQueue<int>();
  const Queue<int> seen = MakeQueue<int>();
  constexpr int kRounds = 50;
  constexpr int kItemsOfRound = 100;
  for (int round = 0; round < kRounds; ++round) {
    TalkingChild consumer([&](const TalkingChild::Parent&) {
      for (;;) {
        const absl::StatusOr<int> n = queue.Get();
        BROOD_REQUIRE_OK(n.status());
        BROOD_REQUIRE_OK(seen.Put(*n));
      }
      return 0;
    });
    for (int n = 0; n < kItemsOfRound; ++n) ASSERT_TRUE(queue.TryPut(round * kItemsOfRound + n).ok());
    while (*seen.Size() < static_cast<uint64_t>(round * kItemsOfRound / 2 + round)) sched_yield();
    ASSERT_EQ(consumer.Kill(), -SIGKILL);
  }
  std::vector<int> count(kRounds * kItemsOfRound);
  for (const Queue<int>& from : {queue, seen}) {
    for (absl::StatusOr<int> n = from.TryGet(); n.ok(); n = from.TryGet()) ++count[*n];
  }
  int missing = 0;
  for (const int times : count) {
    EXPECT_LE(times, 1);
    missing += times == 0;
  }
  EXPECT_LE(missing, kRounds);
}

TEST(JoinableQueueTest, JoinWaitsUntilEachItemIsReportedDone) {
  const auto queue = JoinableQueue<int>::Create().value();
  EXPECT_TRUE(queue.Join(absl::ZeroDuration()).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(queue.TaskDone()));
  ASSERT_TRUE(queue.Put(1).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(queue.TaskDone()));  // Nobody has taken it.
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.Join(absl::ZeroDuration())));
  TalkingChild joiner([&](const TalkingChild::Parent& parent) {
    parent.Say('j');
    BROOD_REQUIRE_OK(queue.Join(kSoon));
    return 0;
  });
  ASSERT_EQ(joiner.Await(), 'j');
  EXPECT_EQ(*queue.Get(), 1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.Join(absl::Milliseconds(100))));
  ASSERT_TRUE(queue.TaskDone().ok());
  EXPECT_EQ(joiner.Join(), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(queue.TaskDone()));
}

TEST(JoinableQueueTest, JoinIsAbortedIfAProcessDiesWithATaskUntilItIsRecovered) {
  const auto queue = JoinableQueue<int>::Create().value();
  for (int n = 0; n < 3; ++n) ASSERT_TRUE(queue.Put(n).ok());
  TalkingChild consumer([&](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE_OK(queue.Get().status());
    BROOD_REQUIRE_OK(queue.TaskDone());
    BROOD_REQUIRE_OK(queue.Get().status());
    parent.Say('t');
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(consumer.Await(), 't');
  EXPECT_EQ(*queue.Recover(), 0u);
  consumer.Kill();
  EXPECT_TRUE(absl::IsAborted(queue.Join(kSoon)));
  EXPECT_EQ(*queue.Recover(), 1u);
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.Join(absl::ZeroDuration())));  // One is left to do.
  ASSERT_TRUE(queue.Get().ok());
  ASSERT_TRUE(queue.TaskDone().ok());
  EXPECT_TRUE(queue.Join().ok());
}

TEST(JoinableQueueTest, TasksAreCountedRightlyWhereverAConsumerIsKilled) {
  for (int round = 0; round < 60; ++round) {
    const auto queue = JoinableQueue<int>::Create().value();
    for (int n = 0; n < 1000; ++n) ASSERT_TRUE(queue.TryPut(n).ok());
    TalkingChild consumer([&](const TalkingChild::Parent&) {
      for (;;) {
        if (!queue.Get().ok() || !queue.TaskDone().ok()) return 1;
      }
    });
    while (*queue.Size() > 900 - static_cast<uint64_t>(round)) sched_yield();
    EXPECT_EQ(consumer.Kill(), -SIGKILL);
    while (queue.TryGet().ok()) ASSERT_TRUE(queue.TaskDone().ok());
    const absl::StatusOr<uint64_t> lost = queue.Recover();
    ASSERT_TRUE(lost.ok());
    EXPECT_LE(*lost, 1u);
    ASSERT_TRUE(queue.Join(absl::ZeroDuration()).ok()) << round;
    EXPECT_TRUE(absl::IsFailedPrecondition(queue.TaskDone()));
  }
}

}  // namespace
}  // namespace brood
