#include "forkserver/near_state.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "forkserver/in_child_testing.h"
#include "gtest/gtest.h"

extern char** environ;

namespace brood::internal {
namespace {

std::vector<long> DrawSeeded(unsigned seed) {
  srandom(seed);
  std::vector<long> drawn;
  for (int i = 0; i < 500; ++i) drawn.push_back(random());
  return drawn;
}

TEST(NearStateTest, TheSameNumbersFollowFromASeedAsBefore) {
  TestInChild([] {
    const std::vector<long> before = DrawSeeded(7);
    MoveStateNear();
    EXPECT_EQ(DrawSeeded(7), before);
    MoveStateNear();  // As a template does.
    EXPECT_EQ(DrawSeeded(7), before);
  });
}

TEST(NearStateTest, EachSeedingGivesOtherNumbers) {
  TestInChild([] {
    MoveStateNear();
    srandom(7);
    SeedNearRandom();
    const long first = random();
    srandom(7);
    SeedNearRandom();
    EXPECT_NE(random(), first);
  });
}

TEST(NearStateTest, AStateThatAPreloadHasChosenIsKeptAndSeeded) {
  TestInChild([] {
    static char chosen[256] = {};
    initstate(7, chosen, sizeof(chosen));
    MoveStateNear();
    srandom(7);
    const long unseeded = random();
    srandom(7);
    SeedNearRandom();
    EXPECT_NE(random(), unseeded);
    static char other[128] = {};
    EXPECT_EQ(initstate(1, other, sizeof(other)), chosen);
  });
}

TEST(NearStateTest, TheEnvironmentStaysAndCanBeChanged) {
  TestInChild([] {
    setenv("BROOD_NEAR", "1", 1);
    MoveStateNear();
    EXPECT_STREQ(getenv("BROOD_NEAR"), "1");
    setenv("BROOD_NEAR", "2", 1);
    setenv("BROOD_NEAR_TOO", "3", 1);
    EXPECT_STREQ(getenv("BROOD_NEAR"), "2");
    EXPECT_STREQ(getenv("BROOD_NEAR_TOO"), "3");
    EXPECT_EQ(NearEnvironment(2), nullptr);  // The C library has made a list of its own, which is what `environ` is now.
  });
}

TEST(NearStateTest, AnEnvironmentThatIsWrittenNearIsTheOneOfTheProcess) {
  TestInChild([] {
    clearenv();
    setenv("BROOD_OLD", "1", 1);
    MoveStateNear();
    char** const entries = NearEnvironment(2);
    ASSERT_NE(entries, nullptr);
    static char entry[] = "BROOD_NEW=2";
    entries[0] = entry;
    entries[1] = nullptr;
    EXPECT_EQ(getenv("BROOD_OLD"), nullptr);
    EXPECT_STREQ(getenv("BROOD_NEW"), "2");
  });
}

TEST(NearStateTest, ALongEnvironmentStaysWhereItIs) {
  TestInChild([] {
    for (int i = 0; i < 64; ++i) setenv(("BROOD_" + std::to_string(i)).c_str(), "", 1);
    char** const before = environ;
    MoveStateNear();
    EXPECT_EQ(environ, before);
    EXPECT_EQ(NearEnvironment(2), nullptr);
  });
}

}  // namespace
}  // namespace brood::internal
