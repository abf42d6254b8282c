#include "base/thread_count.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(ThreadCountTest, CountsThreadsWhateverTheirName) {
  const int before = ThreadCount().value();
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      pthread_setname_np(pthread_self(), "a) Z 1 1 1 1");
      char byte;
      (void)!read(fds[0], &byte, 1);
    });
  }
  EXPECT_EQ(ThreadCount().value(), before + 3);
  close(fds[1]);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ThreadCount().value(), before);
  close(fds[0]);
}

// The kernel takes it off its list a little later.
TEST(ThreadCountTest, AThreadThatWasJoinedIsNotCounted) {
  const int before = ThreadCount().value();
  for (int i = 0; i < 2000; ++i) {
    std::thread([] {}).join();
    ASSERT_EQ(ThreadCount().value(), before) << "in round " << i;
  }
}

}  // namespace
}  // namespace brood
