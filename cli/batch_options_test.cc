// The options of `brood batch` that choose what runs and export what ran.
#include <unistd.h>

#include <algorithm>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "batch/json.h"
#include "batch/result_json.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

std::string FreshPath(std::string_view name) {
  const std::string path = TempFile(name, "");
  unlink(path.c_str());
  return path;
}

std::vector<std::string> LinesOf(const std::string& text) { return absl::StrSplit(text, '\n', absl::SkipEmpty()); }

std::vector<std::string> IdsOf(const std::string& results) {
  std::vector<std::string> ids;
  for (const std::string& line : LinesOf(results)) {
    if (const auto result = ParseResult(line)) ids.push_back(result->id);
  }
  return ids;
}

std::string Jobs(int count) {
  std::string jobs;
  for (int i = 1; i <= count; ++i) {
    absl::StrAppend(&jobs, R"({"id":")", i, R"(","argv":["true"],"policy":"none"})", "\n");
  }
  return jobs;
}

TEST(BatchOptionsTest, ShardsAreAPartitionOfTheJobs) {
  const std::string file = TempFile("shard.jobs", Jobs(10));
  std::multiset<std::string> all;
  std::string merged;
  for (const char* shard : {"1/3", "2/3", "3/3"}) {
    const std::string journal = FreshPath("shard.jsonl");
    const Finished batch = RunBrood({"batch", "--shard", shard, "--results", journal, file});
    EXPECT_EQ(batch.exit_code, 0) << batch.err;
    const std::string content = FileContent(journal);
    for (const std::string& id : IdsOf(content)) all.insert(id);
    merged += content;
    // Its own journal knows the jobs of its own shard only, and is not taken for that of another batch.
    EXPECT_EQ(RunBrood({"batch", "--shard", shard, "--results", journal, "--resume", file}).exit_code, 0);
    EXPECT_EQ(FileContent(journal), content);
  }
  EXPECT_EQ(all.size(), 10u);
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 10u);
  EXPECT_EQ(RunBrood({"status", TempFile("merged.jsonl", merged)}).out, "results\t10\nok\t10\n");
  const std::string first = RunBrood({"batch", "--dry-run", "--shard", "1/3", file}).out;
  EXPECT_EQ(first, "1\tnone\ttrue\n4\tnone\ttrue\n7\tnone\ttrue\n10\tnone\ttrue\n");
  for (const char* bad : {"0/3", "4/3", "1", "1/0", "a/b", "1/2/3", "-1/3", ""}) {
    EXPECT_EQ(RunBrood({"batch", "--shard", bad, file}).exit_code, 2) << bad;
  }
}

TEST(BatchOptionsTest, KeepOrderIsOfStandardOutputOnly) {
  // The first job ends last.
  const std::string gate = FreshPath("order.gate");
  const std::string jobs = absl::StrCat(R"({"id":"a","argv":["sh","-c","while ! test -e )", gate,
                                        R"(; do sleep 0.01; done"],"policy":"none"})", "\n",
                                        R"({"id":"b","argv":["touch",")", gate, R"("],"policy":"none"})", "\n");
  const Finished ordered = RunBrood({"batch", "-j", "2", "--keep-order", "-"}, jobs);
  EXPECT_EQ(IdsOf(ordered.out), (std::vector<std::string>{"a", "b"}));
  const Finished refused = RunBrood({"batch", "-k", "--results", FreshPath("order.jsonl"), "-"}, jobs);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_TRUE(absl::StrContains(refused.err, "--keep-order is for results on standard output")) << refused.err;
}

TEST(BatchOptionsTest, ResultsOnStandardOutputAreResultsOnly) {
  for (const std::string& line : LinesOf(RunBrood({"batch", "-"}, Jobs(3)).out)) {
    EXPECT_TRUE(ParseResult(line).has_value()) << line;
  }
}

constexpr std::string_view kMixed = R"({"id":"good","argv":["echo","it's"]})"
                                    "\n"
                                    R"({"id":"bad","argv":["sh","-c","echo why >&2; exit 3"]})"
                                    "\n"
                                    R"({"id":"killed","argv":["sh","-c","kill -SEGV $$"]})"
                                    "\n"
                                    R"({"id":"missing","argv":["/no/such/program"]})"
                                    "\n";

TEST(BatchOptionsTest, TheJoblogIsAsGnuParallelWritesIt) {
  const std::string log = FreshPath("joblog");
  EXPECT_EQ(RunBrood({"batch", "-j", "1", "--joblog", log, "-"}, kMixed).exit_code, 1);
  const std::vector<std::string> lines = LinesOf(FileContent(log));
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0], "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand");
  const std::string times = R"(\t:\t\d{10}\.\d{3}\t +\d+\.\d{3}\t0\t)";
  EXPECT_TRUE(std::regex_match(lines[1], std::regex("1" + times + R"(5\t0\t0\techo 'it'\\''s')"))) << lines[1];
  EXPECT_TRUE(std::regex_match(lines[2], std::regex("2" + times + R"(0\t3\t0\tsh -c 'echo why >&2; exit 3')")))
      << lines[2];
  EXPECT_TRUE(std::regex_match(lines[3], std::regex("3" + times + R"(0\t0\t11\tsh -c 'kill -SEGV \$\$')"))) << lines[3];
  EXPECT_TRUE(std::regex_match(lines[4], std::regex("4" + times + R"(0\t127\t0\t/no/such/program)"))) << lines[4];
}

TEST(BatchOptionsTest, ReportsOfAContinuedBatchHaveItsEarlierResults) {
  const std::string file = TempFile("reports.jobs", kMixed);
  const std::string journal = FreshPath("reports.jsonl");
  const std::string log = FreshPath("reports.log");
  const std::string junit = FreshPath("reports.xml");
  const std::string trace = FreshPath("reports.trace");
  const std::vector<std::string> reports = {"--joblog", log, "--junit", junit, "--trace", trace};
  const auto run = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"batch", "-j", "1", "--results", journal});
    args.insert(args.end(), reports.begin(), reports.end());
    args.push_back(file);
    return RunBrood(args);
  };
  // Stops after the second job.
  EXPECT_EQ(run({"--halt", "soon,fail=1"}).exit_code, 1);
  EXPECT_EQ(LinesOf(FileContent(log)).size(), 3u);
  const std::string halted = FileContent(junit);
  EXPECT_TRUE(absl::StrContains(halted, R"(tests="4" failures="1" errors="0" skipped="2")")) << halted;
  EXPECT_TRUE(absl::StrContains(halted, ">why&#10;</failure>")) << halted;

  EXPECT_EQ(run({"--resume"}).exit_code, 1);
  const std::vector<std::string> lines = LinesOf(FileContent(log));
  ASSERT_EQ(lines.size(), 5u);
  for (int i = 1; i <= 4; ++i) EXPECT_TRUE(absl::StartsWith(lines[i], absl::StrCat(i, "\t:\t"))) << lines[i];
  const std::string whole = FileContent(junit);
  EXPECT_TRUE(absl::StrContains(whole, R"(tests="4" failures="2" errors="1" skipped="0")")) << whole;
  EXPECT_TRUE(absl::StrContains(whole, R"(<testcase name="good" classname="brood" time=)")) << whole;
  const std::string events = FileContent(trace);
  EXPECT_TRUE(ParseJson(events, {.file = "trace"}).ok());
  for (const char* id : {"good", "bad", "killed"}) {
    EXPECT_TRUE(absl::StrContains(events, absl::StrCat("\"name\":\"", id, "\""))) << events;
  }
}

TEST(BatchOptionsTest, AReportThatCannotBeWrittenIsToldBeforeAnythingRuns) {
  const std::string mark = FreshPath("report.mark");
  const std::string jobs = absl::StrCat(R"({"argv":["touch",")", mark, R"("],"policy":"none"})");
  const std::string journal = FreshPath("report.jsonl");
  EXPECT_EQ(RunBrood({"batch", "--junit", "/nowhere/junit.xml", "-"}, jobs).exit_code, 2);
  EXPECT_EQ(RunBrood({"batch", "--joblog", journal, "--results", journal, "-"}, jobs).exit_code, 2);
  EXPECT_NE(access(mark.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace brood
