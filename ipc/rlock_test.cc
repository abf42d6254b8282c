#include "ipc/rlock.h"

#include <thread>

#include "gtest/gtest.h"
#include "ipc/lock.h"
#include "ipc/talking_child.h"

namespace brood {
namespace {

RLock MakeLock() { return RLock::Create().value(); }

TEST(RLockTest, IsHeldUntilReleasedAsOftenAsAcquired) {
  const RLock lock = MakeLock();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(lock.Acquire().ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(*lock.IsHeld());
    ASSERT_TRUE(lock.Release().ok());
  }
  EXPECT_FALSE(*lock.IsHeld());
  EXPECT_TRUE(absl::IsFailedPrecondition(lock.Release()));
}

TEST(RLockTest, AnotherThreadNeitherEntersNorReleases) {
  const RLock lock = MakeLock();
  ASSERT_TRUE(lock.Acquire().ok());
  std::thread([&] {
    EXPECT_TRUE(absl::IsDeadlineExceeded(lock.Acquire(absl::ZeroDuration())));
    EXPECT_TRUE(absl::IsFailedPrecondition(lock.Release()));
  }).join();
  EXPECT_TRUE(lock.Release().ok());
}

TEST(RLockTest, AForkedChildOfTheHolderNeitherEntersNorReleases) {
  const RLock lock = MakeLock();
  ASSERT_TRUE(lock.Acquire().ok());
  TalkingChild child([&](const TalkingChild::Parent&) {
    BROOD_REQUIRE(absl::IsDeadlineExceeded(lock.Acquire(absl::ZeroDuration())));
    BROOD_REQUIRE(absl::IsFailedPrecondition(lock.Release()));
    return 0;
  });
  EXPECT_EQ(child.Join(), 0);
  EXPECT_TRUE(lock.Release().ok());
}

TEST(RLockTest, IsRecursiveThroughEveryHandleOfTheProcess) {
  const RLock lock = MakeLock();
  const RLock again = RLock::FromDescriptor(lock.Descriptor().value()).value();
  ASSERT_TRUE(lock.Acquire().ok());
  EXPECT_TRUE(again.Acquire(absl::ZeroDuration()).ok());
  EXPECT_TRUE(lock.Release().ok());
  EXPECT_TRUE(again.Release().ok());
  EXPECT_FALSE(*lock.IsHeld());
}

TEST(RLockTest, DeathOfTheHolderIsAbortedUntilRecovered) {
  const RLock lock = MakeLock();
  TalkingChild holder([&](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE_OK(lock.Acquire());
    BROOD_REQUIRE_OK(lock.Acquire());
    parent.Say('h');
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(holder.Await(), 'h');
  holder.Kill();
  EXPECT_TRUE(absl::IsAborted(lock.Acquire()));
  ASSERT_TRUE(lock.Recover().ok());
  EXPECT_TRUE(lock.Acquire().ok());
  EXPECT_TRUE(lock.Release().ok());
  EXPECT_TRUE(lock.Release().ok());
  EXPECT_FALSE(*lock.IsHeld());
}

TEST(RLockTest, ALockIsNoRLock) {
  const absl::Status status = RLock::FromDescriptor(Lock::Create()->Descriptor().value()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(), "expected rlock, got lock");
}

}  // namespace
}  // namespace brood
