#include "ipc/wait.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ipc/pipe.h"
#include "ipc/testing.h"

namespace brood {
namespace {

using testing::HasSubstr;
using Indices = std::vector<size_t>;

// Python's TestWait.test_wait_integer: a sentinel among connections, and the exact subset each time.
TEST(WaitTest, SentinelsMixWithConnectionsAndExactlyTheReadyOnesAreReturned) {
  auto [a, b] = Pipe().value();
  auto [hold, release] = Pipe().value();
  PeerProcess child([&, &hold = hold, &release = release] {
    release.Close();
    return absl::IsOutOfRange(hold.ReceiveBytes().status());
  });
  hold.Close();
  // pidfd_open(2): readable when the process ends.
  const UniqueFd sentinel(static_cast<int>(syscall(SYS_pidfd_open, child.pid(), 0)));
  ASSERT_TRUE(sentinel.valid());
  EXPECT_EQ(Wait({sentinel.get(), b}, absl::Milliseconds(20)).value(), Indices());
  ASSERT_TRUE(a.Send(1).ok());
  EXPECT_EQ(Wait({sentinel.get(), b}).value(), Indices({1}));
  release.Close();
  EXPECT_EQ(Wait({sentinel.get()}).value(), Indices({0}));
  EXPECT_EQ(Wait({b, sentinel.get(), a}, absl::ZeroDuration()).value(), Indices({0, 1}));
  EXPECT_EQ(b.Receive<int>().value(), 1);
  EXPECT_EQ(Wait({b, sentinel.get()}, absl::ZeroDuration()).value(), Indices({1}));
  EXPECT_EQ(child.Join(), 0);
}

// Python's test_wait: messages of several processes, until the end of each is seen.
TEST(WaitTest, MessagesOfManyProcessesAndTheirEndsAreAllSeen) {
  std::vector<Connection> readers;
  std::vector<std::unique_ptr<PeerProcess>> children;
  for (int i = 0; i < 4; ++i) {
    auto [reader, writer] = Pipe({.kind = PipeKind::kOneWay}).value();
    children.push_back(std::make_unique<PeerProcess>([&, &writer = writer] {
      for (int n = 0; n < 10; ++n) {
        if (!writer.Send(std::pair<int, int>(n, i)).ok()) return false;
      }
      return true;
    }));
    readers.push_back(std::move(reader));
  }
  int messages = 0;
  while (!readers.empty()) {
    const std::vector<Waitable> waitables(readers.begin(), readers.end());
    const Indices ready = Wait(waitables).value();
    ASSERT_FALSE(ready.empty());
    for (size_t i = ready.size(); i-- > 0;) {
      const auto got = readers[ready[i]].Receive<std::pair<int, int>>();
      if (got.ok()) {
        ++messages;
      } else {
        EXPECT_EQ(got.status().code(), absl::StatusCode::kOutOfRange);
        readers.erase(readers.begin() + static_cast<ptrdiff_t>(ready[i]));
      }
    }
  }
  EXPECT_EQ(messages, 40);
}

TEST(WaitTest, ANegativeTimeoutOnlyLooksAndALongOnePasses) {
  auto [a, b] = Pipe().value();
  EXPECT_EQ(Wait({a, b}, absl::Seconds(-1)).value(), Indices());
  const absl::Time start = absl::Now();
  EXPECT_EQ(Wait({a, b}, absl::Milliseconds(40)).value(), Indices());
  EXPECT_EQ(Wait({}, absl::Milliseconds(10)).value(), Indices());
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(49));
}

TEST(WaitTest, WhatCannotBeWaitedForIsNamed) {
  auto [receiver, sender] = Pipe({.kind = PipeKind::kOneWay}).value();
  EXPECT_EQ(Wait({receiver, -1}).status(), absl::InvalidArgumentError("wait: object 1, descriptor -1, is not open"));
  EXPECT_EQ(Wait({receiver, 987654}).status(),
            absl::InvalidArgumentError("wait: object 1, descriptor 987654, is not open"));
  EXPECT_EQ(Wait({Connection()}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Wait({sender}).status().message()), HasSubstr("only sends"));
  EXPECT_EQ(Wait({}).status(), absl::InvalidArgumentError("wait: for ever, and for nothing"));
}

TEST(WaitTest, MoreThanAThousandDescriptorsAreWaitedForTogether) {
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  constexpr size_t kCount = 3000;
  if (limit.rlim_max < kCount + 200) GTEST_SKIP() << "the hard limit of open files is " << limit.rlim_max;
  const rlimit raised = {.rlim_cur = std::max<rlim_t>(limit.rlim_cur, kCount + 200), .rlim_max = limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &raised), 0);
  std::vector<UniqueFd> events;
  std::vector<Waitable> waitables;
  for (size_t i = 0; i < kCount; ++i) {
    events.emplace_back(eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(events.back().valid()) << i;
    waitables.emplace_back(events.back().get());
  }
  for (const size_t i : {size_t{2}, size_t{1500}, kCount - 1}) ASSERT_EQ(eventfd_write(events[i].get(), 1), 0);
  EXPECT_EQ(Wait(waitables).value(), Indices({2, 1500, kCount - 1}));
  events.clear();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST(WaitTest, SignalsDoNotEndAWait) {
  static std::atomic<int> handled = 0;
  struct sigaction action = {};
  action.sa_handler = [](int) { ++handled; };
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  auto [a, b] = Pipe().value();
  const pthread_t waiter = pthread_self();
  std::thread storm([&, &a = a] {
    for (int i = 0; i < 1000; ++i) {
      pthread_kill(waiter, SIGUSR1);
      std::this_thread::yield();
    }
    EXPECT_TRUE(a.Send(1).ok());
  });
  EXPECT_EQ(Wait({b}).value(), Indices({0}));
  storm.join();
  EXPECT_GT(handled, 0);
  ASSERT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
}

}  // namespace
}  // namespace brood
