#include "ipc/condition.h"

#include <signal.h>

#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "ipc/talking_child.h"
#include "serialization/value.h"

namespace brood {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(30);

// A child that waits, having said so with the lock held: whoever gets the lock after that finds it waiting.
TalkingChild Waiter(const Condition& condition, absl::StatusCode expected = absl::StatusCode::kOk) {
  return TalkingChild([&condition, expected](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE_OK(condition.Acquire());
    parent.Say('w');
    const absl::Status status = condition.Wait(kSoon);
    BROOD_REQUIRE(status.code() == expected);
    parent.Say('d');
    if (status.ok()) BROOD_REQUIRE_OK(condition.Release());
    return 0;
  });
}

TEST(ConditionTest, WaitingAndNotifyingNeedTheLock) {
  const Condition condition = Condition::Create().value();
  EXPECT_TRUE(absl::IsFailedPrecondition(condition.Wait()));
  EXPECT_TRUE(absl::IsFailedPrecondition(condition.Notify()));
  EXPECT_TRUE(absl::IsFailedPrecondition(condition.WaitFor([] { return true; })));
  ASSERT_TRUE(condition.Acquire().ok());
  std::thread([&] { EXPECT_TRUE(absl::IsFailedPrecondition(condition.Notify())); }).join();
  EXPECT_TRUE(condition.NotifyAll().ok());
  EXPECT_TRUE(condition.Release().ok());
}

TEST(ConditionTest, ATimeoutLeavesTheLockHeldAsOftenAsBefore) {
  const Condition condition = Condition::Create().value();
  ASSERT_TRUE(condition.Acquire().ok());
  ASSERT_TRUE(condition.Acquire().ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(condition.Wait(absl::ZeroDuration())));
  EXPECT_TRUE(absl::IsDeadlineExceeded(condition.Wait(absl::Milliseconds(20))));
  EXPECT_TRUE(absl::IsDeadlineExceeded(condition.WaitFor([] { return false; }, absl::Milliseconds(20))));
  EXPECT_TRUE(condition.Release().ok());
  EXPECT_TRUE(condition.Release().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(condition.Release()));
}

TEST(ConditionTest, NotifyWakesAsManyAsAskedInTheirOrder) {
  const Condition condition = Condition::Create(Lock::Create().value()).value();
  TalkingChild first = Waiter(condition);
  ASSERT_EQ(first.Await(), 'w');
  ASSERT_TRUE(condition.Acquire().ok());  // It waits: it had the lock until then.
  ASSERT_TRUE(condition.Release().ok());
  TalkingChild second = Waiter(condition);
  ASSERT_EQ(second.Await(), 'w');
  TalkingChild third = Waiter(condition);
  ASSERT_EQ(third.Await(), 'w');
  ASSERT_TRUE(condition.Acquire().ok());
  ASSERT_TRUE(condition.Notify().ok());
  ASSERT_TRUE(condition.Release().ok());
  EXPECT_EQ(first.Await(), 'd');
  EXPECT_EQ(first.Join(), 0);
  ASSERT_TRUE(condition.Acquire().ok());
  ASSERT_TRUE(condition.Notify(2).ok());
  ASSERT_TRUE(condition.Release().ok());
  EXPECT_EQ(second.Join(), 0);
  EXPECT_EQ(third.Join(), 0);
}

TEST(ConditionTest, NotifyAllWakesEverybody) {
  const Condition condition = Condition::Create().value();
  std::vector<TalkingChild> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.push_back(Waiter(condition));
    ASSERT_EQ(waiters.back().Await(), 'w');
  }
  ASSERT_TRUE(condition.Acquire().ok());
  ASSERT_TRUE(condition.NotifyAll().ok());
  ASSERT_TRUE(condition.Release().ok());
  for (TalkingChild& waiter : waiters) EXPECT_EQ(waiter.Join(), 0);
}

TEST(ConditionTest, ANotificationPassesOverAProcessThatDiedWaiting) {
  const Condition condition = Condition::Create().value();
  TalkingChild dead = Waiter(condition);
  ASSERT_EQ(dead.Await(), 'w');
  ASSERT_TRUE(condition.Acquire().ok());
  ASSERT_TRUE(condition.Release().ok());
  TalkingChild alive = Waiter(condition);
  ASSERT_EQ(alive.Await(), 'w');
  ASSERT_TRUE(condition.Acquire().ok());
  dead.Kill();
  ASSERT_TRUE(condition.Notify().ok());
  ASSERT_TRUE(condition.Release().ok());
  EXPECT_EQ(alive.Join(), 0);
}

TEST(ConditionTest, WaitersGetAbortedWhenTheHolderOfTheLockDies) {
  const Condition condition = Condition::Create().value();
  TalkingChild waiter = Waiter(condition, absl::StatusCode::kAborted);
  ASSERT_EQ(waiter.Await(), 'w');
  TalkingChild holder([&](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE_OK(condition.Acquire());
    parent.Say('h');
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(holder.Await(), 'h');
  holder.Kill();
  EXPECT_EQ(waiter.Await(), 'd');
  EXPECT_EQ(waiter.Join(), 0);
  EXPECT_TRUE(absl::IsAborted(condition.Acquire()));
  EXPECT_TRUE(condition.Recover().ok());
  EXPECT_TRUE(condition.NotifyAll().ok());
  EXPECT_TRUE(condition.Release().ok());
}

TEST(ConditionTest, TravelsWithItsLock) {
  const Lock lock = Lock::Create().value();
  const TypedValue packed = Pack(Condition::Create(lock).value());
  EXPECT_EQ(packed.type, "condition");
  const Condition received = Unpack<Condition>(packed).value();
  ASSERT_TRUE(received.Acquire().ok());
  EXPECT_TRUE(*lock.IsHeld());
  EXPECT_TRUE(absl::IsDeadlineExceeded(received.Wait(absl::ZeroDuration())));
}

}  // namespace
}  // namespace brood
