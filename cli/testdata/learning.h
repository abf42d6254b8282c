// What the tests of `brood policy learn` share: a policy that is learnt from a program, and run with it.
#ifndef BROOD_CLI_TESTDATA_LEARNING_H_
#define BROOD_CLI_TESTDATA_LEARNING_H_

#include <string>
#include <string_view>
#include <vector>

#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {

class LearningTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // In the test's own directory, with the directories above it. Gives its path.
  std::string MakeFile(const std::string& name, std::string_view content = "text") const;

  Finished Learn(const std::vector<std::string>& argv) const;
  Finished Run(const std::vector<std::string>& argv) const;
  // The same output with the learnt policy as when it was learnt.
  void ExpectEnough(const std::vector<std::string>& argv) const;

  std::string directory_;
  std::string policy_;
};

}  // namespace brood

#endif  // BROOD_CLI_TESTDATA_LEARNING_H_
