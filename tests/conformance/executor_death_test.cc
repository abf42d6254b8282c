// An Executor whose workers die and hang, once for each start method: no task may wait for ever, and none may pay
// for another. The ideas of CPython's Lib/test/test_concurrent_futures/test_deadlock.py.
#include <stdexcept>
#include <string>
#include <vector>

#include "base/signals.h"
#include "bootstrap/current_process.h"
#include "bootstrap/exit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/executor.h"

namespace brood {

// A value whose travelling ends badly in the worker.
struct Trap {
  enum class Spring : int { kNone, kKill, kThrow, kExit, kFail };
  Spring on_decode = Spring::kNone;
  Spring on_encode = Spring::kNone;
};

// A value that the main process cannot pack, or not read.
struct Riddle {
  enum class When : int { kPacked, kRead, kReadAndThrown };
  When when = When::kPacked;
};

namespace {

bool Sprung(Trap::Spring spring) {
  if (ParentProcess() == nullptr) return false;  // Not in a worker.
  switch (spring) {
    case Trap::Spring::kNone:
      return false;
    case Trap::Spring::kKill:
      Die();
      return true;
    case Trap::Spring::kThrow:
      throw std::length_error("sprung");
    case Trap::Spring::kExit:
      Exit(7);
    case Trap::Spring::kFail:
      return true;
  }
  return false;
}

}  // namespace

template <>
struct Codec<Trap> {
  static constexpr size_t kMinBytes = 8;
  static void Describe(internal::Description& to) { to.Word("trap"); }
  static void Encode(const Trap& value, WireWriter& to) {
    to.Number(static_cast<int>(value.on_decode));
    (void)Sprung(value.on_encode);
    to.Number(static_cast<int>(value.on_encode));
  }
  static bool Decode(WireReader& from, Trap& value) {
    int on_decode = 0;
    int on_encode = 0;
    if (!from.Number(on_decode) || !from.Number(on_encode)) return false;
    value.on_decode = static_cast<Trap::Spring>(on_decode);
    value.on_encode = static_cast<Trap::Spring>(on_encode);
    if (Sprung(value.on_decode)) return from.Fail("is a trap");
    return true;
  }
};

template <>
struct Codec<Riddle> {
  static constexpr size_t kMinBytes = 4;
  static void Describe(internal::Description& to) { to.Word("riddle"); }
  static void Encode(const Riddle& value, WireWriter& to) {
    if (value.when == Riddle::When::kPacked) throw std::length_error("cannot be packed");
    to.Number(static_cast<int>(value.when));
  }
  static bool Decode(WireReader& from, Riddle& value) {
    int when = 0;
    if (!from.Number(when)) return false;
    value.when = static_cast<Riddle::When>(when);
    if (ParentProcess() != nullptr) return true;  // In a worker.
    if (value.when == Riddle::When::kReadAndThrown) throw std::length_error("cannot be read");
    return from.Fail("cannot be read");
  }
};

namespace {

using testing::HasSubstr;
using Spring = Trap::Spring;

Trap Return(const Trap& trap) { return trap; }
BROOD_TARGET(Return);

Riddle Ask(const Riddle& riddle) { return riddle; }
BROOD_TARGET(Ask);

std::string KillWith(const std::string&) {
  Die();
  return "";
}
BROOD_TARGET(KillWith);

using ExecutorDeathTest = ExecutorTest;
BROOD_FOR_EACH_START_METHOD(ExecutorDeathTest);

void ExpectDead(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  ASSERT_TRUE(OutcomeOf(status).has_value()) << status;
  EXPECT_EQ(OutcomeOf(status)->exit_code(), kDeathCode);
}

TEST_P(ExecutorDeathTest, DeathErrorAndExitWhileArgumentsAreReadFailTheTaskOnly) {
  Executor executor = Make();
  ExpectDead(executor.Submit(Return, Trap{.on_decode = Spring::kKill}).Get(kPatience).status());
  EXPECT_EQ(executor.Submit(Return, Trap{.on_decode = Spring::kThrow}).Get(kPatience).status().message(),
            "std::length_error: sprung");
  EXPECT_THAT(executor.Submit(Return, Trap{.on_decode = Spring::kExit}).Get(kPatience).status().message(),
              HasSubstr("exited with code 7"));
  EXPECT_EQ(executor.Submit(Return, Trap{.on_decode = Spring::kFail}).Get(kPatience).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(executor.Submit(Square, 2).Get(kPatience).value_or(-1), 4);
}

TEST_P(ExecutorDeathTest, DeathErrorAndExitWhileTheResultIsPackedFailTheTaskOnly) {
  Executor executor = Make();
  ExpectDead(executor.Submit(Return, Trap{.on_encode = Spring::kKill}).Get(kPatience).status());
  EXPECT_EQ(executor.Submit(Return, Trap{.on_encode = Spring::kThrow}).Get(kPatience).status().message(),
            "std::length_error: sprung");
  EXPECT_THAT(executor.Submit(Return, Trap{.on_encode = Spring::kExit}).Get(kPatience).status().message(),
              HasSubstr("exited with code 7"));
  EXPECT_EQ(executor.Submit(Square, 2).Get(kPatience).value_or(-1), 4);
}

// CPython's test_unpickleable_result.
TEST_P(ExecutorDeathTest, TwentyResultsThatCannotBePackedLoseNoWorker) {
  Executor executor = Make();
  const int64_t before = executor.Submit(OwnPid).Get(kPatience).value_or(0);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(executor.Submit(Return, Trap{.on_encode = Spring::kThrow}).Get(kPatience).status().message(),
              "std::length_error: sprung");
  }
  EXPECT_EQ(executor.Submit(OwnPid).Get(kPatience).value_or(0), before);
}

// What a type of the caller's throws in the caller is the caller's (test_error_at_task_pickle, test_error_during_result_unpickle).
TEST_P(ExecutorDeathTest, ErrorsWhereTheCallerPacksAndReadsDisturbNothing) {
  Executor executor = Make();
  EXPECT_THROW(executor.Submit(Ask, Riddle{.when = Riddle::When::kPacked}), std::length_error);
  const Future<Riddle> wrong = executor.Submit(Ask, Riddle{.when = Riddle::When::kRead});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(wrong.Get(kPatience).status().code(), absl::StatusCode::kDataLoss);
  const Future<Riddle> throws = executor.Submit(Ask, Riddle{.when = Riddle::When::kReadAndThrown});
  EXPECT_THROW((void)throws.Get(kPatience), std::length_error);
  EXPECT_EQ(executor.Submit(Square, 2).Get(kPatience).value_or(-1), 4);
  EXPECT_TRUE(executor.Shutdown(kPatience).ok());
}

// CPython's test_crash_big_data.
TEST_P(ExecutorDeathTest, DeathWithMoreInFlightThanASocketHoldsFailsTheTaskOnly) {
  Executor executor = Make();
  const std::string much(16 << 20, 'x');
  ExpectDead(executor.Submit(KillWith, much).Get(kPatience).status());
  EXPECT_EQ(executor.Submit(Count, much).Get(kPatience).value_or(0), much.size());
}

TEST_P(ExecutorDeathTest, AWorkerThatIsKilledWhileItHasNothingToDoIsReplacedSilently) {
  Executor executor = Make();
  for (int i = 0; i < 20; ++i) {
    const auto pid = static_cast<int>(executor.Submit(OwnPid).Get(kPatience).value_or(0));
    ASSERT_GT(pid, 1);
    EndOther(pid);
    // At once, so that it may be given to the worker that dies.
    EXPECT_EQ(executor.Submit(Square, i).Get(kPatience).value_or(-1), i * i);
  }
}

TEST_P(ExecutorDeathTest, ATaskThatTakesTooLongIsDeadlineExceededAndItsWorkerReplaced) {
  Executor executor = Make();
  const Future<void> slow = executor.Submit({.timeout = absl::Milliseconds(50)}, Spin);
  const Future<int> behind = executor.Submit(Square, 2);
  const absl::Status status = slow.Get(kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(slow.done());
  ASSERT_TRUE(OutcomeOf(status).has_value());
  EXPECT_EQ(OutcomeOf(status)->exit_code(), -kSignalTerminate);
  EXPECT_EQ(behind.Get(kPatience).value_or(-1), 4);
}

TEST_P(ExecutorDeathTest, ATimeoutCountsFromTheBeginningNotFromTheQueue) {
  Executor executor = Make();
  const Future<void> slow = executor.Submit({.timeout = absl::Milliseconds(300)}, Spin);
  const Future<int> behind = executor.Submit({.timeout = absl::Milliseconds(250)}, Square, 2);
  EXPECT_EQ(slow.Get(kPatience).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(behind.Get(kPatience).value_or(-1), 4);
}

// The fixture counts processes and descriptors.
TEST_P(ExecutorDeathTest, AThousandTasksAndTwentyDeathsLeaveNothingBehind) {
  Executor executor = Make({.workers = 2});
  std::vector<Future<int>> good;
  std::vector<Future<void>> bad;
  for (int i = 0; i < 1000; ++i) {
    good.push_back(executor.Submit(Square, i));
    if (i % 50 == 7) bad.push_back(executor.Submit(Die));
  }
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(good[i].Get(kPatience).value_or(-1), i * i);
  for (const auto& future : bad) ExpectDead(future.Get(kPatience));
}

// CPython's test_shutdown_deadlock.
TEST_P(ExecutorDeathTest, ShutdownWhileWorkersDieEnds) {
  for (int i = 0; i < 5; ++i) {
    Executor executor = Make({.workers = 2});
    std::vector<Future<void>> futures;
    for (int n = 0; n < 6; ++n) futures.push_back(executor.Submit(Die));
    if (i % 2 == 0) {
      EXPECT_TRUE(executor.Shutdown(kPatience).ok());
      for (const auto& future : futures) ExpectDead(future.Get(absl::ZeroDuration()));
    } else {
      executor.ShutdownNow();
      for (const auto& future : futures) EXPECT_TRUE(future.done());
    }
  }
}

}  // namespace
}  // namespace brood
