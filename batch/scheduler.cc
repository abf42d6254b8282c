#include "batch/scheduler.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "ipc/wait.h"

namespace brood {
namespace {

struct Attempt {
  size_t index = 0;  // Of the job.
  int number = 1;
  int left = 0;       // Further attempts allowed.
  int lost = 0;       // Of those before, how many were lost with their server.
  bool told = false;  // The listener knows that it starts.
  std::unique_ptr<RunningJob> running;
};

class Scheduler {
 public:
  Scheduler(const std::vector<Job>& jobs, const SchedulerOptions& options, JobRunner& runner, BatchListener& listener)
      : jobs_(jobs), options_(options), runner_(runner), listener_(listener), started_(absl::Now()) {
    summary_.total = jobs.size();
  }

  absl::StatusOr<BatchSummary> Run() {
    listener_.OnProgress(summary_);
    while (true) {
      BROOD_RETURN_IF_ERROR(StartWhatFits());
      if (running_.empty()) break;
      BROOD_RETURN_IF_ERROR(WaitAndCollect());
      if (stop_now_) {
        running_.clear();  // Kills their trees.
        break;
      }
    }
    summary_.running = 0;
    summary_.wall_time = absl::Now() - started_;
    BROOD_RETURN_IF_ERROR(FlushOrdered(/*all=*/true));
    listener_.OnProgress(summary_);
    return summary_;
  }

 private:
  bool HasNext() const { return !again_.empty() || next_ < jobs_.size(); }

  Attempt TakeNext() {
    if (!again_.empty()) {
      Attempt attempt = std::move(again_.front());
      again_.pop_front();
      return attempt;
    }
    const Job& job = jobs_[next_];
    const auto first = options_.first_attempts.find(job.id);
    return {.index = next_++,
            .number = first == options_.first_attempts.end() ? 1 : first->second,
            .left = job.retries.value_or(options_.retries)};
  }

  absl::Status StartWhatFits() {
    while (!stop_starting_ && !machine_full_ && HasNext() && running_.size() < static_cast<size_t>(options_.parallel)) {
      if (Interrupted() || !AwaitServer()) break;
      Attempt attempt = TakeNext();
      if (!attempt.told) BROOD_RETURN_IF_ERROR(listener_.OnStart(jobs_[attempt.index], attempt.number));
      attempt.told = true;
      absl::StatusOr<std::unique_ptr<RunningJob>> running = runner_.Start(jobs_[attempt.index]);
      if (running.ok()) {
        server_ = Server::kMayBeThere;
        attempt.running = *std::move(running);
        running_.push_back(std::move(attempt));
        continue;
      }
      if (absl::IsResourceExhausted(running.status()) && !running_.empty()) {
        again_.push_front(std::move(attempt));
        machine_full_ = true;
        if (summary_.full_at.value_or(running_.size() + 1) > running_.size()) {
          summary_.full_at = running_.size();
          summary_.full_reason = running.status().message();
        }
        break;
      }
      if (absl::IsInvalidArgument(running.status())) attempt.left = 0;
      JobEnd end;
      end.outcome.ending = SetupFailed{.step = absl::IsInvalidArgument(running.status()) ? "request" : "launch",
                                       .detail = std::string(running.status().message())};
      end.lost_with_server = absl::IsUnavailable(running.status());
      end.outcome.start = absl::Now();
      BROOD_RETURN_IF_ERROR(Collect(std::move(attempt), std::move(end)));
    }
    summary_.running = running_.size();
    return absl::OkStatus();
  }

  // Whether the batch goes on. Once nobody has come no job waits for long again: there can be many of them.
  bool AwaitServer() {
    if (server_ != Server::kLost) return true;
    const bool is_there = runner_.AwaitServer([this](absl::Duration pause) {
      if (options_.interrupt_fd < 0) {
        absl::SleepFor(pause);
      } else if (const auto ready = Wait({options_.interrupt_fd}, pause); ready.ok() && !ready->empty()) {
        return false;
      }
      listener_.OnProgress(summary_);
      return true;
    });
    server_ = is_there ? Server::kMayBeThere : Server::kGone;
    return !Interrupted();
  }

  // Also asked for between starts: with a job that fails to start as fast as it can, nothing is ever waited for.
  bool Interrupted() {
    if (options_.interrupt_fd < 0) return false;
    const auto ready = Wait({options_.interrupt_fd}, absl::ZeroDuration());
    if (ready.ok() && !ready->empty()) StopForInterrupt();
    return stop_now_;
  }

  void StopForInterrupt() {
    summary_.interrupted = true;
    stop_starting_ = true;
    stop_now_ = true;
  }

  absl::Status WaitAndCollect() {
    std::vector<Waitable> entries;
    for (const Attempt& attempt : running_) entries.emplace_back(attempt.running->sentinel());
    if (options_.interrupt_fd >= 0) entries.emplace_back(options_.interrupt_fd);
    BROOD_ASSIGN_OR_RETURN(const std::vector<size_t> ready, Wait(entries, options_.tick));
    BROOD_RETURN_IF_ERROR(listener_.OnTick());
    if (options_.interrupt_fd >= 0 && !ready.empty() && ready.back() == running_.size()) {
      StopForInterrupt();
      return absl::OkStatus();
    }
    std::vector<Attempt> still_running;
    std::vector<Attempt> ended;
    for (size_t i = 0; i < running_.size(); ++i) {
      const bool has_ended = std::binary_search(ready.begin(), ready.end(), i) && running_[i].running->Advance();
      (has_ended ? ended : still_running).push_back(std::move(running_[i]));
    }
    running_ = std::move(still_running);
    summary_.running = running_.size();
    for (Attempt& attempt : ended) {
      machine_full_ = false;
      JobEnd end = attempt.running->Finish();
      attempt.running.reset();
      BROOD_RETURN_IF_ERROR(Collect(std::move(attempt), std::move(end)));
    }
    summary_.wall_time = absl::Now() - started_;
    if (ended.empty()) listener_.OnProgress(summary_);
    return absl::OkStatus();
  }

  absl::Status Collect(Attempt attempt, JobEnd end) {
    if (end.lost_with_server && attempt.lost < options_.retry_lost && server_ != Server::kGone && !stop_starting_) {
      ++summary_.retried;
      server_ = Server::kLost;
      listener_.OnLost(jobs_[attempt.index], end.outcome, attempt.lost + 1);
      again_.push_back({.index = attempt.index, .number = attempt.number + 1, .left = attempt.left, .lost = attempt.lost + 1});
      return absl::OkStatus();
    }
    if (!end.outcome.ok() && attempt.left > 0 && !stop_starting_) {
      ++summary_.retried;
      again_.push_back({.index = attempt.index, .number = attempt.number + 1, .left = attempt.left - 1, .lost = attempt.lost});
      return absl::OkStatus();
    }
    ++summary_.finished;
    ++summary_.by_status[std::string(end.outcome.StatusWord())];
    ApplyHaltRule();
    JobResult result{.job = &jobs_[attempt.index], .attempt = attempt.number, .end = std::move(end)};
    if (options_.keep_order) {
      waiting_.emplace(attempt.index, std::move(result));
      BROOD_RETURN_IF_ERROR(FlushOrdered(/*all=*/false));
    } else {
      BROOD_RETURN_IF_ERROR(listener_.OnResult(result));
    }
    summary_.wall_time = absl::Now() - started_;
    listener_.OnProgress(summary_);
    return absl::OkStatus();
  }

  // Gives out the results that are next in order; with `all`, also those behind a gap that a stop has left.
  absl::Status FlushOrdered(bool all) {
    while (!waiting_.empty() && (all || waiting_.begin()->first == next_in_order_)) {
      const auto node = waiting_.extract(waiting_.begin());
      next_in_order_ = node.key() + 1;
      BROOD_RETURN_IF_ERROR(listener_.OnResult(node.mapped()));
    }
    return absl::OkStatus();
  }

  void ApplyHaltRule() {
    const HaltRule& rule = options_.halt;
    if (rule.when == HaltRule::When::kNever || stop_starting_) return;
    const size_t failed = summary_.finished - summary_.ok();
    const double percent = 100.0 * static_cast<double>(failed) / static_cast<double>(summary_.total);
    const bool reached = rule.failures > 0 ? failed >= rule.failures : failed > 0 && percent >= rule.percent;
    if (!reached) return;
    summary_.halted = true;
    stop_starting_ = true;
    stop_now_ = rule.when == HaltRule::When::kNow;
  }

  const std::vector<Job>& jobs_;
  const SchedulerOptions& options_;
  JobRunner& runner_;
  BatchListener& listener_;
  const absl::Time started_;

  size_t next_ = 0;            // The first job that was never tried.
  std::deque<Attempt> again_;  // To be tried again.
  std::vector<Attempt> running_;
  std::map<size_t, JobResult> waiting_;  // Ended, but not next in order.
  size_t next_in_order_ = 0;
  bool machine_full_ = false;  // Until a running job ends.
  enum class Server { kMayBeThere, kLost, kGone } server_ = Server::kMayBeThere;
  bool stop_starting_ = false;
  bool stop_now_ = false;
  BatchSummary summary_;
};

}  // namespace

size_t BatchSummary::ok() const {
  const auto entry = by_status.find("ok");
  return entry == by_status.end() ? 0 : entry->second;
}

absl::StatusOr<BatchSummary> RunJobs(const std::vector<Job>& jobs, const SchedulerOptions& options, JobRunner& runner,
                                     BatchListener& listener) {
  return Scheduler(jobs, options, runner, listener).Run();
}

}  // namespace brood
