#include "base/fork_generation.h"

#include <sys/wait.h>
#include <unistd.h>

#include <mutex>

#include "base/per_process.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

const uint64_t g_before_main = ForkGeneration();  // Perhaps before the module's own static objects.

TEST(ForkGenerationTest, StaysTheSameInOneProcess) {
  EXPECT_EQ(ForkGeneration(), g_before_main);
  EXPECT_NE(ForkGeneration(), 0u);
  EXPECT_EQ(ForkGeneration(), ForkGeneration());
}

TEST(ForkGenerationTest, DiffersFromEveryAncestors) {
  const uint64_t mine = ForkGeneration();
  const pid_t child = fork();
  if (child == 0) {
    const uint64_t childs = ForkGeneration();
    if (childs == mine) _exit(1);
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(ForkGeneration() == childs || ForkGeneration() == mine ? 2 : 0);
    int status = 0;
    waitpid(grandchild, &status, 0);
    _exit(WEXITSTATUS(status));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(ForkGeneration(), mine);
}

TEST(PerProcessTest, AForkHasANewOneThoughTheParentsIsLocked) {
  struct Thing {
    std::mutex mutex;
    int count = 0;
  };
  static internal::PerProcess<Thing> thing;  // Which is never freed.
  const std::lock_guard<std::mutex> lock(thing.Get().mutex);
  thing.Get().count = 3;
  const pid_t child = fork();
  if (child == 0) _exit(thing.Get().mutex.try_lock() && thing.Get().count++ == 0 && thing.Get().count == 1 ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(thing.Get().count, 3);
}

}  // namespace
}  // namespace brood
