// A start that fails says where and why, leaves nothing (the fixture), and may be tried again. CPython gives exit code 255
// for a missing executable, or BrokenPipeError.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "launcher/children.h"
#include "launcher/process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

std::string WorkingFolder() {
  char folder[4096] = {};
  return getcwd(folder, sizeof(folder)) == nullptr ? "" : folder;
}
BROOD_TARGET(WorkingFolder);

class FailedStartTest : public ConformanceTest {
 protected:
  std::string FileWith(const std::string& text, mode_t mode) {
    const std::string path = absl::StrCat(folder_.path(), "/", mode);
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }

  // What a function's start says whose executable that is.
  absl::Status StartWith(const std::string& executable) {
    return Context(GetParam(), {.executable = executable}).StartByName({}, "Nothing", {}).status();
  }

  TemporaryFolder folder_;
};
BROOD_FOR_EACH_START_METHOD(FailedStartTest);

TEST_P(FailedStartTest, AnExecutableThatCannotBeRunIsNamedWithStepAndErrno) {
  if (IsFork()) GTEST_SKIP() << "a fork executes nothing";
  struct Case {
    std::string path;
    absl::StatusCode code;
    std::string error;
  };
  for (const auto& [path, code, error] : {
           Case{"/nonexistent/program", absl::StatusCode::kNotFound, "ENOENT"},
           Case{FileWith("#!/bin/sh\n", 0644), absl::StatusCode::kPermissionDenied, "EACCES"},
           Case{FileWith("no program", 0755), absl::StatusCode::kFailedPrecondition, "ENOEXEC"},
       }) {
    const absl::Status status = StartWith(path);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), error)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "exec")) << status;  // The step.
  }
}

TEST_P(FailedStartTest, AFolderThatIsNotThereIsNamedWithStepAndErrno) {
  const absl::Status status = context_.Call({.cwd = "/nonexistent"}, Nothing);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "/nonexistent") && absl::StrContains(status.message(), "ENOENT")) << status;
}

TEST_P(FailedStartTest, MayBeTriedAgainAndIsNoChild) {
  const std::string later = folder_.path() + "/later";
  Process process = context_.Create({.cwd = later, .name = "n"}, WorkingFolder).value();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(process.Start().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(process.ToString().ends_with(" initial>")) << process.ToString();
  EXPECT_TRUE(ActiveChildren().empty());
  ASSERT_EQ(mkdir(later.c_str(), 0700), 0);
  ASSERT_EQ(process.Start(), absl::OkStatus());
  EXPECT_TRUE(process.Result<std::string>()->ends_with("/later"));
}

TEST_P(FailedStartTest, WithoutADescriptorLeftItIsResourceExhaustedAndLeavesNone) {
  rlimit files = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  const std::set<int> before = OpenDescriptors();
  // Room for a little more each time, so that it fails at each step.
  for (rlim_t more = 0; more < 12; ++more) {
    const rlimit narrow = {.rlim_cur = static_cast<rlim_t>(*before.rbegin()) + 1 + more, .rlim_max = files.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &narrow), 0);
    const absl::Status status = context_.Call(Nothing);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    EXPECT_TRUE(status.ok() || absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(OpenDescriptors(), before);
  }
  EXPECT_EQ(context_.Call(Nothing), absl::OkStatus());
}

}  // namespace
}  // namespace brood
