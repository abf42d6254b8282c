// Starts that fail for what only Linux has: modes and interpreters of files, and a limit of descriptors.
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

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
