// The objects of ipc/ as arguments of targets: with each start method, inside each sandbox.
#include <signal.h>

#include <cstring>
#include <string>
#include <tuple>

#include "gtest/gtest.h"
#include "ipc/array.h"
#include "ipc/barrier.h"
#include "ipc/condition.h"
#include "ipc/event.h"
#include "ipc/lock.h"
#include "ipc/names.h"
#include "ipc/queue.h"
#include "ipc/rlock.h"
#include "ipc/semaphore.h"
#include "ipc/shared_memory.h"
#include "ipc/value.h"
#include "launcher/context.h"
#include "sandbox/plan.h"

namespace brood {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(30);

absl::Status UseLocks(Lock lock, const RLock& rlock, const Semaphore& semaphore, const BoundedSemaphore& bounded) {
  BROOD_RETURN_IF_ERROR(lock.Acquire(kSoon));
  BROOD_RETURN_IF_ERROR(lock.Release());
  BROOD_RETURN_IF_ERROR(rlock.Acquire(kSoon));
  BROOD_RETURN_IF_ERROR(rlock.Acquire(kSoon));
  BROOD_RETURN_IF_ERROR(rlock.Release());
  BROOD_RETURN_IF_ERROR(rlock.Release());
  BROOD_RETURN_IF_ERROR(bounded.Acquire(kSoon));
  BROOD_RETURN_IF_ERROR(bounded.Release());
  return semaphore.Release(3);
}
BROOD_TARGET(UseLocks);

absl::Status Meet(const Event& event, const Condition& condition, const Barrier& barrier, const Value<int>& ready) {
  BROOD_RETURN_IF_ERROR(event.Wait(kSoon));
  BROOD_RETURN_IF_ERROR(condition.Acquire(kSoon));
  ready.Store(1);
  BROOD_RETURN_IF_ERROR(condition.NotifyAll());
  BROOD_RETURN_IF_ERROR(condition.Release());
  return barrier.Wait(kSoon).status();
}
BROOD_TARGET(Meet);

absl::Status Fill(const Queue<std::string>& queue, const JoinableQueue<int>& tasks, const Array<double>& array,
                  const SharedMemory& memory) {
  BROOD_RETURN_IF_ERROR(queue.Put("from the child"));
  BROOD_RETURN_IF_ERROR(tasks.Get(kSoon).status());
  BROOD_RETURN_IF_ERROR(tasks.TaskDone());
  BROOD_RETURN_IF_ERROR(array.Set(2, 2.5));
  std::memcpy(memory.mutable_bytes().data(), "bytes", 5);
  return absl::OkStatus();
}
BROOD_TARGET(Fill);

absl::Status OpenAndCreate(const Names& names) {
  BROOD_ASSIGN_OR_RETURN(const SharedMemory memory, names.OpenMemory("of the parent"));
  std::memcpy(memory.mutable_bytes().data(), "bytes", 5);
  return names.CreateMemory("of the child", 7).status();
}
BROOD_TARGET(OpenAndCreate);

absl::Status CreateInside() {
  BROOD_ASSIGN_OR_RETURN(const Lock lock, Lock::Create());
  return lock.Acquire();
}
BROOD_TARGET(CreateInside);

// Ends by its own signal, as if it had been killed there.
void DieHolding(const Lock& lock, const Event& holds) {
  if (lock.Acquire().ok() && holds.Set().ok()) raise(SIGKILL);
}
BROOD_TARGET(DieHolding);

absl::Status ExpectAbortedThenRecover(const Lock& lock) {
  const absl::Status status = lock.Acquire(kSoon);
  if (!absl::IsAborted(status)) return absl::InternalError(status.ToString());
  BROOD_RETURN_IF_ERROR(lock.Recover());
  return lock.Release();
}
BROOD_TARGET(ExpectAbortedThenRecover);

Lock& GlobalLock() {
  static Lock lock;
  return lock;
}

absl::Status UseInherited() { return GlobalLock().Acquire(kSoon); }
BROOD_TARGET(UseInherited);

absl::Status UseInheritedAndPassed(const Lock& passed) {
  BROOD_RETURN_IF_ERROR(passed.Acquire(kSoon));
  return GlobalLock().Release();
}
BROOD_TARGET(UseInheritedAndPassed);

class SharedObjectsTest : public testing::TestWithParam<std::tuple<StartMethod, std::string>> {
 protected:
  const Context context_{std::get<0>(GetParam())};
  const LaunchOptions options_{.policy = CompilePolicy(BuiltinPolicy(std::get<1>(GetParam())).value()).value()};
};

INSTANTIATE_TEST_SUITE_P(All, SharedObjectsTest,
                         testing::Combine(testing::Values(StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer),
                                          testing::Values("none", "default", "strict")),
                         [](const auto& info) {
                           return std::string(StartMethodName(std::get<0>(info.param))) + "_" + std::get<1>(info.param);
                         });

TEST_P(SharedObjectsTest, LocksAndSemaphoresReachTheTarget) {
  const Semaphore semaphore = Semaphore::Create(0).value();
  ASSERT_EQ(
      context_.Call(options_, UseLocks, *Lock::Create(), *RLock::Create(), semaphore, *BoundedSemaphore::Create()),
      absl::OkStatus());
  EXPECT_EQ(*semaphore.Value(), 3u);
}

TEST_P(SharedObjectsTest, EventConditionAndBarrierBringTogether) {
  const Event event = Event::Create().value();
  const Condition condition = Condition::Create().value();
  const Barrier barrier = Barrier::Create(2).value();
  const Value<int> ready = Value<int>::Create(0).value();
  auto process = context_.Start(options_, Meet, event, condition, barrier, ready);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_TRUE(condition.Acquire().ok());
  ASSERT_TRUE(event.Set().ok());
  EXPECT_EQ(condition.WaitFor([&] { return ready.Load() == 1; }, kSoon), absl::OkStatus());
  ASSERT_TRUE(condition.Release().ok());
  EXPECT_EQ(barrier.Wait(kSoon).status(), absl::OkStatus());
  EXPECT_TRUE(process->Join()->ok());
}

TEST_P(SharedObjectsTest, QueuesArraysAndMemoryReachTheTarget) {
  const auto queue = Queue<std::string>::Create().value();
  const auto tasks = JoinableQueue<int>::Create().value();
  const auto array = Array<double>::Create(5).value();
  const auto memory = SharedMemory::Create(10).value();
  ASSERT_TRUE(tasks.Put(1).ok());
  ASSERT_EQ(context_.Call(options_, Fill, queue, tasks, array, memory), absl::OkStatus());
  EXPECT_EQ(*queue.TryGet(), "from the child");
  EXPECT_TRUE(tasks.Join(absl::ZeroDuration()).ok());
  EXPECT_EQ(*array.Get(2), 2.5);
  EXPECT_EQ(std::memcmp(memory.bytes().data(), "bytes", 5), 0);
}

TEST_P(SharedObjectsTest, NamesReachTheTargetWhereItsPolicyAllowsTheirCalls) {
  Policy policy = BuiltinPolicy(std::get<1>(GetParam())).value();
  if (std::get<1>(GetParam()) == "strict") {
    policy.syscalls.push_back({.names = {"socketpair", "sendmsg", "recvmsg", "getsockopt"}, .args = {}, .layer = 1});
  }
  const LaunchOptions options = {.policy = CompilePolicy(policy).value()};
  const Names names = Names::Create().value();
  const SharedMemory memory = names.CreateMemory("of the parent", 10).value();
  ASSERT_EQ(context_.Call(options, OpenAndCreate, names), absl::OkStatus());
  EXPECT_EQ(std::memcmp(memory.bytes().data(), "bytes", 5), 0);
  EXPECT_EQ(names.OpenMemory("of the child")->size(), 7u);
}

TEST_P(SharedObjectsTest, AChildCanMakeThemToo) { EXPECT_EQ(context_.Call(options_, CreateInside), absl::OkStatus()); }

TEST_P(SharedObjectsTest, ADeathInOneSandboxIsSeenInAnotherAndOutside) {
  const Lock lock = Lock::Create().value();
  const Event holds = Event::Create().value();
  auto process = context_.Start(options_, DieHolding, lock, holds);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_EQ(holds.Wait(kSoon), absl::OkStatus());
  EXPECT_TRUE(absl::IsAborted(lock.Acquire(kSoon)));
  EXPECT_EQ(context_.Call(options_, ExpectAbortedThenRecover, lock), absl::OkStatus());
  EXPECT_EQ(lock.Acquire(kSoon), absl::OkStatus());
}

// Neither start method lets a child use what it was not passed.
TEST_P(SharedObjectsTest, ALockThatWasNotPassedIsFailedPrecondition) {
  GlobalLock() = Lock::Create().value();
  EXPECT_TRUE(absl::IsFailedPrecondition(context_.Call(options_, UseInherited)));
}

TEST_P(SharedObjectsTest, AForkThatIsPassedALockCanUseItsInheritedHandleToo) {
  if (std::get<0>(GetParam()) != StartMethod::kFork) GTEST_SKIP() << "only a fork inherits handles";
  GlobalLock() = Lock::Create().value();
  EXPECT_EQ(context_.Call(options_, UseInheritedAndPassed, GlobalLock()), absl::OkStatus());
  EXPECT_EQ(GlobalLock().Acquire(kSoon), absl::OkStatus());
}

}  // namespace
}  // namespace brood
