// `brood run` with layers that a policy file asks for and no built-in policy has.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

// A policy file with `fields` over `base`, and runs under it.
class LayersTest : public testing::TestWithParam<const char*> {
 protected:
  std::vector<std::string> With(const std::string& fields, std::vector<std::string> options = {}) {
    const std::string file = directory_.path() + "/policy.json";
    Write(file, absl::StrCat("{\"extends\": \"", GetParam(), "\", ", fields, "}"));
    options.insert(options.end(), {"--policy", file, "--result", Result()});
    return options;
  }
  PlainRun Run(const std::string& fields, std::vector<std::string> argv, std::vector<std::string> options = {}) {
    return Brood(RunArgs(With(fields, std::move(options)), std::move(argv)));
  }
  std::string Result() const { return directory_.path() + "/result.json"; }

  TemporaryDirectory directory_;
};

class TimeNamespaceTest : public LayersTest {};
INSTANTIATE_TEST_SUITE_P(Policies, TimeNamespaceTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

constexpr char kWithTime[] = "\"namespaces\": [\"user\", \"pid\", \"mount\", \"net\", \"ipc\", \"uts\", \"cgroup\", \"time\"]";
constexpr long long kSlack = 60;  // For a machine that has other things to do.

struct ClockTimes {
  long long monotonic = -1, boottime = -1, uptime = -1;
};

ClockTimes TimesOf(const PlainRun& run) {
  ClockTimes times;
  EXPECT_EQ(sscanf(run.out.c_str(), "%lld %lld %lld", &times.monotonic, &times.boottime, &times.uptime), 3) << run.out << run.err;
  return times;
}

TEST_P(TimeNamespaceTest, HowLongTheMachineRunsIsNotSeen) {
  const ClockTimes outside = TimesOf(RunPlain({ProgramPath("prints_clocks")}));
  if (outside.monotonic < 2 * kSlack) GTEST_SKIP() << "the machine has only just started";
  const ClockTimes inside = TimesOf(Run(kWithTime, {"prints_clocks"}));
  EXPECT_LT(inside.monotonic, kSlack);
  EXPECT_LT(inside.boottime, kSlack);
  EXPECT_LT(inside.uptime, kSlack);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"time\":\"time namespace, ")) << FileContent(Result());
}

TEST_P(TimeNamespaceTest, TheClocksBeginWhereThePolicySays) {
  const ClockTimes inside =
      TimesOf(Run(absl::StrCat(kWithTime, ", \"clocks\": {\"monotonic\": \"1000h\", \"boottime\": 7000000}"), {"prints_clocks"}));
  EXPECT_GE(inside.monotonic, 3600000);
  EXPECT_LT(inside.monotonic, 3600000 + kSlack);
  EXPECT_GE(inside.boottime, 7000000);
  EXPECT_LT(inside.boottime, 7000000 + kSlack);
}

// Limits and times are those of the guardian's clock, whatever the child's shows.
TEST_P(TimeNamespaceTest, TheWallTimeIsThatOfTheMachine) {
  for (const char* clocks : {"\"0s\"", "\"800000h\""}) {
    const std::string fields = absl::StrCat(kWithTime, ", \"clocks\": {\"monotonic\": ", clocks, "}");
    EXPECT_EQ(Run(fields, {"sleeps_forever"}, {"--wall-time", "300ms"}).code, 124);
    double wall = -1;
    const std::string result = FileContent(Result());
    const size_t at = result.find("\"wall_s\":");
    ASSERT_NE(at, std::string::npos) << result;
    ASSERT_EQ(sscanf(result.c_str() + at, "\"wall_s\":%lf", &wall), 1);
    EXPECT_GE(wall, 0.3) << result;
    EXPECT_LT(wall, kSlack) << result;
    ASSERT_EQ(Run(fields, {"prints_clocks"}).code, 0);
    const std::string ended = FileContent(Result());
    ASSERT_EQ(sscanf(ended.c_str() + ended.find("\"wall_s\":"), "\"wall_s\":%lf", &wall), 1);
    EXPECT_GT(wall, 0) << ended;
    EXPECT_LT(wall, kSlack) << ended;
  }
}

TEST_P(TimeNamespaceTest, ClocksNeedIt) {
  const PlainRun run = Run("\"clocks\": {\"monotonic\": \"1s\"}", {"does_nothing"});
  EXPECT_EQ(run.code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "add \"time\" to namespaces")) << run.err;
  const PlainRun bad = Run(absl::StrCat(kWithTime, ", \"clocks\": {\"boottime\": \"900000h\"}"), {"does_nothing"});
  EXPECT_EQ(bad.code, 125);
  EXPECT_TRUE(absl::StrContains(bad.err, "field \"clocks\": boottime: at most 876000h")) << bad.err;
}

TEST_P(TimeNamespaceTest, IsExplained) {
  const PlainRun run = Brood({"policy", "explain", With(absl::StrCat(kWithTime, ", \"clocks\": {\"boottime\": \"1h\"}"))[1]});
  EXPECT_TRUE(absl::StrContains(run.out, "clocks that begin anew: monotonic at 0, boottime at 1h")) << run.out;
}

}  // namespace
}  // namespace brood
