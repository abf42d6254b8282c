#include "bootstrap/finalizer.h"

#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(FinalizerTest, HigherPriorityFirstThenNewestFirst) {
  std::string order;
  const auto add = [&](char name, int priority) { AddFinalizer([&order, name] { order += name; }, {priority}); };
  add('a', 0);
  add('b', 10);
  add('c', -1);
  add('d', 10);
  add('e', 0);
  internal::RunFinalizers();
  EXPECT_EQ(order, "dbeac");
  internal::RunFinalizers();
  EXPECT_EQ(order, "dbeac");
}

TEST(FinalizerTest, RunsAtMostOnceAndNotAfterCancel) {
  int runs = 0;
  const FinalizerId early = AddFinalizer([&] { ++runs; });
  const FinalizerId never = AddFinalizer([&] { runs += 100; });
  EXPECT_TRUE(FinalizerIsActive(early));
  EXPECT_TRUE(RunFinalizer(early));
  EXPECT_FALSE(RunFinalizer(early));
  EXPECT_TRUE(CancelFinalizer(never));
  EXPECT_FALSE(CancelFinalizer(never));
  internal::RunFinalizers();
  EXPECT_EQ(runs, 1);
}

TEST(FinalizerTest, OneThatThrowsDoesNotStopTheOthers) {
  bool ran = false;
  AddFinalizer([&] { ran = true; });
  AddFinalizer([] { throw std::runtime_error("broken finalizer"); });
  internal::RunFinalizers();
  EXPECT_TRUE(ran);
}

TEST(FinalizerTest, OneAddedByAnotherRunsToo) {
  bool ran = false;
  AddFinalizer([&] { AddFinalizer([&] { ran = true; }); });
  internal::RunFinalizers();
  EXPECT_TRUE(ran);
}

TEST(FinalizerTest, AForkDoesNotRunItsParents) {
  const FinalizerId id = AddFinalizer([] { _exit(1); });
  const pid_t pid = fork();
  if (pid == 0) {
    internal::RunFinalizers();
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  CancelFinalizer(id);
}

TEST(FinalizerTest, MayBeAddedFromManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int j = 0; j < 500; ++j) CancelFinalizer(AddFinalizer([] {}));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace brood
