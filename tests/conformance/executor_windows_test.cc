// An Executor on Windows: more workers than one wait of the system takes, and workers that misuse the pipe that they have.
#include <windows.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "base/windows_handle.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/executor.h"

namespace brood {
namespace {

// The handles of this process that are pipes, but not its standard streams: that to its executor is among them.
std::vector<HANDLE> OwnPipes() {
  std::vector<HANDLE> pipes;
  for (int number = 4; number < 0x1000; number += 4) {
    const HANDLE handle = HandleOf(number);
    if (GetFileType(handle) != FILE_TYPE_PIPE || handle == GetStdHandle(STD_INPUT_HANDLE) ||
        handle == GetStdHandle(STD_OUTPUT_HANDLE) || handle == GetStdHandle(STD_ERROR_HANDLE)) {
      continue;
    }
    pipes.push_back(handle);
  }
  return pipes;
}

int WriteGarbage() {
  const std::string garbage(4096, '\xff');
  DWORD count = 0;
  for (const HANDLE pipe : OwnPipes()) WriteFile(pipe, garbage.data(), static_cast<DWORD>(garbage.size()), &count, nullptr);
  Sleep();
  return 0;
}
BROOD_TARGET(WriteGarbage);

void ClosePipes() {
  for (const HANDLE pipe : OwnPipes()) CloseHandle(pipe);
  Sleep();
}
BROOD_TARGET(ClosePipes);

using ExecutorWindowsTest = ExecutorTest;
BROOD_FOR_EACH_START_METHOD(ExecutorWindowsTest);

// WaitForMultipleObjects takes 64.
TEST_P(ExecutorWindowsTest, SeventyWorkersRunAtOnce) {
  constexpr size_t kWorkers = 70;
  RawPipe gate;
  Executor executor = Make({.workers = kWorkers, .initializer = Initializer(HoldDescriptor, gate.reader)});
  gate.reader.reset();
  std::vector<Future<void>> futures;
  for (size_t i = 0; i < kWorkers; ++i) futures.push_back(executor.Submit(WaitForHeld));
  for (const auto& future : futures) {
    while (!future.running() && !future.done()) absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(executor.worker_pids().size(), kWorkers);
  gate.writer.reset();
  for (const auto& future : futures) EXPECT_EQ(future.Get(kPatience), absl::OkStatus());
}

TEST_P(ExecutorWindowsTest, GarbageFailsTheTaskAndReplacesTheWorker) {
  Executor executor = Make({.grace = absl::ZeroDuration()});
  const absl::Status status = executor.Submit(WriteGarbage).Get(kPatience).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_EQ(executor.Submit(Square, 5).Get(kPatience).value_or(-1), 25);
}

TEST_P(ExecutorWindowsTest, AWorkerThatClosesItsPipeAndLivesOnIsEndedAndReplaced) {
  Executor executor = Make({.grace = absl::ZeroDuration()});
  const absl::Status status = executor.Submit(ClosePipes).Get(kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_EQ(executor.Submit(Square, 5).Get(kPatience).value_or(-1), 25);
}

TEST_P(ExecutorWindowsTest, WorkersThatCloseTheirPipeBeforeTheyAreReadyBreakTheExecutor) {
  Executor executor = Make({.initializer = Initializer(ClosePipes), .grace = absl::ZeroDuration()});
  EXPECT_THAT(executor.Submit(Square, 5).Get(kPatience).status().message(), testing::HasSubstr("the executor is broken"));
}

TEST_P(ExecutorWindowsTest, ForkIsRefusedSinceThereIsNone) {
  EXPECT_EQ(Executor::Create(Context(StartMethod::kFork)).status().code(), Context(StartMethod::kFork).Call(Nothing).code());
  EXPECT_FALSE(Executor::Create(Context(StartMethod::kFork)).ok());
}

}  // namespace
}  // namespace brood
