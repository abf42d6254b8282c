// Logging: off unless asked for, and inherited by children (_TestLogging.test_level).
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

}  // namespace
}  // namespace brood
