// What CPython's multiprocessing promises of Process (Lib/test/_test_multiprocessing.py, _TestProcess), once for each
// start method.
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/current_process.h"
#include "bootstrap/finalizer.h"
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

// Says 'd' when it is terminated, and has `held` until then.
void SayWhenTerminated(const UniqueFd& pipe, const UniqueFd& /*held*/) {
  sigset_t terminated;
  sigemptyset(&terminated);
  sigaddset(&terminated, SIGTERM);
  sigprocmask(SIG_BLOCK, &terminated, nullptr);
  WriteByte(pipe, 'r');
  int number = 0;
  sigwait(&terminated, &number);
  WriteByte(pipe, 'd');
}
BROOD_TARGET(SayWhenTerminated);

void SayAtTheEndOf(const UniqueFd& pipe, const UniqueFd& other) {
  WaitForEnd(other);
  WriteByte(pipe, 'c');
}
BROOD_TARGET(SayAtTheEndOf);

// Leaves children behind that are neither joined nor destroyed before its end: the order in which all end is written
// to `pipe`. The one that is no daemon ends after the daemon only.
void LeaveChildren(int method, const UniqueFd& pipe, const UniqueFd& may_end) {
  const Context context(static_cast<StartMethod>(method));
  const auto number = std::make_shared<UniqueFd>(Duplicate(pipe.get()));
  AddFinalizer([number] { WriteByte(*number, 'b'); }, {.priority = 1});
  AddFinalizer([number] { WriteByte(*number, 'e'); }, {.priority = -1});
  RawPipe held;
  new Process(context.Start({.daemon = true}, SayWhenTerminated, pipe, held.writer).value());
  new Process(context.Start(SayAtTheEndOf, pipe, held.reader).value());
  WaitForEnd(may_end);
}
BROOD_TARGET(LeaveChildren);

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
  EXPECT_EQ(parent_pid, getpid());
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
  EXPECT_EQ(process.exit_code(), -SIGTERM);
}

void StopAndWait(pid_t pid) {
  ASSERT_EQ(kill(pid, SIGSTOP), 0);
  for (int waited = 0; StateOf(pid) != 'T'; ++waited) {
    ASSERT_LT(waited, kPatienceMs) << "not stopped: " << StateOf(pid);
    poll(nullptr, 0, 1);
  }
}

TEST_P(ProcessTest, AStoppedProcessIsKilled) {
  Process process = StartWaiting();
  StopAndWait(process.pid());
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join(absl::Milliseconds(kPatienceMs)).ok());
  EXPECT_EQ(process.exit_code(), -SIGKILL);
}

// Its target may do that, where nothing isolates the one from the other.
TEST_P(ProcessTest, AProcessWhoseGuardianIsStoppedIsKilled) {
  Process process = StartWaiting();
  const bool served = GetParam() == StartMethod::kForkServer;
  const pid_t guardian = NearestAbove(process.pid(), served ? "brood-keeper" : "brood-guardian");
  ASSERT_GT(guardian, 0);
  StopAndWait(guardian);
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join(absl::Milliseconds(kPatienceMs)).ok());
  EXPECT_EQ(process.exit_code(), -SIGKILL);
}

TEST_P(ProcessTest, AKilledProcessHasTheSignalAsItsExitCode) {
  Process process = context_.Start(Sleep).value();
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  EXPECT_EQ(process.Join()->exit_code(), -SIGKILL);
}

TEST_P(ProcessTest, TheSentinelIsReadyOnceTheChildHasEndedAndStaysSo) {
  Process process = StartWaiting();
  pollfd sentinel = {process.sentinel(), POLLIN, 0};
  EXPECT_EQ(poll(&sentinel, 1, 0), 0);
  Release();
  EXPECT_EQ(poll(&sentinel, 1, 20'000), 1);
  ASSERT_TRUE(process.Join().ok());
  sentinel.fd = process.sentinel();
  EXPECT_EQ(poll(&sentinel, 1, 0), 1);
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
  Process process = Process::Start({.argv = {"true"}}).value();
  EXPECT_EQ(process.Result<int>().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ProcessTest, OnlyTheProcessThatMadeAnObjectMayUseIt) {
  Process process = StartWaiting();
  Process unstarted = context_.Create(Identity, 1).value();
  const pid_t pid = fork();
  if (pid == 0) {
    const bool refused = process.Join(absl::ZeroDuration()).status().code() == absl::StatusCode::kFailedPrecondition &&
                         unstarted.Start().code() == absl::StatusCode::kFailedPrecondition &&
                         ActiveChildren().empty() && !process.IsAlive();
    _exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(process.IsAlive());
}

TEST_P(ProcessTest, AChildSeesThatItsParentIsAlive) { EXPECT_TRUE(context_.Call(ParentIsAlive).value()); }

TEST_P(ProcessTest, ADaemonMayNotHaveChildrenAndOthersMay) {
  EXPECT_EQ(context_.Call(StartAChild, method()), absl::OkStatus());
  LaunchOptions daemon = {.daemon = true};
  daemon.stderr_spec = Stdio::Null();
  EXPECT_EQ(context_.Call(daemon, StartAChild, method()).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ProcessTest, AtTheEndFinalizersRunThenDaemonsAreTerminatedAndOthersJoined) {
  RawPipe pipe, may_end;
  Process process = context_.Start(LeaveChildren, method(), pipe.writer, may_end.reader).value();
  pipe.writer.reset();
  char byte = 0;
  ASSERT_EQ(read(pipe.reader.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'r');  // The daemon runs.
  may_end.writer.reset();
  EXPECT_EQ(ReadToEnd(pipe.reader.get()), "bdce");
  EXPECT_EQ(process.Result<void>(), absl::OkStatus());
}

}  // namespace
}  // namespace brood
