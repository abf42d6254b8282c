#include "ipc/lock.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "ipc/talking_child.h"

namespace brood {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(30);

Lock MakeLock() { return Lock::Create().value(); }

TEST(LockTest, IsFreeAtFirstAndHeldUntilReleased) {
  const Lock lock = MakeLock();
  EXPECT_FALSE(*lock.IsHeld());
  ASSERT_TRUE(lock.Acquire().ok());
  EXPECT_TRUE(*lock.IsHeld());
  EXPECT_TRUE(absl::IsDeadlineExceeded(lock.Acquire(absl::ZeroDuration())));
  EXPECT_TRUE(absl::IsDeadlineExceeded(lock.Acquire(absl::Milliseconds(20))));
  ASSERT_TRUE(lock.Release().ok());
  EXPECT_TRUE(lock.Acquire(absl::ZeroDuration()).ok());
}

TEST(LockTest, AnEmptyHandleIsAnError) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Lock().Acquire()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Lock().Descriptor().status()));
}

TEST(LockTest, ReleasingAFreeLockIsFailedPrecondition) {
  EXPECT_TRUE(absl::IsFailedPrecondition(MakeLock().Release()));
}

TEST(LockTest, RecoveringALockThatNobodyDiedHoldingIsFailedPrecondition) {
  const Lock lock = MakeLock();
  EXPECT_TRUE(absl::IsFailedPrecondition(lock.Recover()));
  ASSERT_TRUE(lock.Acquire().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(lock.Recover()));
}

TEST(LockTest, AForkedChildSharesItAndHoldsNothingOfItsParents) {
  const Lock lock = MakeLock();
  ASSERT_TRUE(lock.Acquire().ok());
  TalkingChild child([&](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE(absl::IsDeadlineExceeded(lock.Acquire(absl::ZeroDuration())));
    parent.Say('b');
    BROOD_REQUIRE_OK(lock.Acquire());
    return 0;
  });
  EXPECT_EQ(child.Await(), 'b');
  ASSERT_TRUE(lock.Release().ok());
  EXPECT_EQ(child.Join(), 0);
}

TEST(LockTest, AnybodyMayReleaseIt) {
  const Lock lock = MakeLock();
  ASSERT_TRUE(lock.Acquire().ok());
  TalkingChild child([&](const TalkingChild::Parent&) {
    BROOD_REQUIRE_OK(lock.Release());
    return 0;
  });
  EXPECT_EQ(child.Join(), 0);
  EXPECT_FALSE(*lock.IsHeld());
}

TEST(LockTest, AWaiterSleepingWhenTheHolderIsKilledGetsAborted) {
  const Lock lock = MakeLock();
  TalkingChild holder([&](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE_OK(lock.Acquire());
    parent.Say('h');
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(holder.Await(), 'h');
  std::vector<TalkingChild> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back([&](const TalkingChild::Parent& parent) {
      parent.Say('w');
      const absl::Status status = lock.Acquire(kSoon);
      BROOD_REQUIRE(absl::IsAborted(status));
      return 0;
    });
    ASSERT_EQ(waiters.back().Await(), 'w');
  }
  EXPECT_EQ(holder.Kill(), -SIGKILL);
  for (TalkingChild& waiter : waiters) EXPECT_EQ(waiter.Join(), 0);
}

TEST(LockTest, EveryLaterCallerGetsAbortedUntilSomebodyRecovers) {
  const Lock lock = MakeLock();
  TalkingChild holder([&](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE_OK(lock.Acquire());
    parent.Say('h');
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(holder.Await(), 'h');
  holder.Kill();
  EXPECT_TRUE(absl::IsAborted(lock.Acquire(absl::ZeroDuration())));
  EXPECT_TRUE(absl::IsAborted(lock.Acquire()));
  EXPECT_TRUE(absl::IsAborted(lock.Release()));
  ASSERT_TRUE(lock.Recover().ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(lock.Acquire(absl::ZeroDuration())));  // The recoverer holds it.
  EXPECT_TRUE(absl::IsFailedPrecondition(lock.Recover()));
  ASSERT_TRUE(lock.Release().ok());
  EXPECT_TRUE(lock.Acquire(absl::ZeroDuration()).ok());
}

TEST(LockTest, AProcessThatExitsHoldingItCountsAsDead) {
  const Lock lock = MakeLock();
  TalkingChild holder([&](const TalkingChild::Parent&) {
    BROOD_REQUIRE_OK(lock.Acquire());
    return 0;
  });
  EXPECT_EQ(holder.Join(), 0);
  EXPECT_TRUE(absl::IsAborted(lock.Acquire()));
}

TEST(LockTest, AGrandchildThatSurvivesTheHolderDoesNotHideItsDeath) {
  // It has inherited the holder's descriptor and mapping, and drops the first by using the lock.
  const Lock lock = MakeLock();
  TalkingChild holder([&](const TalkingChild::Parent& parent) {
    BROOD_REQUIRE_OK(lock.Acquire());
    const TalkingChild grandchild([&](const TalkingChild::Parent&) {
      BROOD_REQUIRE(absl::IsDeadlineExceeded(lock.Acquire(absl::ZeroDuration())));
      parent.Say('g');
      parent.Sleep();
      return 0;
    });
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(holder.Await(), 'g');
  EXPECT_EQ(holder.Kill(), -SIGKILL);
  EXPECT_TRUE(absl::IsAborted(lock.Acquire(kSoon)));
}

TEST(LockTest, AChildWhoseDescriptorIsGoneIsToldToPassTheLock) {
  const Lock lock = MakeLock();
  TalkingChild child([&](const TalkingChild::Parent&) {
    close_range(3, ~0U, 0);
    // The numbers mean something else now, even the same kind of thing.
    for (int i = 0; i < 20; ++i) BROOD_REQUIRE(memfd_create("other", 0) >= 0);
    const absl::Status status = lock.Acquire();
    BROOD_REQUIRE(absl::IsFailedPrecondition(status));
    BROOD_REQUIRE(status.message().find("argument") != std::string::npos);
    return 0;
  });
  EXPECT_EQ(child.Join(), 0);
}

TEST(LockTest, AChildThatIsPassedTheLockCanUseWhatItInheritedToo) {
  const Lock lock = MakeLock();
  const UniqueFd passed = lock.Descriptor().value();
  TalkingChild child([&](const TalkingChild::Parent&) {
    // What was passed stands at the number that the parent's own descriptor had, and must not be taken for it.
    const UniqueFd moved(fcntl(passed.get(), F_DUPFD, 100));
    close_range(3, 99, 0);
    for (int fd = 3; fd < 30; ++fd) BROOD_REQUIRE(dup2(moved.get(), fd) == fd);
    BROOD_REQUIRE(absl::IsFailedPrecondition(lock.Acquire()));
    for (int fd = 3; fd < 30; ++fd) BROOD_REQUIRE(fcntl(fd, F_GETFD) >= 0);

    const Lock own = Lock::FromDescriptor(UniqueFd(5)).value();
    BROOD_REQUIRE_OK(own.Acquire());
    BROOD_REQUIRE(absl::IsDeadlineExceeded(lock.Acquire(absl::ZeroDuration())));
    BROOD_REQUIRE_OK(lock.Release());
    BROOD_REQUIRE_OK(lock.Acquire());
    for (int fd = 3; fd < 30; ++fd) BROOD_REQUIRE(fd == 5 || fcntl(fd, F_GETFD) >= 0);  // 5 was given away.
    return 0;
  });
  EXPECT_EQ(child.Join(), 0);
  EXPECT_TRUE(absl::IsAborted(lock.Acquire(kSoon)));
}

TEST(LockTest, AProcessHasOneMembershipHoweverOftenItReceivesTheLock) {
  const Lock lock = MakeLock();
  const Lock again = Lock::FromDescriptor(lock.Descriptor().value()).value();
  ASSERT_TRUE(lock.Acquire().ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(again.Acquire(absl::ZeroDuration())));
  EXPECT_TRUE(again.Release().ok());
}

TEST(LockTest, DroppingTheLastHandleWhileHoldingItIsADeath) {
  const Lock lock = MakeLock();
  const UniqueFd passed = lock.Descriptor().value();
  TalkingChild child([&](const TalkingChild::Parent& parent) {
    {
      const Lock own = Lock::FromDescriptor(UniqueFd(dup(passed.get()))).value();
      BROOD_REQUIRE_OK(own.Acquire());
      const Lock copy = own;
    }
    parent.Say('d');
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(child.Await(), 'd');
  EXPECT_TRUE(absl::IsAborted(lock.Acquire(kSoon)));
}

// Each child is process 1, thread 1 of its own pid namespace.
TEST(LockTest, ProcessesWithTheSameIdsInOtherPidNamespacesExcludeEachOther) {
  const Lock lock = MakeLock();
  const auto in_namespace = [](const TalkingChild::Parent& parent, const std::function<int()>& body) {
    if (unshare(geteuid() == 0 ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID) != 0) {
      parent.Say('s');
      return 0;
    }
    const pid_t pid = fork();
    BROOD_REQUIRE(pid >= 0);
    if (pid == 0) _exit(getpid() == 1 ? body() : 2);
    int status = 0;
    BROOD_REQUIRE(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
  };
  TalkingChild first([&](const TalkingChild::Parent& parent) {
    return in_namespace(parent, [&] {
      BROOD_REQUIRE_OK(lock.Acquire());
      parent.Say('h');
      parent.Await();
      return 0;  // Dies holding it.
    });
  });
  if (first.Await() == 's') GTEST_SKIP() << "this user may not make pid namespaces";
  TalkingChild second([&](const TalkingChild::Parent& parent) {
    return in_namespace(parent, [&] {
      BROOD_REQUIRE(absl::IsDeadlineExceeded(lock.Acquire(absl::Milliseconds(200))));
      parent.Say('t');
      BROOD_REQUIRE(absl::IsAborted(lock.Acquire(kSoon)));
      BROOD_REQUIRE_OK(lock.Recover());
      return 0;
    });
  });
  EXPECT_EQ(second.Await(), 't');
  first.Go();
  EXPECT_EQ(first.Join(), 0);
  EXPECT_EQ(second.Join(), 0);
}

TEST(LockTest, ThreadsOfOneProcessExcludeEachOther) {
  const Lock lock = MakeLock();
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 2000; ++n) {
        ASSERT_TRUE(lock.Acquire().ok());
        ++count;
        ASSERT_TRUE(lock.Release().ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 8000);
}

TEST(LockTest, ASignalDoesNotEndAWait) {
  const Lock lock = MakeLock();
  ASSERT_TRUE(lock.Acquire().ok());
  TalkingChild child([&](const TalkingChild::Parent& parent) {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR1, &action, nullptr);
    parent.Say('w');
    BROOD_REQUIRE_OK(lock.Acquire());
    return 0;
  });
  ASSERT_EQ(child.Await(), 'w');
  for (int i = 0; i < 200; ++i) {
    kill(child.pid(), SIGUSR1);
    sched_yield();
  }
  ASSERT_TRUE(lock.Release().ok());
  EXPECT_EQ(child.Join(), 0);
}

TEST(LockTest, HoldsOneDescriptorAndLeavesNone) {
  const auto open_descriptors = [] {
    int count = 0;
    for (int fd = 0; fd < 200; ++fd) count += fcntl(fd, F_GETFD) >= 0;
    return count;
  };
  const int before = open_descriptors();
  {
    const Lock lock = MakeLock();
    const Lock again = Lock::FromDescriptor(lock.Descriptor().value()).value();
    EXPECT_EQ(open_descriptors(), before + 1);
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace brood
