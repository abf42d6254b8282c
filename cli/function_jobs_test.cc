// Jobs of `brood batch` that are functions, end to end.
#include <signal.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(FunctionJobsTest, ASignalEndsABatchThatStillPreloadsAndThePreload) {
  const std::string ends = Resolved("tests/plugins/libends.so");
  StartedBrood brood({"batch", "--start-method", "forkserver", "--preload", absl::StrCat(ends, ":PrintsAndHangs"), "-"},
                     absl::StrCat(R"({"id":"a","target":")", ends, R"(:GivesCode","args":[3]})", "\n"));
  EXPECT_EQ(brood.ReadLine(), "hanging\n");
  brood.Signal(SIGTERM);
  EXPECT_EQ(brood.Wait().exit_code, -SIGTERM);  // At the end of the output, which the preload has, too.
}

TEST(FunctionJobsTest, AFunctionIsAJobAndItsValueIsInItsResult) {
  const std::string plugin = Resolved("tests/plugins/libvalues.so");
  const std::string ends = Resolved("tests/plugins/libends.so");
  const std::string jobs = absl::StrCat(
      R"({"id":"both","target":")", plugin, R"(:both","args":[true,{"a":1}]})", "\n",
      R"({"id":"bytes","target":")", plugin, R"(:bytes","args":[{"base64":"/w=="}]})", "\n",
      R"({"id":"thrown","target":")", ends, R"(:Throws","args":["why not"]})", "\n",
      R"({"id":"code","target":")", ends, R"(:GivesCode","args":[3]})", "\n",
      R"({"id":"mismatch","target":")", plugin, R"(:byte","args":[256]})", "\n",
      R"({"id":"prints","policy":"strict","target":")", ends, R"(:Prints","args":["text"]})", "\n",
      R"({"id":"program","argv":["true"]})", "\n",
      R"({"id":"long","target":")", ends, R"(:Long","args":[2000000]})", "\n");
  for (const char* method : {"spawn", "fork", "forkserver"}) {
    const Finished batch = RunBrood({"batch", "-k", "--start-method", method, "-"}, jobs);
    EXPECT_EQ(batch.exit_code, 1) << batch.err;
    const std::vector<std::string> lines = absl::StrSplit(batch.out, '\n', absl::SkipEmpty());
    ASSERT_EQ(lines.size(), 8u) << batch.out << batch.err;
    EXPECT_TRUE(absl::StrContains(lines[0], R"("value":[true,{"a":1}])")) << lines[0];
    EXPECT_TRUE(absl::StrContains(lines[1], R"("value":{"base64":"/w=="})")) << lines[1];
    EXPECT_TRUE(absl::StrContains(lines[2], R"("status":"failed","exit_code":1)")) << lines[2];
    EXPECT_TRUE(absl::StrContains(lines[2], "why not")) << lines[2];
    EXPECT_TRUE(absl::StrContains(lines[3], R"("status":"failed","exit_code":3)")) << lines[3];
    EXPECT_TRUE(absl::StrContains(lines[4], R"("status":"setup_failed")")) << lines[4];
    EXPECT_TRUE(absl::StrContains(lines[4], "argument 1: expected uint8 (0 to 255), got 256")) << lines[4];
    EXPECT_TRUE(absl::StrContains(lines[5], R"("stdout":{"text":"text\n")")) << lines[5];
    EXPECT_TRUE(absl::StrContains(lines[5], R"("value":3)")) << lines[5];
    EXPECT_TRUE(absl::StrContains(lines[6], R"("value":null)")) << lines[6];
    EXPECT_TRUE(absl::StrContains(lines[7], R"("status":"failed","exit_code":1)")) << lines[7].substr(0, 1000);
    EXPECT_TRUE(absl::StrContains(lines[7], "1048576 are allowed")) << lines[7].substr(0, 1000);
  }
}

TEST(FunctionJobsTest, AFunctionThatIsNowhereIsFoundBeforeAnythingRuns) {
  const Finished plugin = RunBrood({"batch", "-"}, R"({"id":"a","target":"/nowhere/libx.so:f"})");
  EXPECT_EQ(plugin.exit_code, 2) << plugin.err;
  EXPECT_TRUE(absl::StrContains(plugin.err, "stdin:1: field \"target\": plugin /nowhere/libx.so: ENOENT")) << plugin.err;
  const Finished name = RunBrood({"batch", "-"}, R"({"id":"a","target":"f"})");
  EXPECT_EQ(name.exit_code, 2) << name.err;
  EXPECT_TRUE(absl::StrContains(name.err, "stdin:1: field \"target\": f: no target of that name")) << name.err;
}

}  // namespace
}  // namespace brood
