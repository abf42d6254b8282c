// What a child has of its owner while that lives.
#include <thread>

#include "bootstrap/current_process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

int WaitForParentInVain() { return static_cast<int>(ParentProcess()->Join(absl::Milliseconds(10)).code()); }
BROOD_TARGET(WaitForParentInVain);

using OwnerTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(OwnerTest);

TEST_P(OwnerTest, JoiningAParentThatLivesIsDeadlineExceeded) {
  EXPECT_EQ(context_.Call(WaitForParentInVain).value(), static_cast<int>(absl::StatusCode::kDeadlineExceeded));
}

TEST_P(OwnerTest, AThreadThatEndsDoesNotEndTheChildrenThatItStarted) {
  const Context context(GetParam(), {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
  RawPipe pipe;
  absl::StatusOr<Process> process = absl::UnknownError("not started");
  std::thread([&] { process = context.Start(WaitForEnd, pipe.reader); }).join();
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ(process->Join(absl::Milliseconds(100)).status().code(), absl::StatusCode::kDeadlineExceeded);
  pipe.writer.reset();
  EXPECT_EQ(process->Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
}

}  // namespace
}  // namespace brood
