#include "batch/reports.h"

#include <unistd.h>

#include <csignal>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "batch/files.h"
#include "batch/json.h"
#include "gtest/gtest.h"
#include "launcher/outcome_samples.h"

namespace brood {
namespace {

std::vector<Job> Jobs(int count) {
  std::vector<Job> jobs(count);
  for (int i = 0; i < count; ++i) {
    jobs[i].id = absl::StrCat("job", i);
    jobs[i].number = i + 1;
  }
  return jobs;
}

ReportEntry Entry(const Job& job, Outcome outcome) {
  outcome.start = absl::FromUnixMillis(1'000'000'000'123);
  outcome.usage.wall_time = absl::Milliseconds(1500);
  return {.job = &job, .outcome = std::move(outcome), .stderr_tail = {}};
}

TEST(JoblogTest, LooksAsGnuParallelWritesIt) {
  EXPECT_EQ(JoblogHeader(), "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n");
  const std::vector<Job> jobs = Jobs(7);
  Outcome outcome;
  outcome.ending = Exited{3};
  outcome.stdout_result.bytes = 42;
  EXPECT_EQ(JoblogLine(Entry(jobs[6], outcome), "exit 3"), "7\t:\t1000000000.123\t     1.500\t0\t42\t3\t0\texit 3\n");
}

TEST(JoblogTest, EveryEndingHasItsExitvalAndSignal) {
  const std::vector<Job> jobs = Jobs(1);
  const auto numbers = [&](decltype(Outcome::ending) ending) {
    Outcome outcome;
    outcome.ending = std::move(ending);
    const std::string line = JoblogLine(Entry(jobs[0], outcome), "c");
    const size_t after_receive = line.find("\t0\t0\t") + 5;
    return line.substr(after_receive, line.size() - after_receive - 3);
  };
  EXPECT_EQ(numbers(Exited{0}), "0\t0");
  EXPECT_EQ(numbers(Signaled{SIGSEGV, false}), "0\t11");
  EXPECT_EQ(numbers(TimedOut{}), "-1\t9");
  EXPECT_EQ(numbers(LimitHit{Layer::kCpuTime}), "-1\t24");
  EXPECT_EQ(numbers(Violation{}), "-1\t31");
  EXPECT_EQ(numbers(SetupFailed{.step = "exec", .error_number = ENOENT}), "127\t0");
  EXPECT_EQ(numbers(Lost{}), "-1\t0");
}

TEST(JunitTest, FailuresErrorsAndSkippedJobsAreToldApart) {
  const std::vector<Job> jobs = Jobs(4);
  Outcome ok;
  ok.ending = Exited{0};
  Outcome failed;
  failed.ending = Exited{1};
  Outcome not_started;
  not_started.ending = SetupFailed{.step = "exec", .error_number = ENOENT, .detail = "/no"};
  std::vector<ReportEntry> entries = {Entry(jobs[0], ok), Entry(jobs[1], failed), Entry(jobs[2], not_started)};
  entries[1].stderr_tail = "a < b & \"c\"\n\x1b[31m\xff";
  const std::string counts = R"( tests="4" failures="1" errors="1" skipped="1" time="4.500")";
  EXPECT_EQ(
      JunitXml(jobs, entries),
      absl::StrCat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", counts,
                   ">\n  <testsuite name=\"brood batch\"", counts,
                   " timestamp=\"2001-09-09T01:46:40\">\n"
                   "    <testcase name=\"job0\" classname=\"brood\" time=\"1.500\"/>\n"
                   "    <testcase name=\"job1\" classname=\"brood\" time=\"1.500\">\n"
                   "      <failure type=\"failed\" message=\"exited with code 1\">a &lt; b &amp; &quot;c&quot;&#10;"
                   "\xef\xbf\xbd[31m\xef\xbf\xbd</failure>\n    </testcase>\n"
                   "    <testcase name=\"job2\" classname=\"brood\" time=\"1.500\">\n"
                   "      <error type=\"setup_failed\" message=\"not started: exec: /no: ENOENT (No such file or "
                   "directory)\"></error>\n    </testcase>\n"
                   "    <testcase name=\"job3\" classname=\"brood\" time=\"0.000\">\n"
                   "      <skipped message=\"it has no result\"/>\n    </testcase>\n"
                   "  </testsuite>\n</testsuites>\n"));
}

TEST(TraceTest, JobsThatRanAtTheSameTimeHaveRowsOfTheirOwn) {
  const std::vector<Job> jobs = Jobs(3);
  std::vector<ReportEntry> entries;
  for (const Job& job : jobs) {
    entries.push_back(Entry(job, SampleOutcomes()[0]));
    entries.back().outcome.copied.clear();  // One of which was missing.
    entries.back().outcome.stdout_result = entries.back().outcome.stderr_result = {};  // Which were lost.
  }
  entries[0].outcome.start += absl::Seconds(2);  // After the other two.
  const std::string text = TraceJson(entries);
  EXPECT_TRUE(ParseJson(text, {.file = "trace"}).ok());
  const auto event = [](std::string_view name, std::string_view start, int row) {
    return absl::StrCat("{\"name\":\"", name, "\",\"cat\":\"ok\",\"ph\":\"X\",\"ts\":", start,
                        ",\"dur\":1500000,\"pid\":1,\"tid\":", row, ",");
  };
  EXPECT_NE(text.find(event("job1", "1000000000123000", 1)), std::string::npos) << text;
  EXPECT_NE(text.find(event("job2", "1000000000123000", 2)), std::string::npos) << text;
  EXPECT_NE(text.find(event("job0", "1000000002123000", 1)), std::string::npos) << text;
}

TEST(ReportsTest, NoFileIsUsedForTwoThings) {
  const std::string path = absl::StrCat(testing::TempDir(), "/reports", getpid());
  std::ofstream(path) << "journal\n";
  const std::vector<Job> jobs;
  EXPECT_EQ(Reports::Create({.joblog = path}, jobs, path).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadFile(path, 100).value(), "journal\n");
  EXPECT_EQ(Reports::Create({.joblog = path, .junit = path}, jobs, "-").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Reports::Create({.trace = "/no/such/directory/t"}, jobs, "-").status().code(), absl::StatusCode::kNotFound);
  unlink(path.c_str());
}

}  // namespace
}  // namespace brood
