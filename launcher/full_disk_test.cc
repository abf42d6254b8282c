// A file that takes no more of a child's output is no success, though the child may have ended before it could be told.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/match.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"

namespace brood {
namespace {

// By a guardian of its own, and by the server of sandboxes that are kept.
class FullDiskTest : public testing::TestWithParam<StartMethod> {
 protected:
  Outcome Run(const std::string& script, Stdio out, Stdio err) {
    LaunchOptions options;
    options.argv = {"sh", "-c", script};
    options.policy = CompilePolicy(BuiltinPolicy("strict").value()).value();  // Whose output is counted.
    options.stdin_spec = Stdio::Null();
    options.stdout_spec = out;
    options.stderr_spec = err;
    absl::StatusOr<Process> process = Context(GetParam()).Launch(options);
    EXPECT_TRUE(process.ok()) << process.status();
    return process.ok() ? process->Join(absl::Seconds(30)).value() : Outcome();
  }

  const UniqueFd full_{open("/dev/full", O_WRONLY | O_CLOEXEC)};
};

INSTANTIATE_TEST_SUITE_P(Methods, FullDiskTest, testing::Values(StartMethod::kSpawn, StartMethod::kForkServer),
                         [](const auto& info) { return std::string(StartMethodName(info.param)); });

TEST_P(FullDiskTest, WhatIsLostOfTheOutputIsNoSuccess) {
  const Outcome out = Run("echo lost", Stdio::Fd(full_.get()), Stdio::Null());
  EXPECT_EQ(out.exit_code(), 0);
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.StatusWord(), "failed");
  EXPECT_EQ(out.ShellExitCode(), 125);
  EXPECT_EQ(out.stdout_result.error_number, ENOSPC);
  EXPECT_TRUE(absl::StartsWith(out.ToString(), "exited with code 0, and its standard output could not be written: ENOSPC")) << out.ToString();
  const Outcome err = Run("echo lost >&2", Stdio::Null(), Stdio::Fd(full_.get()));
  EXPECT_EQ(err.stderr_result.error_number, ENOSPC);
  EXPECT_FALSE(err.ok());
}

TEST_P(FullDiskTest, TheProgramsOwnFailureStays) {
  const Outcome outcome = Run("echo lost; exit 3", Stdio::Fd(full_.get()), Stdio::Null());
  EXPECT_EQ(outcome.ShellExitCode(), 3);
  EXPECT_EQ(outcome.ToString(), "exited with code 3");
}

TEST_P(FullDiskTest, NothingThatIsWrittenIsNothingLost) { EXPECT_TRUE(Run("true", Stdio::Fd(full_.get()), Stdio::Fd(full_.get())).ok()); }

// As `program | head -1` does.
TEST_P(FullDiskTest, AReaderWhoHasGoneIsNoFailure) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  const Outcome outcome = Run("echo unheard", Stdio::Fd(ends[1]), Stdio::Null());
  close(ends[1]);
  EXPECT_TRUE(outcome.ok()) << outcome.ToString();
  EXPECT_TRUE(outcome.stdout_result.truncated);
}

}  // namespace
}  // namespace brood
