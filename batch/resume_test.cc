#include "batch/resume.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

std::vector<Job> Jobs(std::string_view text) { return ParseJobs(text, "jobs").value(); }

TEST(ResumeTest, FinishedJobsAreSkippedAndCutOffOnesGetTheNextAttempt) {
  const std::vector<Job> jobs =
      Jobs("{\"id\":\"a\",\"argv\":[\"x\"]}\n{\"id\":\"b\",\"argv\":[\"x\"]}\n{\"id\":\"c\",\"argv\":[\"x\"]}\n");
  const std::map<std::string, JournalEntry> journal = {{"a", {.attempt = 1, .status = "ok"}},
                                                       {"b", {.attempt = 3, .definition = jobs[1].definition}}};
  const ResumePlan plan = PlanResume(jobs, "jobs", journal, "results").value();
  EXPECT_EQ(plan.finished, (std::map<std::string, bool>{{"a", true}}));
  EXPECT_EQ(plan.first_attempts, (std::map<std::string, int>{{"b", 4}}));
  EXPECT_TRUE(plan.unknown.empty());
}

TEST(ResumeTest, AChangedJobWithAResultIsAnErrorAndOneWithoutIsNot) {
  const uint64_t before = Jobs("{\"id\":\"a\",\"argv\":[\"x\"]}")[0].definition;
  const std::vector<Job> jobs = Jobs("# moved\n{\"id\":\"a\",\"argv\":[\"y\"]}");
  const auto plan = [&](std::string status) {
    return PlanResume(jobs, "jobs", {{"a", {.attempt = 1, .definition = before, .status = status}}}, "results");
  };
  EXPECT_EQ(plan("failed").status().message(),
            "jobs:2: job \"a\" has a result in results and was changed since; give it another id to run it");
  EXPECT_EQ(plan("")->first_attempts.at("a"), 2);
}

TEST(ResumeTest, ALineThatIsOnlyLaidOutInAnotherWayIsNotChanged) {
  EXPECT_EQ(Jobs("{\"id\":\"a\",\"argv\":[\"x\"],\"retries\":1,\"cwd\":null}")[0].definition,
            Jobs("\n  {\"retries\" : 1, \"argv\": [\"\\u0078\"], \"id\":\"a\"}\r\n")[0].definition);
}

TEST(ResumeTest, TheJournalOfAnotherBatchIsRefused) {
  const std::vector<Job> jobs = Jobs("{\"id\":\"a\",\"argv\":[\"x\"]}");
  EXPECT_EQ(PlanResume(jobs, "jobs", {{"other", {.attempt = 1, .status = "ok"}}}, "results").status().message(),
            "results: the journal of another batch: none of its jobs (\"other\", ...) is in jobs");
  EXPECT_TRUE(PlanResume(jobs, "jobs", {}, "results").ok());
}

TEST(ResumeTest, JobsThatWereTakenOutOfTheFileAreNamed) {
  const std::vector<Job> jobs = Jobs("{\"id\":\"a\",\"argv\":[\"x\"]}");
  const std::map<std::string, JournalEntry> journal = {{"a", {.attempt = 1}}, {"gone", {.attempt = 1, .status = "ok"}}};
  EXPECT_EQ(PlanResume(jobs, "jobs", journal, "results")->unknown, std::vector<std::string>{"gone"});
}

TEST(ResumeTest, ManyChangedJobsAreCounted) {
  std::string text;
  std::map<std::string, JournalEntry> journal;
  for (int i = 0; i < 50; ++i) {
    absl::StrAppend(&text, "{\"id\":\"", i, "\",\"argv\":[\"x\"]}\n");
    journal[absl::StrCat(i)] = {.attempt = 1, .definition = 1, .status = "ok"};
  }
  const absl::Status status = PlanResume(Jobs(text), "jobs", journal, "results").status();
  const std::vector<std::string> lines = absl::StrSplit(status.message(), '\n');
  ASSERT_EQ(lines.size(), 21u);
  EXPECT_EQ(lines[20], "jobs: 30 more changed jobs");
}

}  // namespace
}  // namespace brood
