// The default of those who choose no start method (TestStartMethod), for each one that can be chosen.
#include <string>
#include <vector>

#include "launcher/default_context.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// The default in this process and in a child and a grandchild of that default; "none" where it is not chosen.
std::vector<std::string> Defaults(int depth) {
  std::vector<std::string> names;
  names.emplace_back(ChosenStartMethod().has_value() ? StartMethodName(*ChosenStartMethod()) : "none");
  if (depth == 0) return names;
  const std::vector<std::string> below = DefaultContext().Call(Defaults, depth - 1).value();
  names.insert(names.end(), below.begin(), below.end());
  return names;
}
BROOD_TARGET(Defaults);

int PassOn(int method, int value) {
  return Context(static_cast<StartMethod>(method)).Call(Identity, value).value();
}
BROOD_TARGET(PassOn);

class StartMethodTest : public ConformanceTest {
 protected:
  void SetUp() override {
    ForgetStartMethod();
    ConformanceTest::SetUp();
  }
  void TearDown() override {
    ConformanceTest::TearDown();
    ForgetStartMethod();
  }
  const std::string name_{StartMethodName(GetParam())};
};
BROOD_FOR_EACH_START_METHOD(StartMethodTest);

TEST_P(StartMethodTest, WhatIsSetIsWhatContextsAndDescendantsHave) {
  ASSERT_EQ(SetStartMethod(GetParam()), absl::OkStatus());
  EXPECT_EQ(GetStartMethod(), GetParam());
  EXPECT_EQ(DefaultContext().method(), GetParam());
  EXPECT_EQ(DefaultContext().Call(Defaults, 1).value(), std::vector<std::string>(2, name_));
}

TEST_P(StartMethodTest, ItCannotBeSetAgainUnlessItIsReplaced) {
  ASSERT_EQ(SetStartMethod(GetParam()), absl::OkStatus());
  for (const StartMethod other : StartMethodsHere()) {
    EXPECT_EQ(SetStartMethod(other).code(), absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(GetStartMethod(), GetParam());
  EXPECT_EQ(SetStartMethod(GetParam(), IfChosen::kReplace), absl::OkStatus());
}

TEST_P(StartMethodTest, StartingThroughAContextChoosesNoDefault) {
  EXPECT_EQ(context_.Call(Nothing), absl::OkStatus());
  EXPECT_FALSE(ChosenStartMethod().has_value());
}

TEST_P(StartMethodTest, AChildsDefaultIsTheMethodByWhichItWasBorn) {
  EXPECT_EQ(context_.Call(Defaults, 1).value(), std::vector<std::string>(2, name_));
}

TEST_P(StartMethodTest, ItIsFoundByItsName) {
  EXPECT_EQ(ParseStartMethod(name_).value(), GetParam());
  EXPECT_EQ(ParseStartMethod(name_ + "x").status().code(), absl::StatusCode::kInvalidArgument);
}

// A child may start children by each method, and hands on what it got (test_nested_startmethod, test_mixed_startmethod).
TEST_P(StartMethodTest, ChildrenOfEachMethodMayStartThoseOfEachOther) {
  for (const StartMethod inner : StartMethodsHere()) {
    EXPECT_EQ(context_.Call(PassOn, static_cast<int>(inner), 7).value(), 7) << StartMethodName(inner);
  }
}

}  // namespace
}  // namespace brood
