// Process objects in a fork of the process that made them.
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/children.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

using TextTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(TextTest);
using ProcessTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ProcessTest);

TEST_P(TextTest, InAForkOfItsCreatorItsStateIsUnknown) {
  Process process = StartWaiting({.name = "n"});
  const pid_t pid = fork();
  if (pid == 0) _exit(process.ToString().ends_with(" unknown>") ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
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

}  // namespace
}  // namespace brood
