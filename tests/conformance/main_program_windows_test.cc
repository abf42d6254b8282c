// A program that Windows cannot find again by its name.
#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "launcher/process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

using MainProgramTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(MainProgramTest);

TEST_P(MainProgramTest, OneThatWasRenamedWhileItRanIsNotFoundAndNamed) {
  const TemporaryFolder folder;
  const std::string program = folder.path() + "\\calls_itself.exe";
  std::filesystem::copy_file("tests/conformance/calls_itself.exe", program);
  Process process = Process::Start({.argv = {program, "spawn", "and-loses-itself"}, .stdout_spec = Stdio::Capture()}).value();
  ASSERT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
  const std::string said = ReadFromStart(process.TakeStdout());
  EXPECT_TRUE(absl::StartsWith(said, absl::StrCat("NOT_FOUND: exec ", program, ": ERROR_FILE_NOT_FOUND, 2 ("))) << said;
}

}  // namespace
}  // namespace brood
