#include "batch/job.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

std::string ErrorOf(std::string_view text) { return std::string(ParseJobs(text, "jobs").status().message()); }

TEST(JobTest, ReadsEveryField) {
  const std::vector<Job> jobs =
      ParseJobs(
          R"({"id":"a","argv":["gzip","-t","f.gz"],"env":["A=b","C"],"cwd":"/","stdin":"i","stdout":"o","stderr":"e",)"
          R"("policy":"strict","limits":{"wall_time":"5s","memory":"64M","processes":3},"retries":1,)"
          R"("ro":["/in"],"rw":["/out:/o"],"tmpfs":["/scratch:1M"],"net":"loopback"})",
          "jobs")
          .value();
  ASSERT_EQ(jobs.size(), 1u);
  const Job& job = jobs[0];
  EXPECT_EQ(job.id, "a");
  EXPECT_EQ(job.argv.size(), 3u);
  EXPECT_EQ(job.env.size(), 2u);
  EXPECT_EQ(job.stdin_path + job.stdout_path + job.stderr_path, "ioe");
  EXPECT_EQ(job.policy, "strict");
  EXPECT_EQ(job.options.limits.wall_time, absl::Seconds(5));
  EXPECT_EQ(job.options.limits.memory_bytes, uint64_t{64} << 20);
  EXPECT_EQ(job.options.limits.processes, 3u);
  EXPECT_EQ(job.retries, 1);
  ASSERT_EQ(job.options.files.size(), 3u);
  EXPECT_EQ(job.options.files[1].destination, "/o");
  EXPECT_EQ(job.options.network->mode, NetworkMode::kLoopback);
}

TEST(JobTest, TheLineNumberIsTheIdAndEmptyAndCommentedLinesAreSkipped) {
  const std::vector<Job> jobs = ParseJobs("\n# no\n{\"argv\":[\"a\"]}\n{\"id\":7,\"argv\":[\"a\"]}", "jobs").value();
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].id, "3");
  EXPECT_EQ(jobs[1].id, "7");
}

TEST(JobTest, EachKindOfBadLineSaysWhatWasExpected) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"{\"argv\":", "jobs:1:9: not JSON: "},
      {"[]", "jobs:1: expected an object, got a list"},
      {"{}", "jobs:1: field \"argv\": missing; expected a list of strings, the program first"},
      {"{\"argv\":\"a\"}", "jobs:1: field \"argv\": expected a list of strings, got a string"},
      {"{\"argv\":[]}", "jobs:1: field \"argv\": expected the program as first element"},
      {"{\"argv\":[\"a\",1]}", "jobs:1: field \"argv[1]\": expected a string, got a number"},
      {"{\"argv\":[\"a\\u0000b\"]}", "jobs:1: field \"argv[0]\": expected a string without NUL characters"},
      {"{\"argvv\":[\"a\"]}", "jobs:1: field \"argvv\": unknown; did you mean \"argv\"?"},
      {"{\"argv\":[\"a\"],\"target\":\"f\"}", "jobs:1: field \"target\": goes without \"argv\""},
      {"{\"argv\":[\"a\"],\"limits\":{\"memory\":\"x\"}}", "jobs:1: field \"limits.memory\": size \"x\""},
      {"{\"argv\":[\"a\"],\"net\":\"x\"}", "jobs:1: field \"net\": network \"x\""},
      {"{\"argv\":[\"a\"],\"env\":[\"=\"]}", "jobs:1: field \"env\": expected \"NAME=VALUE\""},
      {"{\"argv\":[\"a\"],\"retries\":-1}", "jobs:1: field \"retries\": expected a whole number"},
      {"{\"argv\":[\"a\"],\"id\":\"\"}", "jobs:1: field \"id\": expected 1 to"},
      {"{\"argv\":[\"a\"],\"label\":\" a\"}", "jobs:1: field \"label\": expected the name of an AppArmor profile"},
      {"{\"argv\":[\"a\"],\"proc\":\"wr\"}", "jobs:1: field \"proc\": expected \"ro\" or \"rw\", got \"wr\""},
      {"{\"argv\":[\"a\"],\"hostname\":\"\"}", "jobs:1: field \"hostname\": expected 1 to 64 bytes"},
      {"{\"argv\":[\"a\"],\"groups\":[0]}", "jobs:1: field \"groups\": expected numbers from 1"},
      {"{\"argv\":[\"a\"],\"groups\":[4294967300]}", "jobs:1: field \"groups\": expected numbers from 1"},
      {"{\"argv\":[\"a\"],\"allow_weaker\":[\"memry\"]}", "jobs:1: field \"allow_weaker\": unknown layer \"memry\"; did you mean"},
      {"{\"argv\":[\"a\"],\"rw\":[\"/a\"],\"ro\":[\"/a\"]}", "jobs:1: field \"rw\": two rules for /a"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_EQ(ErrorOf(text).substr(0, error.size()), error) << text;
  }
}

TEST(JobTest, EveryBadLineIsReported) {
  const std::string error = ErrorOf("{}\n{\"id\":\"a\",\"argv\":[\"a\"]}\n{\"id\":\"a\",\"argv\":[\"a\"]}\nx\n");
  const std::vector<std::string> lines = absl::StrSplit(error, '\n');
  ASSERT_EQ(lines.size(), 3u) << error;
  EXPECT_EQ(lines[1], "jobs:3: field \"id\": \"a\" is the id of line 2 already");
  EXPECT_EQ(lines[2].substr(0, 7), "jobs:4:");
}

TEST(JobTest, ManyBadLinesAreCounted) {
  std::string text;
  for (int i = 0; i < 50; ++i) absl::StrAppend(&text, "{}\n");
  const std::vector<std::string> lines = absl::StrSplit(ErrorOf(text), '\n');
  ASSERT_EQ(lines.size(), 21u);
  EXPECT_EQ(lines[20], "jobs: 30 more bad lines");
}

TEST(JobTest, HugeLinesAreRefused) {
  EXPECT_EQ(ErrorOf(absl::StrCat("{\"argv\":[\"", std::string(kMaxJobLineBytes, 'x'), "\"]}")).substr(0, 14),
            "jobs:1: line o");
}

}  // namespace
}  // namespace brood
