// Logging: off unless asked for, and inherited by children (_TestLogging.test_level).
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "bootstrap/log.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

int LevelHere() { return static_cast<int>(CurrentLogLevel()); }
BROOD_TARGET(LevelHere);

class LogTest : public ConformanceTest {
 protected:
  // A level of its own is a forkserver of its own, which stays for the next child.
  void SetUp() override {
    ASSERT_EQ(quiet_.Call(Nothing), absl::OkStatus());
    ConformanceTest::SetUp();
  }
  void TearDown() override {
    LogToStderr(LogLevel::kOff);
    ConformanceTest::TearDown();
  }

  const Context quiet_{GetParam(), {.log_level = static_cast<int>(LogLevel::kError)}};
};
BROOD_FOR_EACH_START_METHOD(LogTest);

TEST_P(LogTest, NothingIsLoggedUnlessAskedFor) {
  EXPECT_EQ(CurrentLogLevel(), LogLevel::kOff);
  EXPECT_EQ(context_.Call(LevelHere).value(), 0);
  EXPECT_EQ(Run(Nothing).err, "");
}

TEST_P(LogTest, ChildrenHaveTheParentsLevelAndSayTheirNames) {
  LogToStderr(LogLevel::kInfo);
  EXPECT_EQ(context_.Call(LevelHere).value(), static_cast<int>(LogLevel::kInfo));
  LaunchOptions options;
  options.name = "wor\nker";  // No name makes two lines of one.
  options.stderr_spec = Stdio::Capture();
  Process process = context_.Start(options, Nothing).value();
  ASSERT_TRUE(process.Join().ok());
  EXPECT_EQ(ReadFromStart(process.TakeStderr()),
            "[INFO/wor ker] child process calling Nothing\n"
            "[INFO/wor ker] process shutting down\n"
            "[INFO/wor ker] process exiting with exitcode 0\n");
}

TEST_P(LogTest, AContextsOwnLevelWins) {
  LogToStderr(LogLevel::kInfo);
  EXPECT_EQ(quiet_.Call(LevelHere).value(), static_cast<int>(LogLevel::kError));
  LaunchOptions options;
  options.stderr_spec = Stdio::Capture();
  Process process = quiet_.Start(options, Nothing).value();
  ASSERT_TRUE(process.Join().ok());
  EXPECT_EQ(ReadFromStart(process.TakeStderr()), "");
}

TEST_P(LogTest, AParentSaysWhatItStarts) {
  RawPipe pipe;
  const pid_t starter = fork();
  if (starter == 0) {
    dup2(pipe.writer.get(), STDERR_FILENO);
    LogToStderr(LogLevel::kInfo);
    const bool fine = context_.Call({.name = "worker"}, Nothing).ok();
    _exit(fine ? 0 : 1);
  }
  pipe.writer.reset();
  const std::string said = ReadToEnd(pipe.reader.get());
  EXPECT_EQ(said.find("[INFO/MainProcess] starting worker: Nothing\n"), 0u) << said;
  int status = -1;
  EXPECT_EQ(waitpid(starter, &status, 0), starter);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace brood
