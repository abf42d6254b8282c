// A child has random numbers of its own: neither those that its parent will see, nor a sibling's.
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "ipc/auth_key.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

std::vector<int> Draw() { return {std::rand(), std::rand(), std::rand(), std::rand()}; }
BROOD_TARGET(Draw);

std::string MakeKey() { return std::string(AuthKey::Generate().value().secret_bytes()); }
BROOD_TARGET(MakeKey);

using RandomTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(RandomTest);

TEST_P(RandomTest, ChildrenDrawOtherNumbersThanTheirParentAndEachOther) {
  std::srand(7);
  std::set<std::vector<int>> drawn;
  for (int i = 0; i < 4; ++i) drawn.insert(context_.Call(Draw).value());
  drawn.insert(Draw());
  EXPECT_EQ(drawn.size(), 5u);
}

TEST_P(RandomTest, AChildDoesNotDisturbItsParentsNumbers) {
  std::srand(7);
  const std::vector<int> expected = Draw();
  std::srand(7);
  ASSERT_TRUE(context_.Call(Draw).ok());
  EXPECT_EQ(Draw(), expected);
}

TEST_P(RandomTest, KeysThatChildrenMakeDiffer) {
  std::set<std::string> keys;
  for (int i = 0; i < 4; ++i) keys.insert(context_.Call(MakeKey).value());
  EXPECT_EQ(keys.size(), 4u);
}

}  // namespace
}  // namespace brood
