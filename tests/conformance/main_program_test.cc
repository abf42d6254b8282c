// A child finds its program again however that was started (test_multiprocessing_main_handling).
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "launcher/process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

class MainProgramTest : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    const std::filesystem::path program = std::filesystem::exists("tests/conformance/calls_itself.exe")
        ? "tests/conformance/calls_itself.exe" : "tests/conformance/calls_itself";
    program_ = absl::StrCat(folder_.path(), "/", program.filename().string());
    std::filesystem::copy_file(program, program_);
  }

  // What it prints.
  std::string RunIn(const std::string& cwd, std::vector<std::string> argv, const std::vector<std::string>& environment = {}) {
    LaunchOptions options;
    options.cwd = cwd;
    options.argv = std::move(argv);
    options.argv.emplace_back(StartMethodName(GetParam()));
    options.env = environment;
    options.stdout_spec = Stdio::Capture();
    absl::StatusOr<Process> process = Process::Start(options);
    if (!process.ok()) return process.status().ToString();
    EXPECT_EQ(process->Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
    return ReadFromStart(process->TakeStdout());
  }

  TemporaryFolder folder_;
  TemporaryFolder elsewhere_;
  std::string program_;
};
BROOD_FOR_EACH_START_METHOD(MainProgramTest);

TEST_P(MainProgramTest, ByAbsolutePath) { EXPECT_EQ(RunIn(elsewhere_.path(), {program_}), "49\n"); }

TEST_P(MainProgramTest, ByRelativePath) { EXPECT_EQ(RunIn(folder_.path(), {"./calls_itself"}), "49\n"); }

TEST_P(MainProgramTest, ByPathVariable) {
  EXPECT_EQ(RunIn(elsewhere_.path(), {"calls_itself"}, {absl::StrCat("PATH=", folder_.path())}), "49\n");
}

// Every child is the same program by another name then.
TEST_P(MainProgramTest, ByANameWithSpacesAndOtherLetters) {
  const std::string other = absl::StrCat(elsewhere_.path(), "/a \xc3\xa4 b.exe");
  std::filesystem::copy_file(program_, std::filesystem::path(std::u8string(other.begin(), other.end())));
  EXPECT_EQ(RunIn(folder_.path(), {other}), "49\n");
}

}  // namespace
}  // namespace brood
