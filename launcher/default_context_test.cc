// As multiprocessing's context.py: cpython's Lib/test/_test_multiprocessing.py, TestStartMethod.
#include "launcher/default_context.h"

#include <unistd.h>

#include <string>
#include <vector>

#include "bootstrap/target.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

// The default of the child that runs it, whether that can be set, and what a child of its default has as its own.
std::vector<std::string> DefaultsOfDescendants(int depth) {
  std::vector<std::string> names;
  names.emplace_back(ChosenStartMethod().has_value() ? StartMethodName(*ChosenStartMethod()) : "none");
  names.emplace_back(SetStartMethod(StartMethod::kSpawn).ok() ? "settable" : "set");
  if (depth == 0) return names;
  const std::vector<std::string> below = DefaultContext().Call(DefaultsOfDescendants, depth - 1).value();
  names.insert(names.end(), below.begin(), below.end());
  return names;
}
BROOD_TARGET(DefaultsOfDescendants);

std::string ChooseAnother() {
  EXPECT_TRUE(SetStartMethod(StartMethod::kFork, IfChosen::kReplace).ok());
  return std::string(StartMethodName(GetStartMethod()));
}
BROOD_TARGET(ChooseAnother);

class DefaultContextTest : public testing::Test {
 protected:
  void SetUp() override { ForgetStartMethod(); }
};

TEST_F(DefaultContextTest, TheDefaultComesFirstInTheList) {
  const std::vector<StartMethod> all = AllStartMethods();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0], StartMethod::kForkServer);
  EXPECT_EQ(GetStartMethod(), all[0]);
}

TEST_F(DefaultContextTest, ItIsSetOnceUnlessReplaced) {
  EXPECT_EQ(SetStartMethod(StartMethod::kSpawn), absl::OkStatus());
  EXPECT_EQ(SetStartMethod(StartMethod::kSpawn).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SetStartMethod(StartMethod::kFork).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetStartMethod(), StartMethod::kSpawn);
  EXPECT_EQ(SetStartMethod(StartMethod::kFork, IfChosen::kReplace), absl::OkStatus());
  EXPECT_EQ(GetStartMethod(), StartMethod::kFork);
  EXPECT_EQ(DefaultContext().method(), StartMethod::kFork);
}

TEST_F(DefaultContextTest, AskingForItChoosesItAndLookingDoesNot) {
  EXPECT_FALSE(ChosenStartMethod().has_value());
  EXPECT_FALSE(ChosenStartMethod().has_value());
  EXPECT_EQ(GetStartMethod(), StartMethod::kForkServer);
  EXPECT_EQ(ChosenStartMethod(), StartMethod::kForkServer);
  EXPECT_EQ(SetStartMethod(StartMethod::kSpawn).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(DefaultContextTest, StartingThroughAGivenMethodDoesNotChoose) {
  const absl::StatusOr<std::vector<std::string>> names = Context(StartMethod::kSpawn).Call(DefaultsOfDescendants, 0);
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_FALSE(ChosenStartMethod().has_value());
}

TEST_F(DefaultContextTest, UnknownNamesAreRefusedWithTheKnownOnes) {
  for (const StartMethod method : AllStartMethods()) EXPECT_EQ(ParseStartMethod(StartMethodName(method)).value(), method);
  for (const std::string_view name : {"", "Fork", "thread", "fork server"}) {
    const absl::Status status = ParseStartMethod(name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("forkserver, spawn, fork"), std::string_view::npos) << status;
  }
}

TEST_F(DefaultContextTest, AChildsDefaultIsTheMethodByWhichItWasBorn) {
  for (const StartMethod mine : AllStartMethods()) {
    ASSERT_EQ(SetStartMethod(mine, IfChosen::kReplace), absl::OkStatus());
    for (const StartMethod method : AllStartMethods()) {
      const std::string name(StartMethodName(method));
      const absl::StatusOr<std::vector<std::string>> names = Context(method).Call(DefaultsOfDescendants, 1);
      ASSERT_TRUE(names.ok()) << names.status();
      EXPECT_EQ(*names, (std::vector<std::string>{name, "set", name, "set"}));
      EXPECT_EQ(Context(method).Call(ChooseAnother).value(), "fork");
    }
    EXPECT_EQ(GetStartMethod(), mine);
  }
}

}  // namespace
}  // namespace brood
