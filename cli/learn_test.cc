// `brood policy learn` on real programs: what it writes is enough for the program, and for nothing else.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

class LearnTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-learn-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    policy_ = directory_ + "/policy.json";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Finished Learn(const std::vector<std::string>& argv) {
    std::vector<std::string> args = {"policy", "learn", "-o", policy_, "--"};
    args.insert(args.end(), argv.begin(), argv.end());
    return RunBrood(args);
  }
  Finished Run(const std::vector<std::string>& argv) {
    std::vector<std::string> args = {"run", "--policy", policy_, "--"};
    args.insert(args.end(), argv.begin(), argv.end());
    return RunBrood(args);
  }
  // The same output with the learnt policy as when it was learnt.
  void ExpectEnough(const std::vector<std::string>& argv) {
    const Finished learnt = Learn(argv);
    ASSERT_EQ(learnt.exit_code, 0) << learnt.err;
    const Finished run = Run(argv);
    EXPECT_EQ(run.exit_code, 0) << run.err << FileContent(policy_);
    EXPECT_EQ(run.out, learnt.out);
  }

  std::string directory_;
  std::string policy_;
};

TEST_F(LearnTest, AStaticProgramPasses) { ExpectEnough({Helper("does_nothing")}); }

TEST_F(LearnTest, ADynamicProgramPasses) { ExpectEnough({"/bin/echo", "hello"}); }

TEST_F(LearnTest, AProgramWithThreadsPasses) { ExpectEnough({Helper("changes_address"), "1", "2", "3"}); }

TEST_F(LearnTest, AShellAndItsPipelinePass) {
  ExpectEnough({"sh", "-c", "printf 'b\\na\\n' | sort | tr a-z A-Z; echo done"});
}

TEST_F(LearnTest, PythonPasses) {
  if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "python3 is not installed";
  ExpectEnough({"/usr/bin/python3", "-c", "import json; print(json.dumps({'a': 1}))"});
}

TEST_F(LearnTest, GzipOfAFileMayWriteItsDirectoryAndNothingElse) {
  const std::string file = directory_ + "/data/file";
  std::filesystem::create_directory(directory_ + "/data");
  std::filesystem::copy_file("/usr/lib/os-release", file);
  ASSERT_EQ(Learn({"gzip", "-kf", file}).exit_code, 0);
  std::filesystem::remove(file + ".gz");
  const Finished run = Run({"gzip", "-kf", file});
  EXPECT_EQ(run.exit_code, 0) << run.err << FileContent(policy_);
  EXPECT_TRUE(std::filesystem::exists(file + ".gz"));
  EXPECT_TRUE(Contains(FileContent(policy_), "{\"path\": \"" + directory_ + "/data\", \"access\": \"rw\"}")) << FileContent(policy_);
  EXPECT_TRUE(Contains(FileContent(policy_), "by gzip")) << FileContent(policy_);
  EXPECT_EQ(Run({"gzip", "-l", directory_ + "/policy.json"}).exit_code, 1);
}

TEST_F(LearnTest, AnythingElseIsAViolationThatNamesTheLineWhichAllowsIt) {
  const std::string program = Helper("makes_call");
  ASSERT_EQ(Learn({program, "39"}).exit_code, 0);  // getpid
  const Finished run = Run({program, "63", "0"});  // uname
  EXPECT_EQ(run.exit_code, 159) << run.err;
  const std::string line = R"({"names": ["uname"], "action": "allow"})";
  EXPECT_TRUE(Contains(run.err, line)) << run.err;

  std::string text = FileContent(policy_);
  const std::string field = "\"syscalls\": [\n";
  text.insert(text.find(field) + field.size(), line + ",\n");
  const std::string mended = TempFile("mended.json", text);
  EXPECT_EQ(RunBrood({"run", "--policy", mended, "--", program, "63", "0"}).out, "-14\n");
}

TEST_F(LearnTest, FurtherRunsAreMergedAndKeepTheEvidence) {
  const std::string program = Helper("makes_call");
  ASSERT_EQ(Learn({program, "39"}).exit_code, 0);
  ASSERT_EQ(Learn({program, "63", "0"}).exit_code, 0);
  const std::string merged = FileContent(policy_);
  EXPECT_TRUE(Contains(merged, R"({"names": ["getpid"], "action": "allow"},  // by makes_call, once)")) << merged;
  EXPECT_TRUE(Contains(merged, R"({"names": ["uname"], "action": "allow"},  // by makes_call, once)")) << merged;
  EXPECT_EQ(Run({program, "39"}).exit_code, 0);
  EXPECT_EQ(Run({program, "63", "0"}).exit_code, 0);
  ASSERT_EQ(Learn({program, "63", "0"}).exit_code, 0);
  EXPECT_EQ(FileContent(policy_), merged);
}

TEST_F(LearnTest, AttacksAreNamedAndNotAllowed) {
  const std::string program = Helper("makes_call");
  const Finished learnt = Learn({program, "165"});  // mount
  EXPECT_TRUE(Contains(learnt.err, "not in the policy: system call mount, by makes_call, once")) << learnt.err;
  EXPECT_EQ(Run({program, "165"}).exit_code, 159);
}

TEST_F(LearnTest, AProgramThatIsMissingWritesNothing) {
  EXPECT_EQ(Learn({"no-such-program"}).exit_code, 125);
  EXPECT_FALSE(std::filesystem::exists(policy_));
}

}  // namespace
}  // namespace brood
