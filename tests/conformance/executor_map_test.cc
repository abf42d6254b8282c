// Executor::Map and MapUnordered, once for each start method.
#include <algorithm>
#include <numeric>
#include <ranges>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"
#include "tests/conformance/executor.h"

namespace brood {
namespace {

int Add(int a, int b) { return a + b; }
BROOD_TARGET(Add);

int g_ran = 0;
int Ran() { return g_ran; }
BROOD_TARGET(Ran);

const UniqueFd* g_say = nullptr;
const UniqueFd* g_wait = nullptr;
void HoldBoth(UniqueFd say, UniqueFd wait) {
  g_say = new UniqueFd(std::move(say));
  g_wait = new UniqueFd(std::move(wait));
}
BROOD_TARGET(HoldBoth);

void SayWaitAndCountFrom10(int number) {
  if (number < 10) return;
  WriteByte(*g_say, 'x');
  WaitForEnd(*g_wait);
  ++g_ran;
}
BROOD_TARGET(SayWaitAndCountFrom10);

void WorkFor(int milliseconds) { absl::SleepFor(absl::Milliseconds(milliseconds)); }
BROOD_TARGET(WorkFor);

int WaitIfZero(int number) {
  if (number == 0) WaitForHeld();
  return number;
}
BROOD_TARGET(WaitIfZero);

using testing::HasSubstr;

using ExecutorMapTest = ExecutorTest;
BROOD_FOR_EACH_START_METHOD(ExecutorMapTest);

std::vector<int> Numbers(int count) {
  std::vector<int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST_P(ExecutorMapTest, AHundredThousandResultsComeInOrder) {
  Executor executor = Make({.workers = 2});
  int64_t next = 0;
  for (const auto& [index, result] : executor.Map(Square, Numbers(100'000))) {
    ASSERT_EQ(index, static_cast<size_t>(next));
    const int number = static_cast<int>(static_cast<unsigned>(next) * static_cast<unsigned>(next));
    ASSERT_EQ(result.value_or(-1), number);
    ++next;
  }
  EXPECT_EQ(next, 100'000);
}

TEST_P(ExecutorMapTest, WhateverTheChunkAllResultsCome) {
  Executor executor = Make({.workers = 2});
  const std::vector<int> numbers = Numbers(100);
  for (const size_t chunk : {1, 7, 100, 1000}) {
    std::set<size_t> seen;
    for (const auto& [index, result] : executor.MapUnordered({.chunk_size = chunk}, Square, numbers)) {
      EXPECT_EQ(result.value_or(-1), static_cast<int>(index * index));
      EXPECT_TRUE(seen.insert(index).second);
    }
    EXPECT_EQ(seen.size(), 100u);
  }
}

TEST_P(ExecutorMapTest, AnEmptyRangeHasNoResults) {
  Executor executor = Make();
  EXPECT_FALSE(executor.Map(Square, std::vector<int>()).Next().has_value());
}

TEST_P(ExecutorMapTest, TuplesAreTheArgumentsOfFunctionsWithSeveral) {
  Executor executor = Make();
  const std::vector<std::pair<int, int>> pairs = {{1, 2}, {3, 4}};
  auto results = executor.Map(Add, pairs);
  EXPECT_EQ(results.Next()->result.value_or(-1), 3);
  EXPECT_EQ(results.Next()->result.value_or(-1), 7);
}

TEST_P(ExecutorMapTest, AnEndlessRangeIsReadOnlyAsFarAsIsUseful) {
  Executor executor = Make();
  int read = 0;
  auto counted = std::views::iota(0) | std::views::transform([&read](int number) {
                   ++read;
                   return number;
                 });
  auto results = executor.Map({.chunk_size = 10}, Square, counted);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(results.Next()->result.value_or(-1), i * i);
  EXPECT_LE(read, 1000 + 100);
}

TEST_P(ExecutorMapTest, ARangeThatCanBeReadOnlyOnceAndHasNoSizeIsEnough) {
  Executor executor = Make();
  std::istringstream text("1 2 3 4 5");
  std::vector<int> squares;
  for (const auto& [index, result] : executor.Map(Square, std::ranges::istream_view<int>(text))) {
    squares.push_back(result.value_or(-1));
  }
  EXPECT_EQ(squares, (std::vector<int>{1, 4, 9, 16, 25}));
}

TEST_P(ExecutorMapTest, ARangeThatThrowsEndsWithThatErrorAndLosesNothing) {
  Executor executor = Make();
  auto throwing = std::views::iota(0) | std::views::transform([](int number) {
                    return number < 10 ? number : throw std::runtime_error("no more");
                  });
  auto results = executor.Map({.chunk_size = 4}, Square, throwing);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(results.Next()->result.value_or(-1), i * i);
  EXPECT_THAT(results.Next()->result.status().message(), HasSubstr("std::runtime_error: no more"));
  EXPECT_FALSE(results.Next().has_value());
}

TEST_P(ExecutorMapTest, SeveralThreadsMayMapAtTheSameTime) {
  Executor executor = Make({.workers = 2});
  std::vector<int> right(3, 0);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < right.size(); ++i) {
    threads.emplace_back([&, i] {
      for (const auto& [index, result] : executor.MapUnordered(Square, Numbers(5000))) {
        right[i] += result.value_or(-1) == static_cast<int>(index * index) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(3, 5000));
}

// The worker would meet its end in the middle of the chunk.
TEST_P(ExecutorMapTest, AChunkThatTakesLongerThanAWorkersWallTimeIsGoneOnWithElsewhere) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.wall_time = absl::Seconds(1);
  Executor executor = Make({.launch = {.policy = CompilePolicy(policy).value()}});
  int seen = 0;
  for (const auto& [index, result] : executor.Map({.chunk_size = 150}, WorkFor, std::vector<int>(150, 10))) {
    EXPECT_TRUE(result.ok()) << index << ": " << result;
    ++seen;
  }
  EXPECT_EQ(seen, 150);
}

TEST_P(ExecutorMapTest, ASlowElementDelaysNoOtherOfAnUnorderedMap) {
  RawPipe pipe;
  Executor executor = Make({.workers = 2, .initializer = Initializer(HoldDescriptor, pipe.reader)});
  pipe.reader.reset();
  auto results = executor.MapUnordered({.chunk_size = 1}, WaitIfZero, Numbers(50));
  for (int i = 0; i < 49; ++i) EXPECT_NE(results.Next()->index, 0u);
  pipe.writer.reset();
  EXPECT_EQ(results.Next()->index, 0u);
  EXPECT_FALSE(results.Next().has_value());
}

TEST_P(ExecutorMapTest, AnElementThatIsTooLargeFailsAloneAndInItsPlace) {
  const Context context(GetParam(), {.max_argument_bytes = 1000});
  Executor executor = Executor::Create(context, {.workers = 1}).value();
  const std::vector<std::string> words = {"a", std::string(2000, 'b'), "ccc"};
  auto results = executor.Map(Count, words);
  EXPECT_EQ(results.Next()->result.value_or(0), 1u);
  EXPECT_EQ(results.Next()->result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(results.Next()->result.value_or(0), 3u);
}

TEST_P(ExecutorMapTest, ResultsOfAMebibyteEachArrive) {
  Executor executor = Make();
  const std::vector<uint64_t> sizes(20, uint64_t{1} << 20);
  for (const auto& [index, result] : executor.Map({.chunk_size = 20}, Letters, sizes)) {
    EXPECT_EQ(result.value_or("").size(), size_t{1} << 20);
  }
}

TEST_P(ExecutorMapTest, DroppingTheResultsStopsAfterTheElementThatRuns) {
  RawPipe said;
  RawPipe gate;
  Executor executor = Make({.initializer = Initializer(HoldBoth, said.writer, gate.reader)});
  {
    auto results = executor.Map({.chunk_size = 10}, SayWaitAndCountFrom10, std::views::iota(0));
    EXPECT_TRUE(results.Next()->result.ok());
    ASSERT_TRUE(IsReadable(said.reader.get(), kPatienceMs));
  }
  gate.writer.reset();
  EXPECT_EQ(executor.Submit(Ran).Get(kPatience).value_or(-1), 1);
}

TEST_P(ExecutorMapTest, ShutdownFinishesWhatWasSentAndRefusesTheOthers) {
  Executor executor = Make();
  auto results = executor.Map({.chunk_size = 10}, Square, std::views::iota(0));
  EXPECT_EQ(results.Next()->result.value_or(-1), 0);
  EXPECT_TRUE(executor.Shutdown(kPatience).ok());
  absl::Status status;
  int index = 1;
  while (true) {
    const auto element = results.Next();
    status = element->result.status();
    if (!status.ok()) break;
    EXPECT_EQ(*element->result, index * index);
    ++index;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_GE(index, 10);
}

TEST_P(ExecutorMapTest, ShutdownNowCancelsWhatHasNotEnded) {
  RawPipe pipe;
  Executor executor = Make({.initializer = Initializer(HoldDescriptor, pipe.reader)});
  auto results = executor.Map({.chunk_size = 2}, WaitIfZero, Numbers(100));
  std::thread ends([&] { executor.ShutdownNow(); });
  int seen = 0;
  for (const auto& [index, result] : results) {
    EXPECT_THAT(result.status().code(), testing::AnyOf(absl::StatusCode::kCancelled, absl::StatusCode::kFailedPrecondition));
    ++seen;
  }
  EXPECT_EQ(seen, 100);
  ends.join();
}

TEST_P(ExecutorMapTest, AfterAShutdownEachElementSaysSo) {
  Executor executor = Make();
  EXPECT_TRUE(executor.Shutdown(kPatience).ok());
  int seen = 0;
  for (const auto& [index, result] : executor.Map(Square, Numbers(5))) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
    ++seen;
  }
  EXPECT_EQ(seen, 5);
}

}  // namespace
}  // namespace brood
