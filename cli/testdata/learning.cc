#include "cli/testdata/learning.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace brood {

void LearningTest::SetUp() {
  char pattern[] = "/tmp/brood-learn-XXXXXX";
  ASSERT_NE(mkdtemp(pattern), nullptr);
  directory_ = pattern;
  policy_ = directory_ + "/policy.json";
}

void LearningTest::TearDown() { std::filesystem::remove_all(directory_); }

std::string LearningTest::MakeFile(const std::string& name, std::string_view content) const {
  const std::filesystem::path path = directory_ + "/" + name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << content;
  return path.native();
}

Finished LearningTest::Learn(const std::vector<std::string>& argv) const {
  std::vector<std::string> args = {"policy", "learn", "-o", policy_, "--"};
  args.insert(args.end(), argv.begin(), argv.end());
  return RunBrood(args);
}

Finished LearningTest::Run(const std::vector<std::string>& argv) const {
  std::vector<std::string> args = {"run", "--policy", policy_, "--"};
  args.insert(args.end(), argv.begin(), argv.end());
  return RunBrood(args);
}

void LearningTest::ExpectEnough(const std::vector<std::string>& argv) const {
  const Finished learnt = Learn(argv);
  ASSERT_EQ(learnt.exit_code, 0) << learnt.err;
  const Finished run = Run(argv);
  EXPECT_EQ(run.exit_code, 0) << run.err << FileContent(policy_);
  EXPECT_EQ(run.out, learnt.out);
}

}  // namespace brood
