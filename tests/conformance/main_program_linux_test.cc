// A child finds its program again however that was started, where that is in a way that only Linux has.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "launcher/process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

class MainProgramTest : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    program_ = folder_.path() + "/calls_itself";
    std::filesystem::copy_file("tests/conformance/calls_itself", program_);
  }

  // What it prints.
  std::string RunIn(const std::string& cwd, std::vector<std::string> argv, const std::vector<std::string>& more = {}) {
    LaunchOptions options;
    options.cwd = cwd;
    options.argv = std::move(argv);
    options.argv.emplace_back(StartMethodName(GetParam()));
    options.argv.insert(options.argv.end(), more.begin(), more.end());
    options.stdout_spec = Stdio::Capture();
    absl::StatusOr<Process> process = Process::Start(options);
    if (!process.ok()) return process.status().ToString();
    EXPECT_EQ(process->Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
    return ReadFromStart(process->TakeStdout());
  }

  TemporaryFolder folder_;
  std::string program_;
};
BROOD_FOR_EACH_START_METHOD(MainProgramTest);

TEST_P(MainProgramTest, BySymbolicLinkOfAnotherName) {
  std::filesystem::create_symlink(program_, folder_.path() + "/other");
  EXPECT_EQ(RunIn("/", {folder_.path() + "/other"}), "49\n");
}

TEST_P(MainProgramTest, ThroughAScript) {
  std::ofstream(folder_.path() + "/script") << "#!/bin/sh\nexec " << program_ << " \"$@\"\n";
  chmod((folder_.path() + "/script").c_str(), 0700);
  EXPECT_EQ(RunIn("/", {folder_.path() + "/script"}), "49\n");
}

TEST_P(MainProgramTest, WhoseFileIsGone) {
  EXPECT_EQ(RunIn("/", {program_}, {"and-loses-itself"}), "49\n");
  EXPECT_FALSE(std::filesystem::exists(program_));
}

TEST_P(MainProgramTest, WhoseFileIsAnotherProgramNow) {
  EXPECT_EQ(RunIn("/", {program_}, {"and-replaces-itself"}), "49\n");
  EXPECT_EQ(std::filesystem::file_size(program_), std::filesystem::file_size("/bin/false"));
}

// CPython's server did not start with them (test_preload_main_large_sys_argv).
TEST_P(MainProgramTest, WithFiveThousandArguments) {
  EXPECT_EQ(RunIn("/", {program_}, std::vector<std::string>(5000, "an argument")), "49\n");
}

// The program is ld.so then, as far as the kernel knows, and cannot be executed again. A fork need not be.
TEST_P(MainProgramTest, ThroughTheDynamicLoaderIsAnErrorUnlessItForks) {
  const std::string loader = "/lib64/ld-linux-x86-64.so.2";
  if (!std::filesystem::exists(loader)) GTEST_SKIP() << "there is no " << loader;
  const std::string said = RunIn("/", {loader, program_});
  const std::string expected = absl::StrCat("FAILED_PRECONDITION: ", StartMethodName(GetParam()),
                                            ": open executable /proc/self/exe: it is the dynamic loader ",
                                            std::filesystem::canonical(loader).string(), ", ");
  EXPECT_TRUE(absl::StartsWith(said, IsFork() ? "49" : expected)) << said;
  EXPECT_TRUE(IsFork() || absl::StrContains(said, "ContextOptions::executable")) << said;
}

TEST_P(MainProgramTest, ThroughTheDynamicLoaderStartsChildrenOfTheExecutableThatIsNamed) {
  const std::string loader = "/lib64/ld-linux-x86-64.so.2";
  if (!std::filesystem::exists(loader)) GTEST_SKIP() << "there is no " << loader;
  EXPECT_EQ(RunIn("/", {loader, program_}, {program_}), "49\n");
}

}  // namespace
}  // namespace brood
