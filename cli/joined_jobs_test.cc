// Jobs of several programs that are joined by pipes, and jobs with a terminal of their own, as `brood batch` runs them.
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

Finished Batch(std::string_view jobs, std::vector<std::string> options = {}) {
  std::vector<std::string> args = {"batch", "--allow-weaker", "memory,processes"};
  args.insert(args.end(), options.begin(), options.end());
  args.push_back("-");
  return RunBrood(args, jobs);
}

class JoinedJobsTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Policies, JoinedJobsTest, testing::Values("strict", "default", "none"), [](const auto& param) { return std::string(param.param); });

TEST_P(JoinedJobsTest, AnInteractorAndASolutionTalkAndOneLineHoldsBothAndWhatTheySaid) {
  const Finished run = Batch(
      R"({"id":"talk","programs":[{"argv":["sh","-c","while read -r x; do echo $((x*x)); done"]},)"
      R"({"argv":["sh","-c","for i in 2 3; do echo $i; read -r x; test $x = $((i*i)) || exit 9; done; echo right >&2"]}],)"
      R"("pipes":[{"from":"0.stdout","to":"1.stdin","keep":"1K"},{"from":"1.stdout","to":"0.stdin","keep":2}]})", {"--policy", GetParam()});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_TRUE(absl::StrContains(run.out, R"("id":"talk","attempt":1,"status":"ok")")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, R"("decided_by":0,"programs":[{"status":"ok","exit_code":0)")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, R"("stdout":{"text":"4\n9\n","bytes":4,"truncated":false})")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, R"("stdout":{"text":"2\n","bytes":4,"truncated":true},"stderr":{"text":"right\n")")) << run.out;
}

TEST_P(JoinedJobsTest, TheFirstThatIsEndedByALimitDecidesAndEndsTheOthers) {
  const Finished run = Batch(
      R"({"id":"late","programs":[{"argv":["sleep","1000"]},{"argv":["sleep","1000"],"limits":{"wall_time":"50ms"}}]})", {"--policy", GetParam()});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_TRUE(absl::StrContains(run.out, R"("id":"late","attempt":1,"status":"timeout")")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, R"("decided_by":1)")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, R"("programs":[{"status":"signaled","exit_code":null,"signal":9)")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, R"("ended_with":1},{"status":"timeout")")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, R"("ended_with":null}]})")) << run.out;
}

TEST_P(JoinedJobsTest, AJobIsDoneWithTheFirstEndWhereItSaysSo) {
  const Finished run = Batch(R"({"id":"first","programs":[{"argv":["sleep","1000"]},{"argv":["true"]}],"stop":"end"})", {"--policy", GetParam()});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_TRUE(absl::StrContains(run.out, R"("decided_by":1,"programs":[{"status":"signaled")")) << run.out;
}

TEST_P(JoinedJobsTest, ManyRunAtOnceBesideOthers) {
  std::string jobs;
  for (int i = 0; i < 12; ++i) {
    absl::StrAppend(&jobs, R"({"programs":[{"argv":["echo",")", i, R"("]},{"argv":["cat"]}],"pipes":[{"from":"0.stdout","to":"1.stdin"}]})", "\n", R"({"argv":["echo","x"]})", "\n");
  }
  const Finished run = Batch(jobs, {"--policy", GetParam(), "-j", "6", "--keep-order"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  for (int i = 0; i < 12; ++i) EXPECT_TRUE(absl::StrContains(run.out, absl::StrCat(R"("stdout":{"text":")", i, R"(\n",)"))) << i;
}

TEST_P(JoinedJobsTest, ATerminalOfItsOwnIsAJobsTooAndHasTheSizeThatItSays) {
  const Finished run = Batch(R"({"id":"t","argv":["sh","-c","test -t 0 && stty size; echo err >&2; cat"],"tty":"11x22"})", {"--policy", GetParam()});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_TRUE(absl::StrContains(run.out, R"("stdout":{"text":"11 22\r\nerr\r\n",)")) << run.out;
}

TEST(JoinedJobsOutputTest, EachProgramHasAFolderInTheOutputDirectory) {
  const std::string directory = absl::StrCat(testing::TempDir(), "/joined_out");
  std::filesystem::remove_all(directory);
  const Finished run = Batch(R"({"id":"j","programs":[{"argv":["echo","a"]},{"argv":["cat"]}],"pipes":[{"from":"0.stdout","to":"1.stdin"}]})", {"--output-dir", directory});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_EQ(FileContent(directory + "/j.1/stdout"), "a\n");
  EXPECT_FALSE(std::filesystem::exists(directory + "/j.0/stdout"));
}

TEST(JoinedJobsLineTest, ABadOneIsNamedByItsFieldAndWhatWasExpected) {
  const std::string both = R"("programs":[{"argv":["a"]},{"argv":["b"]}])";
  const std::pair<std::string, const char*> cases[] = {
      {R"({"programs":[]})", R"(field "programs": expected 1 to 64 programs, got 0)"},
      {R"({"programs":true})", R"(field "programs": expected a list, got a truth value)"},
      {R"({"programs":["a"]})", R"(field "programs[0]": expected an object)"},
      {R"({"programs":[{"argv":["a"]},{}]})", R"(field "programs[1].argv": missing; expected a list of strings, the program first)"},
      {R"({"programs":[{"argv":["a"],"id":"x"}]})", R"(field "programs[0].id": unknown)"},
      {R"({"programs":[{"argv":["a"],"limits":{"memory":"x"}}]})", R"(field "programs[0].limits.memory": )"},
      {R"({"argv":["a"],)" + both + "}", R"(field "argv": goes without "programs": each of those has its own)"},
      {R"({"argv":["a"],"pipes":[]})", R"(field "pipes": goes with "programs" only)"},
      {"{" + both + R"(,"stop":"fial"})", R"(field "stop": expected limit, failure, end or never, got "fial")"},
      {"{" + both + R"(,"pipes":[{"from":"0.stdout"}]})", R"(field "pipes[0].to": missing; expected PROGRAM.stdin or PROGRAM.N, N from 3 on, of the programs 0 to 1)"},
      {"{" + both + R"(,"pipes":[{"from":"2.stdout","to":"1.stdin"}]})", R"(field "pipes[0].from": expected PROGRAM.stdout, PROGRAM.stderr or PROGRAM.N, N from 3 on, of the programs 0 to 1, got "2.stdout")"},
      {"{" + both + R"(,"pipes":[{"from":"0.stdout","to":"1.stdin"},{"from":"1.stdout","to":"1.stdin"}]})", R"(field "pipes[1].to": has a pipe already)"},
      {"{" + both + R"(,"pipes":[{"from":"0.stdout","to":"1.stdin","keep":"much"}]})", R"(field "pipes[0].keep": )"},
      {R"({"programs":[{"argv":["a"],"stdout":"o"},{"argv":["b"]}],"pipes":[{"from":"0.stdout","to":"1.stdin"}]})", R"(field "pipes[0].from": program 0 has a "stdout" already)"},
      {R"({"argv":["a"],"tty":"big"})", R"(field "tty": expected ROWSxCOLUMNS, as "24x80", got "big")"},
      {R"({"argv":["a"],"tty":"24x80","stderr":"e"})", R"(field "stderr": goes without "tty": a terminal shows both in stdout)"},
  };
  for (const auto& [line, message] : cases) {
    const Finished run = Batch("\n" + line + "\n");
    EXPECT_EQ(run.exit_code, 2) << line;
    EXPECT_TRUE(absl::StartsWith(run.err, "stdin:2: ")) << run.err;
    EXPECT_TRUE(absl::StrContains(run.err, message)) << run.err << "expected: " << message;
  }
}

}  // namespace
}  // namespace brood
