// Many children at once, and what is left of those that have ended (test_many_processes, active_children).
#include <set>
#include <thread>
#include <vector>

#include "base/signals.h"
#include "launcher/children.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

using ChildrenTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ChildrenTest);

TEST_P(ChildrenTest, AHundredAtOnceAllEndWithTheirOwnResult) {
  std::vector<Process> processes;
  for (int i = 0; i < 100; ++i) processes.push_back(context_.Start(Identity, i).value());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(processes[static_cast<size_t>(i)].Result<int>().value_or(-1), i);
}

TEST_P(ChildrenTest, AHundredSleepersThatAreTerminatedAtOnceAllSaySo) {
  std::vector<Process> processes;
  for (int i = 0; i < 100; ++i) processes.push_back(context_.Start(Sleep).value());
  EXPECT_EQ(ActiveChildren().size(), 100u);
  for (Process& process : processes) EXPECT_EQ(process.Terminate(), absl::OkStatus());
  for (Process& process : processes) EXPECT_EQ(process.Join()->exit_code(), -kSignalTerminate);
}

TEST_P(ChildrenTest, AskingForActiveChildrenReapsThoseThatHaveEnded) {
  const std::set<int> before = ChildrenOfThisProcess();
  std::vector<Process> processes;
  for (int i = 0; i < 5; ++i) processes.push_back(context_.Start(Nothing).value());
  for (Process& process : processes) ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  EXPECT_TRUE(ActiveChildren().empty());
  EXPECT_EQ(ChildrenOfThisProcess(), before);
  for (Process& process : processes) EXPECT_EQ(process.exit_code(), 0);
}

// Of CPython's, one of some hundred has no exit code (gh-130895).
TEST_P(ChildrenTest, ThreadsThatJoinChildrenOfTheirOwnEachGetTheirOutcomes) {
  const Context context(GetParam(), {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
  const auto start_and_join = [&](int first) {
    for (int i = first; i < first + 60; ++i) {
      Process process = context.Start(Identity, i).value();
      EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
      EXPECT_EQ(process.Result<int>().value_or(-1), i);
    }
  };
  std::thread other(start_and_join, 1000);
  start_and_join(0);
  other.join();
}

}  // namespace
}  // namespace brood
