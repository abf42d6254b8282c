// `brood run` with supplementary groups.
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

constexpr char kGroup[] = "4242";  // Nobody's.
constexpr char kRead[] = "grep ^Groups: /proc/self/status; cat /shown/file";

class GroupsTest : public LayersTest {
 protected:
  // A file that its owner, root, and members of the group may read.
  std::string Shown() {
    const std::string place = directory_.path() + "/shown";
    mkdir(place.c_str(), 0755);
    chmod(place.c_str(), 0755);
    std::ofstream(place + "/file") << "content\n";
    EXPECT_EQ(chown((place + "/file").c_str(), 0, 4242), 0);
    EXPECT_EQ(chmod((place + "/file").c_str(), 0640), 0);
    return place + ":/shown";
  }
  static std::vector<std::string> Args(const std::string& shown, std::vector<std::string> options) {
    std::vector<std::string> args = {"run", "--policy", GetParam(), "--ro", shown};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"--", "sh", "-c", kRead});
    return args;
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, GroupsTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(GroupsTest, RootsChildReadsWhatItsGroupsMayAndNoOther) {
  if (!IsRoot()) GTEST_SKIP() << "needs root, who can give groups";
  const std::string shown = Shown();
  const PlainRun without = Brood(Args(shown, {}));
  EXPECT_EQ(without.code, 1);
  EXPECT_EQ(without.out, "Groups:\t \n") << without.err;
  const PlainRun with = Brood(Args(shown, {"--groups", absl::StrCat("4243,", kGroup)}));
  EXPECT_EQ(with.out, "Groups:\t4242 4243 \ncontent\n") << with.err;
  EXPECT_EQ(Brood(Args(shown, {"--groups", "4243"})).out, "Groups:\t4243 \n");
}

TEST_P(GroupsTest, WithoutAUserNamespaceTheyAreTheSame) {
  if (!IsRoot()) GTEST_SKIP() << "needs root, who can give groups";
  const std::string file = directory_.path() + "/policy.json";
  Write(file, absl::StrCat("{\"extends\": null, \"drop_privileges\": true, \"network\": {\"mode\": \"host\"}, \"groups\": [", kGroup, "]}"));
  EXPECT_EQ(Brood({"run", "--policy", file, "--", "grep", "^Groups:", "/proc/self/status"}).out, "Groups:\t4242 \n");
}

TEST_P(GroupsTest, ToOthersTheirOwnAreLeftAndMoreIsAnErrorWithTheRemedy) {
  const std::string shown = directory_.path() + ":/shown";
  const auto as = [&](const std::string& groups, const std::string& asked) {
    std::vector<std::string> args = {"setpriv", "--reuid=65534", "--regid=65534", groups.empty() ? "--clear-groups" : "--groups=" + groups, BroodPath()};
    if (!IsRoot()) args = {BroodPath()};
    std::vector<std::string> rest = {"run", "--policy", GetParam(), "--groups", asked, "--", "echo", "ran"};
    args.insert(args.end(), rest.begin(), rest.end());
    return RunPlain(args);
  };
  const PlainRun more = as("", kGroup);
  EXPECT_EQ(more.code, 125);
  EXPECT_EQ(more.out, "");
  EXPECT_TRUE(absl::StrContains(more.err, "groups: 4242 is none of this caller's, and only root can give others; run brood as root, or as a member of it")) << more.err;
  if (!IsRoot()) return;
  EXPECT_EQ(as(kGroup, kGroup).out, "ran\n") << as(kGroup, kGroup).err;
  EXPECT_EQ(as(kGroup, "4242,4243").code, 125);
}

// The kernel shows them to a program as 65534, and heeds them all the same.
TEST_P(GroupsTest, ThoseThatTheKernelLeavesAreTold) {
  if (!IsRoot()) GTEST_SKIP() << "needs root, to be somebody with a group";
  const auto as = [&](const char* groups) {
    const PlainRun run = RunPlain({"setpriv", "--reuid=65534", "--regid=65534", groups, BroodPath(), "run", "--policy", GetParam(), "--result", "-", "--", "true"});
    EXPECT_EQ(run.code, 0) << run.err;
    return run.out;
  };
  EXPECT_TRUE(absl::StrContains(as("--groups=4242"), "\"kept_groups\":[4242]")) << as("--groups=4242");
  EXPECT_TRUE(absl::StrContains(as("--clear-groups"), "\"kept_groups\":[]")) << as("--clear-groups");
}

TEST_P(GroupsTest, AMemberReadsWhatItsGroupMay) {
  if (!IsRoot()) GTEST_SKIP() << "needs root, to make a file of the group";
  const std::string shown = Shown();
  std::vector<std::string> args = {"setpriv", "--reuid=65534", "--regid=65534", std::string("--groups=") + kGroup, BroodPath()};
  const std::vector<std::string> rest = Args(shown, {"--groups", kGroup});
  args.insert(args.end(), rest.begin(), rest.end());
  EXPECT_EQ(RunPlain(args).out, "Groups:\t65534 \ncontent\n") << RunPlain(args).err;
}

TEST_P(GroupsTest, BadOnesAreNamed) {
  struct Case {
    std::string asked, problem;
  };
  const Case cases[] = {{"", "--groups: expected numbers of groups, as in 4,44, got \"\""},
                        {"video", "--groups: expected numbers of groups, as in 4,44, got \"video\""},
                        {"0", "groups: expected numbers from 1, since 0 is root's, to 2147483647, got 0"},
                        {"4294967295", "groups: expected numbers from 1"},
                        {"4,4", "groups: 4 is there twice"}};
  for (const auto& [asked, problem] : cases) {
    const PlainRun run = Brood({"run", "--policy", GetParam(), "--groups", asked, "--", "echo", "ran"});
    EXPECT_EQ(run.code, 125) << asked;
    EXPECT_EQ(run.out, "");
    EXPECT_TRUE(absl::StrContains(run.err, problem)) << run.err;
  }
  EXPECT_TRUE(absl::StrContains(Run("\n\"groups\": [4, \"video\"]", {"does_nothing"}).err, "/policy.json:2: field \"groups\": expected a list of numbers")) << GetParam();
  EXPECT_TRUE(absl::StrContains(Run("\n\"groups\": [0]", {"does_nothing"}).err, "/policy.json:2: field \"groups")) << Run("\n\"groups\": [0]", {"does_nothing"}).err;
  const PlainRun none = Brood({"run", "--policy", "none", "--groups", kGroup, "--", "true"});
  EXPECT_TRUE(absl::StrContains(none.err, "groups: need drop_privileges")) << none.err;
  if (!IsRoot()) return;
  const PlainRun own = Run("\"groups\": [1000]", {"does_nothing"});
  EXPECT_TRUE(absl::StrContains(own.err, "groups: 1000 is also one of the sandbox's own ids")) << own.err;
  EXPECT_EQ(Run("\"groups\": [1000], \"ids\": {\"gid\": 7}", {"does_nothing"}).code, 0);
}

}  // namespace
}  // namespace brood
