// What CPython's multiprocessing promises of Process (Lib/test/_test_multiprocessing.py, _TestProcess), once for each
// start method.
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/own_process.h"
#include "base/signals.h"
#include "base/unique_fd.h"
#include "bootstrap/current_process.h"
#include "ipc/auth_key.h"
#include "launcher/children.h"
#include "launcher/context.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

// Of the process that runs it: name, daemon flag, place, parent's name and number, children, whether its key is ours.
using Seen = std::tuple<std::string, bool, std::vector<uint32_t>, std::string, int64_t, size_t, bool>;

Seen Look(const std::string& key) {
  const ProcessIdentity& self = CurrentProcess();
  const Parent* parent = ParentProcess();
  return {self.name, self.daemon, self.numbers, parent->name(), parent->pid(), ActiveChildren().size(),
          CurrentAuthKey().value().secret_bytes() == key};
}
BROOD_TARGET(Look);

bool ParentIsAlive() { return ParentProcess()->IsAlive(); }
BROOD_TARGET(ParentIsAlive);

std::vector<std::string> Descend(int method, int depth) {
  std::vector<std::string> names = {CurrentProcess().name};
  if (depth == 0) return names;
  const Context context(static_cast<StartMethod>(method));
  for (int i = 0; i < 2; ++i) {
    const std::vector<std::string> below = context.Call(Descend, method, depth - 1).value();
    names.insert(names.end(), below.begin(), below.end());
  }
  return names;
}
BROOD_TARGET(Descend);

absl::Status StartAChild(int method) { return Context(static_cast<StartMethod>(method)).Call(Identity, 1).status(); }
BROOD_TARGET(StartAChild);

// --- the tests ---

using ProcessTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ProcessTest);

TEST_P(ProcessTest, TheMainProcessIsNoDaemonAndHasNoParent) {
  EXPECT_EQ(CurrentProcess().name, "MainProcess");
  EXPECT_FALSE(CurrentProcess().daemon);
  EXPECT_TRUE(CurrentProcess().numbers.empty());
  EXPECT_EQ(ParentProcess(), nullptr);
}

TEST_P(ProcessTest, ACreatedProcessIsStartedOnceAndThenJoined) {
  const std::string key(CurrentAuthKey().value().secret_bytes());
  Process process = context_.Create({.name = "worker", .daemon = true}, Look, key).value();
  EXPECT_FALSE(process.IsAlive());
  EXPECT_EQ(process.pid(), 0);
  EXPECT_EQ(process.sentinel(), -1);
  EXPECT_FALSE(process.exit_code().has_value());
  EXPECT_EQ(process.Join().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(process.Terminate().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(ActiveChildren().empty());

  ASSERT_EQ(process.Start(), absl::OkStatus());
  EXPECT_EQ(process.Start().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(process.set_daemon(false).code(), absl::StatusCode::kFailedPrecondition);
  const absl::StatusOr<Seen> seen = process.Result<Seen>();
  ASSERT_TRUE(seen.ok()) << seen.status();
  const auto& [name, daemon, numbers, parent, parent_pid, children, same_key] = *seen;
  EXPECT_EQ(name, "worker");
  EXPECT_TRUE(daemon);
  EXPECT_EQ(numbers.size(), 1u);
  EXPECT_EQ(parent, "MainProcess");
  EXPECT_EQ(parent_pid, OwnProcessNumber());
  EXPECT_EQ(children, 0u);
  EXPECT_TRUE(same_key);
  EXPECT_EQ(process.exit_code(), 0);
  EXPECT_FALSE(process.IsAlive());
  EXPECT_EQ(process.Start().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ProcessTest, ChildrenAreActiveFromStartToEnd) {
  Process process = StartWaiting({.name = "waits"});
  ASSERT_EQ(ActiveChildren().size(), 1u);
  EXPECT_EQ(ActiveChildren()[0].name, "waits");
  EXPECT_EQ(ActiveChildren()[0].pid, process.pid());
  Release();
  ASSERT_TRUE(process.Join().ok());
  EXPECT_TRUE(ActiveChildren().empty());
}

TEST_P(ProcessTest, NamesTellTheStartMethodAndThePlaceInTheTree) {
  const std::vector<std::string> names = context_.Call(Descend, method(), 2).value();
  ASSERT_EQ(names.size(), 7u);
  const std::string& first = names[0];  // "SpawnProcess-9"
  const std::string_view types[] = {"SpawnProcess", "ForkProcess", "ForkServerProcess"};
  EXPECT_EQ(first.substr(0, first.find('-')), types[method()]);
  const std::vector<std::string> expected = {first, first + ":1", first + ":1:1", first + ":1:2",
                                             first + ":2", first + ":2:1", first + ":2:2"};
  EXPECT_EQ(names, expected);
}

TEST_P(ProcessTest, JoinWithoutTimeLooksOnce) {
  Process process = StartWaiting();
  EXPECT_EQ(process.Join(absl::ZeroDuration()).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(process.Join(-absl::Seconds(1)).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(process.IsAlive());
  ASSERT_EQ(process.Terminate(), absl::OkStatus());
  ASSERT_TRUE(process.Join().ok());
  EXPECT_EQ(process.exit_code(), -kSignalTerminate);
}

TEST_P(ProcessTest, AKilledProcessHasTheSignalAsItsExitCode) {
  Process process = context_.Start(Sleep).value();
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  EXPECT_EQ(process.Join()->exit_code(), -kSignalKill);
}

TEST_P(ProcessTest, TheSentinelIsReadyOnceTheChildHasEndedAndStaysSo) {
  Process process = StartWaiting();
  EXPECT_FALSE(IsReadable(process.sentinel()));
  Release();
  EXPECT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  ASSERT_TRUE(process.Join().ok());
  EXPECT_TRUE(IsReadable(process.sentinel()));
}

TEST_P(ProcessTest, ClosingARunningProcessIsAnErrorAndTwiceIsNone) {
  Process process = StartWaiting({.name = "waits"});
  EXPECT_EQ(process.Close().code(), absl::StatusCode::kFailedPrecondition);
  Release();
  ASSERT_TRUE(process.Join().ok());
  EXPECT_EQ(process.Close(), absl::OkStatus());
  EXPECT_EQ(process.Close(), absl::OkStatus());
  EXPECT_EQ(process.Join().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(process.name(), "waits");
  Process unstarted = context_.Create(Identity, 1).value();
  EXPECT_EQ(unstarted.Close(), absl::OkStatus());
  EXPECT_EQ(unstarted.Start().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ProcessTest, TwoThreadsThatJoinOneChildBothGetItsOutcome) {
  const Context context(GetParam(), {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
  for (int round = 0; round < 20; ++round) {
    Process process = context.Start(Identity, 7).value();
    absl::StatusOr<Outcome> first, second;
    std::thread thread([&] { first = process.Join(); });
    second = process.Join();
    thread.join();
    ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
    EXPECT_TRUE(first->ok() && second->ok());
    EXPECT_EQ(process.Result<int>().value(), 7);
  }
}

TEST_P(ProcessTest, AThreadThatAsksForActiveChildrenTakesNoResultAway) {
  const Context context(GetParam(), {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
  std::atomic<bool> done = false;
  std::thread asks([&] {
    while (!done) ActiveChildren();
  });
  for (int i = 0; i < 100; ++i) {
    const absl::StatusOr<int> result = context.Call(Identity, i);
    EXPECT_EQ(result.value_or(-1), i) << result.status();
  }
  done = true;
  asks.join();
}

TEST_P(ProcessTest, AJoinedProcessHoldsNoDescriptor) {
  std::vector<Process> joined;
  joined.push_back(context_.Start(Identity, 0).value());
  ASSERT_TRUE(joined[0].Join().ok());
  (void)joined[0].sentinel();
  const std::set<int> before = OpenDescriptors();
  for (int i = 0; i < 20; ++i) {
    joined.push_back(context_.Start(Identity, i).value());
    ASSERT_TRUE(joined.back().Join().ok());
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(ProcessTest, TheResultHasItsTypeAndCanBeAskedForAgain) {
  Process process = context_.Start(Identity, 7).value();
  EXPECT_EQ(process.Result<int>().value(), 7);
  EXPECT_EQ(process.Result<int>().value(), 7);
  EXPECT_EQ(process.Result<std::string>().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(ProcessTest, AProgramHasNoResult) {
  Process process = Process::Start({.argv = DoNothingProgram()}).value();
  EXPECT_EQ(process.Result<int>().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ProcessTest, AChildSeesThatItsParentIsAlive) { EXPECT_TRUE(context_.Call(ParentIsAlive).value()); }

TEST_P(ProcessTest, ADaemonMayNotHaveChildrenAndOthersMay) {
  EXPECT_EQ(context_.Call(StartAChild, method()), absl::OkStatus());
  LaunchOptions daemon = {.daemon = true};
  daemon.stderr_spec = Stdio::Null();
  EXPECT_EQ(context_.Call(daemon, StartAChild, method()).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace brood
