// A start that fails says where and why, leaves nothing (the fixture), and may be tried again. CPython gives exit code 255
// for a missing executable, or BrokenPipeError.
#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "launcher/children.h"
#include "launcher/process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

std::string WorkingFolder() { return std::filesystem::current_path().filename().string(); }
BROOD_TARGET(WorkingFolder);

class FailedStartTest : public ConformanceTest {
 protected:
  TemporaryFolder folder_;
};
BROOD_FOR_EACH_START_METHOD(FailedStartTest);

TEST_P(FailedStartTest, AnExecutableThatIsNotThereIsNotFoundAndNamed) {
  if (IsFork()) GTEST_SKIP() << "a fork executes nothing";
  const std::string missing = folder_.path() + "/program";
  const absl::Status status = Context(GetParam(), {.executable = missing}).StartByName({}, "Nothing", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), missing)) << status;
}

TEST_P(FailedStartTest, AFolderThatIsNotThereIsNamed) {
  const std::string missing = folder_.path() + "/nowhere";
  const absl::Status status = context_.Call({.cwd = missing}, Nothing);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), missing)) << status;
}

TEST_P(FailedStartTest, MayBeTriedAgainAndIsNoChild) {
  const std::string later = folder_.path() + "/later";
  Process process = context_.Create({.cwd = later, .name = "n"}, WorkingFolder).value();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(process.Start().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(process.ToString().ends_with(" initial>")) << process.ToString();
  EXPECT_TRUE(ActiveChildren().empty());
  ASSERT_TRUE(std::filesystem::create_directory(later));
  ASSERT_EQ(process.Start(), absl::OkStatus());
  EXPECT_EQ(process.Result<std::string>().value(), "later");
}

}  // namespace
}  // namespace brood
