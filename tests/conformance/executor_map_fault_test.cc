// One faulty element of an Executor's Map among a hundred: all others must be right, and each must have run once. Once for
// each start method.
#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/executor.h"

namespace brood {
namespace {

enum class Fault { kNone, kDeath, kHang, kException };

// Says that it ran, and has the fault if it is the 37th.
int Run37(int number, Fault fault) {
  WriteToHeld(static_cast<char>(number));
  if (number != 37) return number;
  if (fault == Fault::kDeath) Die();
  if (fault == Fault::kHang) Spin();
  if (fault == Fault::kException) throw std::out_of_range("37");
  return number;
}
BROOD_TARGET(Run37);

std::vector<int> Numbers(int count) {
  std::vector<int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

class ExecutorMapFaultTest : public ExecutorTest {
 protected:
  // Runs the hundred elements of which the 37th is faulty; all others must be right, and each must have run once.
  absl::Status Run(Fault fault, const MapOptions& options, size_t workers, uint64_t max_tasks_per_child = 0) {
    RawPipe pipe;
    absl::Status faulty;
    {
      Executor executor = Make({.workers = workers,
                                .initializer = Initializer(HoldDescriptor, pipe.writer),
                                .max_tasks_per_child = max_tasks_per_child});
      pipe.writer.reset();
      std::vector<std::pair<int, Fault>> elements;
      for (const int number : Numbers(100)) elements.emplace_back(number, fault);
      int seen = 0;
      for (const auto& [index, result] : executor.Map(options, Run37, elements)) {
        EXPECT_EQ(index, static_cast<size_t>(seen++));
        if (index == 37) {
          faulty = result.status();
        } else {
          EXPECT_EQ(result.value_or(-1), static_cast<int>(index)) << result.status();
        }
      }
      EXPECT_EQ(seen, 100);
    }
    std::string ran = ReadToEnd(pipe.reader.get());
    std::sort(ran.begin(), ran.end());
    std::string each_once;
    for (const int number : Numbers(100)) each_once += static_cast<char>(number);
    EXPECT_EQ(ran, each_once);
    return faulty;
  }
};
BROOD_FOR_EACH_START_METHOD(ExecutorMapFaultTest);

TEST_P(ExecutorMapFaultTest, AnExceptionIsThatElementsResultAndNoOthers) {
  for (const size_t chunk : {0, 1, 100}) {
    EXPECT_EQ(Run(Fault::kException, {.chunk_size = chunk}, 2).message(), "std::out_of_range: 37");
  }
}

TEST_P(ExecutorMapFaultTest, ADeathIsThatElementsOutcomeAndNoElementRunsTwice) {
  for (const size_t chunk : {0, 1, 38, 100}) {
    const absl::Status status = Run(Fault::kDeath, {.chunk_size = chunk}, 2);
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    ASSERT_TRUE(OutcomeOf(status).has_value()) << status;
    EXPECT_EQ(OutcomeOf(status)->exit_code(), kDeathCode);
  }
}

TEST_P(ExecutorMapFaultTest, ATimeoutIsThatElementsAndNoOthers) {
  for (const size_t chunk : {1, 100}) {
    EXPECT_EQ(Run(Fault::kHang, {.chunk_size = chunk, .timeout = absl::Milliseconds(300)}, 1).code(),
              absl::StatusCode::kDeadlineExceeded);
  }
}

TEST_P(ExecutorMapFaultTest, AChunkThatIsLongerThanAWorkersLifeIsSharedByItsSuccessors) {
  EXPECT_TRUE(Run(Fault::kNone, {.chunk_size = 100}, 1, 9).ok());
  EXPECT_EQ(Run(Fault::kDeath, {.chunk_size = 100}, 1, 9).code(), absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace brood
