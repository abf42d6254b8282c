// What can be asked of a process object before its start, while it runs, after its end and after Close (_TestProcess).
#include <string>
#include <vector>

#include "base/own_process.h"
#include "base/signals.h"
#include "launcher/children.h"
#include "launcher/process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

int64_t OwnPid() { return OwnProcessNumber(); }
BROOD_TARGET(OwnPid);

// Whether programs that this process starts are daemons: unless said otherwise, and where it is said that not.
std::vector<bool> DaemonFlagsOfPrograms() {
  const bool by_default = Process::Start({.argv = DoNothingProgram()})->daemon();
  const bool refused = Process::Start({.argv = DoNothingProgram(), .daemon = false})->daemon();
  const bool asked = Process::Start({.argv = DoNothingProgram(), .daemon = true})->daemon();
  return {by_default, refused, asked};
}
BROOD_TARGET(DaemonFlagsOfPrograms);

using LifecycleTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(LifecycleTest);

TEST_P(LifecycleTest, ThePidIsWhatTheChildSays) {
  Process process = context_.Start(OwnPid).value();
  const int pid = process.pid();
  EXPECT_EQ(process.Result<int64_t>().value(), pid);
  EXPECT_EQ(process.pid(), pid);
}

TEST_P(LifecycleTest, ACreatorsDaemonFlagIsTheDefaultAndAnExplicitOneWins) {
  EXPECT_EQ(context_.Call(DaemonFlagsOfPrograms).value(), (std::vector<bool>{false, false, true}));
  EXPECT_EQ(context_.Call({.daemon = true}, DaemonFlagsOfPrograms).value(), (std::vector<bool>{true, false, true}));
}

TEST_P(LifecycleTest, AskingWhetherItLivesReapsIt) {
  Process process = context_.Start(Nothing).value();
  ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  EXPECT_FALSE(process.IsAlive());
  EXPECT_TRUE(ActiveChildren().empty());
  EXPECT_EQ(process.exit_code(), 0);
}

TEST_P(LifecycleTest, JoiningAgainGivesTheSameOutcomeAtOnce) {
  Process process = context_.Start(Sleep).value();
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join().ok());
  for (const absl::Duration timeout : {absl::InfiniteDuration(), absl::ZeroDuration(), -absl::Seconds(1)}) {
    EXPECT_EQ(process.Join(timeout)->exit_code(), -kSignalKill);
  }
}

TEST_P(LifecycleTest, AfterCloseOnlyTheNameAndTheFlagAreKnown) {
  Process process = context_.Start({.name = "n", .daemon = true}, Nothing).value();
  ASSERT_TRUE(process.Join().ok());
  ASSERT_EQ(process.Close(), absl::OkStatus());
  EXPECT_EQ(process.name(), "n");
  EXPECT_TRUE(process.daemon());
  EXPECT_EQ(process.pid(), 0);
  EXPECT_EQ(process.sentinel(), -1);
  EXPECT_FALSE(process.exit_code().has_value());
  EXPECT_FALSE(process.IsAlive());
  for (const absl::Status& status : {process.Join().status(), process.Terminate(), process.Kill(), process.Signal(kSignalTerminate),
                                     process.Start(), process.Result<void>(), process.set_daemon(false)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  }
}

}  // namespace
}  // namespace brood
