#include "base/thread_count.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
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
  std::atomic<int> named = 0;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      pthread_setname_np(pthread_self(), "a) Z 1 1 1 1");
      ++named;
      char byte;
      (void)!read(fds[0], &byte, 1);
    });
  }
  EXPECT_EQ(ThreadCount().value(), before + 3);
  while (named < 3) std::this_thread::yield();
  const std::vector<std::string> names = OtherThreads().value();
  ASSERT_EQ(names.size(), static_cast<size_t>(before) + 2);
  for (const std::string& name : names) EXPECT_EQ(name.rfind("a) Z 1 1 1 1 (thread ", 0), 0u) << name;
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
