#include "ipc/semaphore.h"

#include <signal.h>

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "ipc/talking_child.h"

namespace brood {
namespace {

constexpr absl::Duration kNow = absl::ZeroDuration();
constexpr absl::Duration kSoon = absl::Seconds(30);

TEST(SemaphoreTest, GivesAsManyUnitsAsItHas) {
  const Semaphore semaphore = Semaphore::Create(2).value();
  EXPECT_EQ(*semaphore.Value(), 2u);
  EXPECT_TRUE(semaphore.Acquire().ok());
  EXPECT_TRUE(semaphore.Acquire().ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(semaphore.Acquire(kNow)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(semaphore.Acquire(absl::Milliseconds(20))));
  EXPECT_TRUE(semaphore.Release().ok());
  EXPECT_TRUE(semaphore.Acquire(kNow).ok());
}

TEST(SemaphoreTest, AnUnboundedOneMayBeReleasedBeyondItsInitialValue) {
  const Semaphore semaphore = Semaphore::Create(1).value();
  EXPECT_TRUE(semaphore.Release(3).ok());
  EXPECT_EQ(*semaphore.Value(), 4u);
  EXPECT_TRUE(absl::IsFailedPrecondition(semaphore.Release(Semaphore::kMaxValue)));
  EXPECT_TRUE(absl::IsInvalidArgument(semaphore.Release(0)));
  EXPECT_EQ(*semaphore.Value(), 4u);
}

TEST(SemaphoreTest, ABoundedOneMayNot) {
  const BoundedSemaphore semaphore = BoundedSemaphore::Create(2).value();
  EXPECT_TRUE(absl::IsFailedPrecondition(semaphore.Release()));
  EXPECT_TRUE(semaphore.Acquire().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(semaphore.Release(2)));
  EXPECT_TRUE(semaphore.Release().ok());
  EXPECT_EQ(*semaphore.Value(), 2u);
}

TEST(SemaphoreTest, TheTwoKindsAreNotMistakenForEachOther) {
  EXPECT_TRUE(absl::IsInvalidArgument(BoundedSemaphore::FromDescriptor(*Semaphore::Create()->Descriptor()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Semaphore::FromDescriptor(*BoundedSemaphore::Create()->Descriptor()).status()));
}

TEST(SemaphoreTest, AReleaseWakesASleepingProcess) {
  const Semaphore semaphore = Semaphore::Create(0).value();
  TalkingChild child([&](const TalkingChild::Parent& parent) {
    parent.Say('w');
    BROOD_REQUIRE_OK(semaphore.Acquire(kSoon));
    return 0;
  });
  ASSERT_EQ(child.Await(), 'w');
  EXPECT_TRUE(semaphore.Release().ok());
  EXPECT_EQ(child.Join(), 0);
}

TEST(SemaphoreTest, ADeadHoldersUnitsAbortWaitersUntilTheyAreRecovered) {
  const BoundedSemaphore semaphore = BoundedSemaphore::Create(3).value();
  ASSERT_TRUE(semaphore.Acquire().ok());
  TalkingChild holder([&](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE_OK(semaphore.Acquire());
    BROOD_REQUIRE_OK(semaphore.Acquire());
    parent.Say('h');
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(holder.Await(), 'h');
  TalkingChild waiter([&](const TalkingChild::Parent& parent) {
    parent.Say('w');
    BROOD_REQUIRE(absl::IsAborted(semaphore.Acquire(kSoon)));
    return 0;
  });
  ASSERT_EQ(waiter.Await(), 'w');
  EXPECT_EQ(*semaphore.Recover(), 0u);  // Nobody is dead yet.
  holder.Kill();
  EXPECT_EQ(waiter.Join(), 0);
  EXPECT_TRUE(absl::IsAborted(semaphore.Acquire(kNow)));
  EXPECT_EQ(*semaphore.Recover(), 2u);
  EXPECT_EQ(*semaphore.Value(), 2u);  // Ours is not given back.
  EXPECT_TRUE(semaphore.Acquire(kNow).ok());
  EXPECT_TRUE(semaphore.Release(2).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(semaphore.Release()));
}

TEST(SemaphoreTest, UnitsThatAreFreeAreGivenWhateverDied) {
  const Semaphore semaphore = Semaphore::Create(2).value();
  TalkingChild holder([&](const TalkingChild::Parent&) {
    BROOD_REQUIRE_OK(semaphore.Acquire());
    return 0;
  });
  EXPECT_EQ(holder.Join(), 0);
  EXPECT_TRUE(semaphore.Acquire().ok());
  EXPECT_TRUE(absl::IsAborted(semaphore.Acquire()));
}

TEST(SemaphoreTest, AProcessThatReleasedWhatItAcquiredHoldsNothingWhenItDies) {
  const Semaphore semaphore = Semaphore::Create(1).value();
  TalkingChild holder([&](const TalkingChild::Parent&) {
    BROOD_REQUIRE_OK(semaphore.Acquire());
    BROOD_REQUIRE_OK(semaphore.Release());
    return 0;
  });
  EXPECT_EQ(holder.Join(), 0);
  ASSERT_TRUE(semaphore.Acquire().ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(semaphore.Acquire(absl::Milliseconds(100))));
  EXPECT_EQ(*semaphore.Recover(), 0u);
}

TEST(SemaphoreTest, AnnouncementsBelongToNobodySoThatADeadConsumerAbortsNoOther) {
  const Semaphore semaphore = Semaphore::Create(0).value();
  ASSERT_TRUE(semaphore.Release(3).ok());
  TalkingChild consumer([&](const TalkingChild::Parent&) {
    for (int i = 0; i < 3; ++i) BROOD_REQUIRE_OK(semaphore.Acquire());
    return 0;
  });
  EXPECT_EQ(consumer.Join(), 0);
  EXPECT_TRUE(absl::IsDeadlineExceeded(semaphore.Acquire(absl::Milliseconds(100))));
  EXPECT_EQ(*semaphore.Recover(), 0u);
  ASSERT_TRUE(semaphore.Release().ok());
  EXPECT_TRUE(semaphore.Acquire(kNow).ok());
}

TEST(SemaphoreTest, MoreProcessesThanTheTableHasEntriesCanUseItOneAfterTheOther) {
  const Semaphore semaphore = Semaphore::Create(0).value();
  // Each leaves units behind that only settling can clear: half announce, half consume.
  for (int i = 0; i < 1100; ++i) {
    TalkingChild child([&](const TalkingChild::Parent&) {
      if (i % 2 == 0) BROOD_REQUIRE_OK(semaphore.Release());
      if (i % 2 == 1) BROOD_REQUIRE_OK(semaphore.Acquire(kNow));
      return 0;
    });
    ASSERT_EQ(child.Join(), 0) << i;
  }
  EXPECT_EQ(*semaphore.Value(), 0u);
}

TEST(SemaphoreTest, NoUnitIsLostOrDoubledWhileProcessesAreKilled) {
  const BoundedSemaphore semaphore = BoundedSemaphore::Create(2).value();
  for (int round = 0; round < 40; ++round) {
    std::vector<std::unique_ptr<TalkingChild>> workers;
    for (int i = 0; i < 3; ++i) {
      workers.push_back(std::make_unique<TalkingChild>([&](const TalkingChild::Parent& parent) {
        for (int n = 0;; ++n) {
          const absl::Status status = semaphore.Acquire();
          if (absl::IsAborted(status)) continue;
          BROOD_REQUIRE_OK(status);
          BROOD_REQUIRE_OK(semaphore.Release());
          if (n == 50 * (round % 4)) parent.Say('r');
        }
        return 0;
      }));
    }
    for (auto& worker : workers) worker->Await();
    for (auto& worker : workers) EXPECT_EQ(worker->Kill(), -SIGKILL);
    const absl::StatusOr<uint32_t> recovered = semaphore.Recover();
    ASSERT_TRUE(recovered.ok()) << recovered.status();
    ASSERT_LE(*recovered, 2u);
    ASSERT_EQ(*semaphore.Value(), 2u);
  }
}

}  // namespace
}  // namespace brood
