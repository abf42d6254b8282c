#include "launcher/jobs/warm_pool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/exit.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/children.h"
#include "launcher/context.h"
#include "launcher/executor/outcome_of.h"
#include "launcher/forkserver_testing.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

int g_count = 0;
int Count() { return ++g_count; }
BROOD_TARGET(Count);
int Pid() { return getpid(); }
BROOD_TARGET(Pid);
std::string Repeat(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}
BROOD_TARGET(Repeat);
void Throw() { throw std::runtime_error("broken"); }
BROOD_TARGET(Throw);
void Exits() { Exit(7); }
BROOD_TARGET(Exits);
void Dies() { raise(SIGKILL); }
BROOD_TARGET(Dies);
void WaitForEver() {
  while (true) pause();
}
BROOD_TARGET(WaitForEver);
int OpensSocket() { return socket(AF_INET, SOCK_STREAM, 0); }
BROOD_TARGET(OpensSocket);
// After its result.
int DiesAtItsEnd() {
  AddFinalizer([] { raise(SIGABRT); });
  return 3;
}
BROOD_TARGET(DiesAtItsEnd);
// After its result, too.
int GoesOn() {
  AddFinalizer([] { WaitForEver(); });
  return 4;
}
BROOD_TARGET(GoesOn);
void WaitAtGate(const std::string& path) {
  const UniqueFd gate(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char byte;
  while (read(gate.get(), &byte, 1) < 0 && errno == EINTR) {
  }
}
BROOD_TARGET(WaitAtGate);
size_t Size(const std::string& text) { return text.size(); }
BROOD_TARGET(Size);
int g_loaded = 0;
void Load() { g_loaded = 11; }
BROOD_TARGET(Load);
int Loaded() { return g_loaded; }
BROOD_TARGET(Loaded);

constexpr absl::Duration kLong = absl::Seconds(60);

Context Served() { return Context(StartMethod::kForkServer); }

WarmPool Pool(WarmPoolOptions options = {}) { return WarmPool::Create(Served(), std::move(options)).value(); }

// --- the tests ---

TEST(WarmPoolTest, EachJobHasAProcessThatNobodyHasUsed) {
  WarmPool pool = Pool();
  std::set<int> pids;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(pool.Call(Count).value(), 1);
    pids.insert(pool.Call(Pid).value());
  }
  EXPECT_EQ(pids.size(), 10u);
}

TEST(WarmPoolTest, AsManyAreReadyAsTheHighWaterMarkSays) {
  WarmPool pool = Pool({.launch = {}, .low_water = 3, .high_water = 5});
  EXPECT_EQ(pool.ready(), 5u);
  ASSERT_TRUE(pool.Call(Count).ok());
  ASSERT_TRUE(pool.Call(Count).ok());
  // Not below the low water mark: nobody is started.
  EXPECT_EQ(pool.ready(), 3u);
  ASSERT_TRUE(pool.Call(Count).ok());
  ASSERT_EQ(pool.AwaitFull(kLong), absl::OkStatus());
  EXPECT_EQ(pool.ready(), 5u);
}

TEST(WarmPoolTest, ACallThatFindsNobodyReadyStartsAChild) {
  WarmPool pool = Pool({.launch = {}, .low_water = 1, .high_water = 1});
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10; ++j) right += pool.Call(Count).value_or(0) == 1 ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 40);
}

TEST(WarmPoolTest, AResultComesBeforeTheEndOfItsChildWhichIsToldLater) {
  std::mutex mutex;
  std::vector<int> ends;
  WarmPool pool = Pool({.launch = {}, .low_water = 1, .high_water = 2, .on_end = [&](const Outcome& outcome) {
                          const std::lock_guard<std::mutex> lock(mutex);
                          ends.push_back(outcome.exit_code());
                        }});
  EXPECT_EQ(pool.Call(DiesAtItsEnd).value(), 3);
  EXPECT_EQ(pool.Call(Count).value(), 1);
  ASSERT_EQ(pool.AwaitFull(kLong), absl::OkStatus());
  const std::lock_guard<std::mutex> lock(mutex);
  EXPECT_EQ(std::multiset<int>(ends.begin(), ends.end()), (std::multiset<int>{0, -SIGABRT}));
}

TEST(WarmPoolTest, WhatAJobDoesWrongIsAnErrorOfThatJobOnly) {
  WarmPool pool = Pool({.launch = {}, .low_water = 2, .high_water = 4, .timeout = absl::Milliseconds(300)});
  const absl::Status thrown = pool.Call(Throw);
  EXPECT_EQ(thrown.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(thrown.message(), "std::runtime_error: broken");
  const absl::Status exited = pool.Call(Exits);
  EXPECT_EQ(exited.code(), absl::StatusCode::kAborted) << exited;
  EXPECT_EQ(OutcomeOf(exited)->exit_code(), 7);
  EXPECT_EQ(OutcomeOf(pool.Call(Dies))->exit_code(), -SIGKILL);
  EXPECT_EQ(pool.Call(WaitForEver).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(pool.Call(Count).value(), 1);
}

TEST(WarmPoolTest, AChildThatIsKilledWhileItWaitsIsPassedOver) {
  WarmPool pool = Pool({.launch = {}, .low_water = 1, .high_water = 3});
  for (const ChildInfo& child : ActiveChildren()) {
    const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0)));
    ASSERT_EQ(kill(child.pid, SIGKILL), 0);
    pollfd polled = {process.get(), POLLIN, 0};
    ASSERT_EQ(poll(&polled, 1, 20'000), 1);
  }
  EXPECT_EQ(pool.Call(Count).value(), 1);
}

TEST(WarmPoolTest, AChildThatGoesOnAfterItsResultIsKilled) {
  std::atomic<int> killed = 0;
  WarmPool pool = Pool({.launch = {}, .timeout = absl::Milliseconds(300), .on_end = [&](const Outcome& outcome) { killed += outcome.exit_code() == -SIGKILL; }});
  EXPECT_EQ(pool.Call(GoesOn).value(), 4);
  EXPECT_EQ(pool.AwaitFull(kLong), absl::OkStatus());
  EXPECT_EQ(killed, 1);
}

TEST(WarmPoolTest, AChildThatDoesNotTakeALargeJobIsKilledInTime) {
  WarmPool pool = Pool({.launch = {}, .low_water = 1, .high_water = 1, .timeout = absl::Milliseconds(300)});
  for (const ChildInfo& child : ActiveChildren()) ASSERT_EQ(kill(child.pid, SIGSTOP), 0);
  EXPECT_EQ(pool.Call(Size, std::string(8 << 20, 'x')).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(pool.AwaitFull(kLong), absl::OkStatus());
  EXPECT_EQ(pool.Call(Size, std::string(8 << 20, 'x')).value(), size_t{8} << 20);
}

TEST(WarmPoolTest, ThoseThatHaveEndedAreReapedThoughACallIsAlwaysUnderWay) {
  std::atomic<int> ended = 0;
  WarmPool pool = Pool({.launch = {}, .on_end = [&](const Outcome& /*unused*/) { ++ended; }});
  const std::string gate = absl::StrCat(testing::TempDir(), "gate", getpid());
  ASSERT_EQ(mkfifo(gate.c_str(), 0600), 0);
  std::thread waits([&] { EXPECT_EQ(pool.Call(WaitAtGate, gate), absl::OkStatus()); });
  const UniqueFd opened(open(gate.c_str(), O_WRONLY | O_CLOEXEC));  // Its call is under way.
  for (int i = 0; i < 200 && ended == 0; ++i) ASSERT_TRUE(pool.Call(Pid).ok());
  EXPECT_GT(ended, 0);
  EXPECT_EQ(write(opened.get(), "x", 1), 1);
  waits.join();
  unlink(gate.c_str());
  EXPECT_EQ(pool.AwaitFull(kLong), absl::OkStatus());
}

TEST(WarmPoolTest, LargeArgumentsAndResultsTravel) {
  WarmPool pool = Pool();
  const std::string text(100'000, 'x');
  EXPECT_EQ(pool.Call(Repeat, text, 30).value().size(), 3'000'000u);
  EXPECT_EQ(pool.Call(Repeat, std::string("y"), 2).value(), "yy");
}

TEST(WarmPoolTest, ChildrenAreSandboxedAndHaveWhatWasPreloaded) {
  const Context context(StartMethod::kForkServer, {.preload = {"Load"}});
  WarmPool pool =
      WarmPool::Create(context, {.launch = {.policy = CompilePolicy(BuiltinPolicy("strict").value()).value()}}).value();
  EXPECT_EQ(pool.Call(Loaded).value(), 11);
  const absl::Status violation = pool.Call(OpensSocket).status();
  ASSERT_TRUE(OutcomeOf(violation).has_value()) << violation;
  EXPECT_TRUE(std::holds_alternative<Violation>(OutcomeOf(violation)->ending)) << violation;
  EXPECT_EQ(pool.Call(Loaded).value(), 11);
}

TEST(WarmPoolTest, RefusesWhatItCannotDo) {
  EXPECT_EQ(WarmPool::Create(Served(), {.launch = {}, .low_water = 0}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WarmPool::Create(Served(), {.launch = {}, .low_water = 3, .high_water = 2}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WarmPool::Create(Context(StartMethod::kFork), {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(WarmPoolTest, AForkOfItsOwnerCannotUseItAndDisturbsNothing) {
  WarmPool pool = Pool();
  EXPECT_EQ(InFork([&]() -> std::string {
              const WarmPool mine = std::move(pool);
              return "";
            }),
            "");
  EXPECT_EQ(InFork([&]() -> std::string {
              return absl::IsFailedPrecondition(pool.Call(Count).status()) ? "" : "it could";
            }),
            "");
  EXPECT_EQ(pool.Call(Count).value(), 1);
}

TEST(WarmPoolTest, LeavesNoChildAndNoDescriptor) {
  { Pool(); }
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 3; ++i) {
    WarmPool pool = Pool();
    ASSERT_TRUE(pool.Call(Count).ok());
  }
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_TRUE(ActiveChildren().empty());
}

}  // namespace
}  // namespace brood
