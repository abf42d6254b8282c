#include "batch/scheduler.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

// What the next attempts of each job do; a job without an entry exits with 0 at once.
struct Script {
  std::map<std::string, std::vector<int>> exit_codes;  // One for each attempt; the last is repeated.
  std::map<std::string, absl::Status> start_errors;    // Consumed when seen.
  std::map<std::string, int> lost;  // So many attempts of the job are lost with their server.
  std::vector<bool> servers;        // Whether there is one, for each time that one is awaited; then there is.
  size_t awaited = 0;
  std::set<std::string> never_ending;
  size_t most_running = 0;
  size_t running = 0;
  std::vector<std::string> started;
  std::vector<std::string> killed;
  size_t room = 1000;  // ResourceExhausted beyond so many.
};

class FakeJob : public RunningJob {
 public:
  FakeJob(Script* script, std::string id, int exit_code, bool ends, bool lost = false)
      : script_(script), id_(std::move(id)), exit_code_(exit_code), lost_(lost), sentinel_(eventfd(ends ? 1 : 0, EFD_CLOEXEC)) {}
  ~FakeJob() override {
    --script_->running;
    if (!finished_) script_->killed.push_back(id_);
  }
  int sentinel() const override { return sentinel_.get(); }
  JobEnd Finish() override {
    finished_ = true;
    JobEnd end;
    end.outcome.ending = Exited{exit_code_};
    if (lost_) end.outcome.ending = Lost{"its server was killed"};
    end.lost_with_server = lost_;
    return end;
  }

 private:
  Script* script_;
  std::string id_;
  int exit_code_;
  bool lost_;
  UniqueFd sentinel_;
  bool finished_ = false;
};

class FakeRunner : public JobRunner {
 public:
  explicit FakeRunner(Script* script) : script_(script) {}
  absl::StatusOr<std::unique_ptr<RunningJob>> Start(const Job& job) override {
    if (const auto error = script_->start_errors.find(job.id); error != script_->start_errors.end())
      return error->second;
    if (script_->running >= script_->room) return absl::ResourceExhaustedError("full");
    script_->started.push_back(job.id);
    script_->most_running = std::max(script_->most_running, ++script_->running);
    if (int& lost = script_->lost[job.id]; lost > 0) {
      --lost;
      return std::make_unique<FakeJob>(script_, job.id, 0, true, true);
    }
    int code = 0;
    if (auto codes = script_->exit_codes.find(job.id); codes != script_->exit_codes.end()) {
      code = codes->second.front();
      if (codes->second.size() > 1) codes->second.erase(codes->second.begin());
    }
    return std::make_unique<FakeJob>(script_, job.id, code, !script_->never_ending.contains(job.id));
  }
  bool AwaitServer(const std::function<bool(absl::Duration)>& pause) override {
    const size_t i = script_->awaited++;
    return pause(absl::ZeroDuration()) && (i >= script_->servers.size() || script_->servers[i]);
  }

 private:
  Script* script_;
};

class Recorder : public BatchListener {
 public:
  absl::Status OnResult(const JobResult& result) override {
    results.push_back(absl::StrCat(result.job->id, "/", result.attempt, ":", result.end.outcome.StatusWord()));
    if (on_result) return on_result();
    return absl::OkStatus();
  }
  void OnLost(const Job&, const Outcome&, int) override {
    if (on_lost) on_lost();
  }
  std::vector<std::string> results;
  std::function<absl::Status()> on_result;
  std::function<void()> on_lost;
};

std::vector<Job> Jobs(int count) {
  std::vector<Job> jobs(count);
  for (int i = 0; i < count; ++i) jobs[i].id = std::string(1, static_cast<char>('a' + i));
  return jobs;
}

class SchedulerTest : public testing::Test {
 protected:
  BatchSummary Run(int count, const SchedulerOptions& options) {
    FakeRunner runner(&script_);
    jobs_ = Jobs(count);
    return RunJobs(jobs_, options, runner, recorder_).value();
  }
  std::vector<Job> jobs_;
  Script script_;
  Recorder recorder_;
};

TEST_F(SchedulerTest, RunsEveryJobAndNeverMoreAtATimeThanAsked) {
  const BatchSummary summary = Run(20, {.parallel = 3});
  EXPECT_EQ(recorder_.results.size(), 20u);
  EXPECT_TRUE(summary.all_ok());
  EXPECT_EQ(script_.most_running, 3u);
  EXPECT_EQ(script_.running, 0u);
}

TEST_F(SchedulerTest, AFailedJobIsTriedAgainAndItsAttemptIsCounted) {
  script_.exit_codes["a"] = {1, 1, 0};
  script_.exit_codes["b"] = {1};
  const BatchSummary summary = Run(2, {.parallel = 1, .retries = 2});
  EXPECT_EQ(summary.retried, 4u);
  EXPECT_EQ(std::set<std::string>(recorder_.results.begin(), recorder_.results.end()),
            (std::set<std::string>{"a/3:ok", "b/3:failed"}));
}

TEST_F(SchedulerTest, WhatIsLostWithItsServerIsStartedAgainThatOftenAndFailuresAreNot) {
  script_.lost["a"] = 2;
  script_.lost["b"] = 3;
  script_.exit_codes["c"] = {1, 0};
  const BatchSummary summary = Run(3, {.parallel = 1, .retry_lost = 2});
  EXPECT_EQ(summary.retried, 4u);
  EXPECT_EQ(std::set<std::string>(recorder_.results.begin(), recorder_.results.end()), (std::set<std::string>{"a/3:ok", "b/3:lost", "c/1:failed"}));
}

TEST_F(SchedulerTest, WhatIsLostOftenerIsOneOfTheRetries) {
  script_.lost["a"] = 2;
  EXPECT_EQ(Run(1, {.parallel = 1, .retries = 1, .retry_lost = 1}).retried, 2u);
  EXPECT_EQ(recorder_.results, (std::vector<std::string>{"a/3:ok"}));
}

TEST_F(SchedulerTest, AServerThatDoesNotComeIsAwaitedOnceForAll) {
  for (const char* id : {"a", "b", "c", "d"}) script_.lost[id] = 1;
  script_.servers = {false};
  const BatchSummary summary = Run(4, {.parallel = 4, .retry_lost = 1});
  EXPECT_EQ(script_.awaited, 1u);
  EXPECT_EQ(summary.by_status.at("ok"), 4u);  // They were all lost before it was awaited.
}

TEST_F(SchedulerTest, WithoutAServerNothingMoreIsAwaited) {
  for (const char* id : {"a", "b", "c", "d"}) script_.start_errors[id] = absl::UnavailableError("nobody listens");
  script_.servers = {false};
  const BatchSummary summary = Run(4, {.parallel = 4, .retry_lost = 3});
  EXPECT_EQ(script_.awaited, 1u);
  EXPECT_EQ(summary.retried, 1u);
  EXPECT_EQ(summary.by_status.at("setup_failed"), 4u);
}

TEST_F(SchedulerTest, AnInterruptEndsTheWaitForAServer) {
  script_.lost["a"] = 1;
  const UniqueFd interrupt(eventfd(0, EFD_CLOEXEC));
  recorder_.on_lost = [&interrupt] { EXPECT_EQ(eventfd_write(interrupt.get(), 1), 0); };
  const BatchSummary summary = Run(2, {.parallel = 1, .retry_lost = 1, .interrupt_fd = interrupt.get()});
  EXPECT_TRUE(summary.interrupted);
  EXPECT_EQ(script_.started, (std::vector<std::string>{"a"}));
}

TEST_F(SchedulerTest, AJobThatCannotStartTakesNoOtherWithIt) {
  script_.start_errors["b"] = absl::InvalidArgumentError("bad policy");
  const BatchSummary summary = Run(3, {.parallel = 1, .retries = 5});
  EXPECT_EQ(recorder_.results, (std::vector<std::string>{"a/1:ok", "b/1:setup_failed", "c/1:ok"}));
  EXPECT_FALSE(summary.all_ok());
}

TEST_F(SchedulerTest, AFullMachineIsWaitedFor) {
  script_.room = 2;
  const BatchSummary summary = Run(10, {.parallel = 8});
  EXPECT_TRUE(summary.all_ok());
  EXPECT_EQ(script_.most_running, 2u);
  EXPECT_EQ(summary.full_at, 2u);
  EXPECT_EQ(summary.full_reason, "full");
}

TEST_F(SchedulerTest, AMachineWithoutRoomForOneJobFailsIt) {
  script_.room = 0;
  EXPECT_EQ(Run(2, {.parallel = 8}).by_status["setup_failed"], 2u);
}

TEST_F(SchedulerTest, KeepOrderGivesResultsInTheOrderOfTheJobs) {
  script_.exit_codes["a"] = {1, 0};  // Ends last.
  Run(4, {.parallel = 1, .retries = 1, .keep_order = true});
  EXPECT_EQ(recorder_.results, (std::vector<std::string>{"a/2:ok", "b/1:ok", "c/1:ok", "d/1:ok"}));
}

TEST_F(SchedulerTest, HaltSoonLetsTheRunningOnesEnd) {
  script_.exit_codes["a"] = {1};
  const BatchSummary summary = Run(10, {.parallel = 2, .halt = ParseHaltRule("soon,fail=1").value()});
  EXPECT_TRUE(summary.halted);
  EXPECT_EQ(summary.finished, 2u);
  EXPECT_TRUE(script_.killed.empty());
}

TEST_F(SchedulerTest, HaltNowKillsTheRunningOnes) {
  script_.exit_codes["a"] = {1};
  script_.never_ending = {"b"};
  const BatchSummary summary = Run(10, {.parallel = 2, .halt = ParseHaltRule("now,fail=10%").value()});
  EXPECT_EQ(summary.finished, 1u);
  EXPECT_EQ(script_.killed, std::vector<std::string>{"b"});
}

TEST_F(SchedulerTest, AnInterruptKillsTheRunningOnesAndGivesThemNoResult) {
  script_.never_ending = {"b"};
  const UniqueFd interrupt(eventfd(0, EFD_CLOEXEC));
  recorder_.on_result = [&] {
    EXPECT_EQ(eventfd_write(interrupt.get(), 1), 0);
    return absl::OkStatus();
  };
  const BatchSummary summary = Run(10, {.parallel = 2, .interrupt_fd = interrupt.get()});
  EXPECT_TRUE(summary.interrupted);
  EXPECT_EQ(script_.killed, std::vector<std::string>{"b"});
  EXPECT_EQ(recorder_.results, std::vector<std::string>{"a/1:ok"});
}

TEST_F(SchedulerTest, AnErrorOfTheListenerStopsTheBatch) {
  script_.never_ending = {"b"};
  recorder_.on_result = [] { return absl::ResourceExhaustedError("disk full"); };
  FakeRunner runner(&script_);
  const std::vector<Job> jobs = Jobs(10);
  EXPECT_EQ(RunJobs(jobs, {.parallel = 2}, runner, recorder_).status().message(), "disk full");
  EXPECT_EQ(script_.running, 0u);
}

TEST_F(SchedulerTest, AResumedJobBeginsWithItsNextAttempt) {
  Run(2, {.parallel = 1, .first_attempts = {{"b", 4}}});
  EXPECT_EQ(recorder_.results, (std::vector<std::string>{"a/1:ok", "b/4:ok"}));
}

TEST(SchedulerOptionsTest, HaltRules) {
  EXPECT_EQ(ParseHaltRule("never")->when, HaltRule::When::kNever);
  EXPECT_EQ(ParseHaltRule("soon,fail=3")->failures, 3u);
  EXPECT_EQ(ParseHaltRule("now,fail=2.5%")->percent, 2.5);
  for (const char* bad :
       {"", "now", "now,fail=", "now,fail=0", "now,fail=0%", "now,fail=101%", "soon,fail=-1", "soon,fail=nan%"}) {
    EXPECT_FALSE(ParseHaltRule(bad).ok()) << bad;
  }
}

TEST(SchedulerOptionsTest, Parallel) {
  EXPECT_EQ(ParseParallel("7").value(), 7);
  EXPECT_EQ(ParseParallel("100%").value(), AvailableCpus());
  EXPECT_EQ(ParseParallel("1%").value(), 1);
  for (const char* bad : {"", "0", "-1", "x", "%", "100000"}) EXPECT_FALSE(ParseParallel(bad).ok()) << bad;
}

}  // namespace
}  // namespace brood
