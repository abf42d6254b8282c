// The thread that supervises a pool's workers. Everything with the pool's lock, which it does not hold while it waits,
// or while a worker is born.
#include <algorithm>
#include <climits>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "launcher/executor/outcome_of.h"
#include "launcher/executor/pool.h"
#include "launcher/outcome_flatbuffer.h"
#include "launcher/result_error.h"
#include "serialization/messages.h"

namespace brood::internal {
namespace {

// A chunk that workers die of before they have begun it is not given to more than so many.
constexpr int kMaxLostBeforeBegin = 3;
constexpr absl::Duration kBirthPause = absl::Seconds(1);

absl::Status WithOutcome(absl::Status status, const Outcome& outcome) {
  status.SetPayload(kOutcomeUrl, absl::Cord(EncodeOutcome(outcome)));
  return status;
}

}  // namespace

void Pool::Supervise() {
  Lock lock(mutex_);
  while (true) {
    Schedule(lock);
    // Before the timers are looked at: it lets go of the lock, and who submits meanwhile takes us to be awake.
    TellFinished(lock);
    const int wait_ms = HandleTimers();
    if (!finished_.empty()) continue;
    if (mode_ != Mode::kOpen && workers_.empty() && queue_.empty()) break;
    asleep_until_ns_ = wait_ms < 0 ? INT64_MAX : NowNs() + int64_t{wait_ms} * 1000000;
    lock.unlock();
    const std::vector<PoolEvent>& events = events_->Await(wait_ms);
    lock.lock();
    asleep_until_ns_ = 0;
    for (const PoolEvent& event : events) HandleEvent(lock, event);
  }
  lock.unlock();
  births_->Stop();
  lock.lock();
  mode_ = Mode::kStopped;
  changed_.notify_all();
}

void Pool::HandleEvent(Lock& lock, const PoolEvent& event) {
  const auto at = workers_.find(event.worker);
  if (at == workers_.end()) return;  // It ended in this round; or somebody woke us.
  WorkerLink& worker = *at->second;
  if (event.ended) return HandleEnd(lock, worker);
  if (!worker.watched) return;  // Lent in this round.
  if (event.writable) {
    worker.GoOnSending();
    if (!worker.sending()) WatchStream(worker, Interest::kReading);
  }
  if (event.readable) HandleStream(worker, Reading::kSome);
}

void Pool::Schedule(Lock& lock) {
  // What was left to those who wait for it is wanted now.
  if (!queue_.empty() || mode_ != Mode::kOpen) {
    for (auto& [id, worker] : workers_) {
      if (worker->phase == WorkerLink::Phase::kBusy && !worker->watched && !worker->lent) WatchStream(*worker, Interest::kReading);
    }
  }
  if (mode_ == Mode::kKilling) {
    while (const std::shared_ptr<Task> task = TakeFromQueue()) {
      Fail(task, absl::CancelledError("the executor was shut down"));
    }
    for (auto& [id, worker] : workers_) {
      if (worker->verdict.ok()) worker->verdict = absl::CancelledError("the executor was shut down");
      if (worker->phase == WorkerLink::Phase::kIdle) Retire(*worker);
      worker->kill_ns = std::min(worker->kill_ns, int64_t{0});
    }
    return;
  }
  while (true) {
    if (queue_.empty()) break;
    if (WorkerLink* const worker = FreeWorker()) {
      Give(*worker, TakeFromQueue());
      if (!worker->watched) WatchStream(*worker, Interest::kReading);
      continue;
    }
    if (!broken_.ok()) return Break(broken_);
    size_t starting = 0;
    for (const auto& [id, worker] : workers_) starting += worker->phase == WorkerLink::Phase::kStarting ? 1 : 0;
    if (workers_.size() >= options_.workers || starting >= queue_.size() || NowNs() < next_birth_ns_) break;
    TellFinished(lock);
    const absl::Status started = StartWorker(lock);
    if (mode_ == Mode::kKilling) return Schedule(lock);
    if (started.ok()) continue;
    // Others may do the work meanwhile. Where there are none, the task that needed it learns why it cannot run.
    next_birth_ns_ = workers_.empty() ? 0 : NowNs() + absl::ToInt64Nanoseconds(kBirthPause);
    if (!workers_.empty()) break;
    if (const std::shared_ptr<Task> task = TakeFromQueue()) Fail(task, Annotate(started, "start a worker"));
  }
  if (mode_ == Mode::kClosing && queue_.empty()) {
    while (!free_.empty()) Retire(*free_.back());
  }
}

int Pool::HandleTimers() {
  int64_t next = INT64_MAX;
  const int64_t now = NowNs();
  if (!queue_.empty() && next_birth_ns_ > now) next = next_birth_ns_;
  for (auto& [id, worker] : workers_) {
    if (now >= worker->kill_ns) {
      worker->kill_ns = INT64_MAX;
      if (worker->verdict.ok()) worker->verdict = absl::DataLossError("the worker closed its end");
      worker->process->Kill();
    }
    if (now >= worker->deadline_ns) CheckDeadline(*worker, now);
    next = std::min({next, worker->kill_ns, worker->deadline_ns});
    const bool ages = worker->phase == WorkerLink::Phase::kIdle || worker->phase == WorkerLink::Phase::kBusy;
    if (ages && options_.max_age < absl::InfiniteDuration()) {
      if (!IsOld(*worker, now)) {
        next = std::min(next, worker->born_ns + absl::ToInt64Nanoseconds(options_.max_age));
      } else if (worker->phase == WorkerLink::Phase::kIdle) {
        Retire(*worker);
        next = std::min(next, worker->kill_ns);
      } else {
        worker->Stop();  // After the call that runs: the others must not meet the worker's end.
      }
    }
  }
  if (next == INT64_MAX) return -1;
  // Rounded up, so that the time has come when it wakes.
  return static_cast<int>(std::clamp<int64_t>((next - now + 999999) / 1000000, 0, INT_MAX));
}

void Pool::CheckDeadline(WorkerLink& worker, int64_t now) {
  worker.deadline_ns = INT64_MAX;
  if (worker.phase == WorkerLink::Phase::kStarting) {
    return End(worker, absl::DeadlineExceededError(
                           absl::StrCat("it was not ready within ", absl::FormatDuration(options_.start_timeout))));
  }
  Look(worker);  // Its result may have come, and nobody have looked.
  if (worker.phase != WorkerLink::Phase::kBusy || !worker.verdict.ok()) return;
  const JournalState journal = worker.ReadJournal();
  const int64_t timeout = absl::ToInt64Nanoseconds(worker.task->timeout);
  // The worker says when the running call began, and is heard only where another call has ended since: whatever it says,
  // one call gains no more than the time of one. Ended and begun are two words: an old beginning is that of the call before.
  if (journal.done > worker.seen_done) {
    worker.seen_done = journal.done;
    const bool known = journal.began_ns > worker.call_began_ns && journal.began_ns <= now;
    worker.call_began_ns = known ? journal.began_ns : now;
  }
  if (worker.call_began_ns + timeout > now) {
    worker.deadline_ns = worker.call_began_ns + timeout;
    return;
  }
  worker.blamed = journal.done;
  End(worker, absl::DeadlineExceededError(absl::StrCat("the task was not done within ",
                                                       absl::FormatDuration(worker.task->timeout), ", and was ended")));
}

void Pool::HandleStream(WorkerLink& worker, Reading reading) {
  bool more = true;
  while (more && !worker.closed) {
    const absl::Status received = worker.Receive(more);
    // What was sent before the answer came has gone: on Windows that is known only when it is asked.
    worker.GoOnSending();
    HandleReplies(worker);
    if (!received.ok()) {
      CloseStream(worker);
      // What has ended has no stream either, and its sentinel comes in a moment. Else it closed it and lives on.
      worker.kill_ns =
          std::min(worker.kill_ns, NowNs() + absl::ToInt64Nanoseconds(std::max(options_.grace, absl::Seconds(1))));
      if (worker.kill_ns < asleep_until_ns_) Wake();
    }
    if (reading == Reading::kSome) more = false;  // The others' turn; what is left is readable still.
  }
}

void Pool::HandleReplies(WorkerLink& worker) {
  std::string body;
  while (!worker.closed) {
    absl::StatusOr<std::optional<PoolReply>> reply = worker.NextReply(options_.max_result_bytes, body);
    if (reply.ok() && !reply->has_value()) return;
    if (reply.ok()) {
      HandleReply(worker, **reply, std::move(body));
      continue;
    }
    if (worker.verdict.ok()) worker.verdict = reply.status();
    CloseStream(worker);
    if (worker.phase == WorkerLink::Phase::kIdle) Retire(worker);
    worker.kill_ns = 0;
    if (worker.kill_ns < asleep_until_ns_) Wake();
  }
}

void Pool::HandleReply(WorkerLink& worker, const PoolReply& reply, std::string body) {
  switch (reply.kind) {
    case PoolReplyKind::kReady:
      return SetFree(worker);
    case PoolReplyKind::kInitializerFailed: {
      const absl::StatusOr<Result> result = DecodeResult(body);
      const absl::Status why = !result.ok()                 ? result.status()
                               : !result->error.has_value() ? absl::DataLossError("the worker does not say why")
                                                            : ErrorOf(*result->error);
      Break(Annotate(why, "the executor is broken: its initialiser failed"));
      worker.phase = WorkerLink::Phase::kIdle;
      return Retire(worker);
    }
    case PoolReplyKind::kResults:
      worker.task->results.push_back({.count = reply.count, .bytes = std::move(body), .error = {}});
      worker.received += reply.count;
      worker.calls_done += reply.count;
      if (worker.received == worker.end) FinishChunk(worker);
      return;
    case PoolReplyKind::kStopped:
      worker.end = reply.first;
      return FinishChunk(worker);
  }
}

void Pool::FinishChunk(WorkerLink& worker) {
  const std::shared_ptr<Task> task = std::move(worker.task);
  worker.task = nullptr;
  task->worker = nullptr;
  worker.deadline_ns = INT64_MAX;
  task->next = worker.end;
  if (task->next == task->count) {
    Finish(task);
  } else if (task->cancelled) {
    Fail(task, absl::CancelledError("the task was cancelled"));
  } else {
    Requeue(task);
  }
  if (worker.verdict.ok()) {
    SetFree(worker);
  } else {
    worker.phase = WorkerLink::Phase::kRetiring;
  }
}

void Pool::HandleEnd(Lock& lock, WorkerLink& worker) {
  TakeBack(lock, worker);
  HandleStream(worker, Reading::kToTheEnd);
  CloseStream(worker);
  events_->ForgetEnd(worker.process->sentinel(), worker.id);
  const Outcome outcome = worker.process->Join();
  // Another one would do the same, for ever.
  if (worker.phase == WorkerLink::Phase::kStarting && mode_ != Mode::kKilling) {
    const std::string why = worker.verdict.ok() ? outcome.ToString() : std::string(worker.verdict.message());
    const absl::StatusCode code = worker.verdict.ok() ? absl::StatusCode::kAborted : worker.verdict.code();
    Break(WithOutcome(
        absl::Status(code, absl::StrCat("the executor is broken: a worker ended before it was ready: ", why)), outcome));
  }
  if (worker.task != nullptr) Settle(worker, outcome);
  const auto at = std::find(free_.begin(), free_.end(), &worker);
  if (at != free_.end()) free_.erase(at);
  workers_.erase(worker.id);
}

// Gives the chunk of a worker that has ended what there is for it: results that were not sent, the outcome for the call
// that was running, and another worker for the calls that were not begun.
void Pool::Settle(WorkerLink& worker, const Outcome& outcome) {
  const std::shared_ptr<Task> task = worker.task;
  JournalState journal = worker.ReadJournal();
  task->worker = nullptr;
  task->next = worker.received;
  if (journal.done > task->next) {
    task->results.push_back({.count = journal.done - task->next, .bytes = std::move(journal.bytes), .error = {}});
    task->next = journal.done;
  }
  const bool began = journal.began || ++task->lost_before_begin >= kMaxLostBeforeBegin || !worker.verdict.ok();
  if (began && task->next < worker.end) {
    absl::Status error = absl::AbortedError(absl::StrCat("its worker ended: ", outcome.ToString()));
    if (!worker.verdict.ok()) error = worker.verdict;
    if (worker.blamed.has_value() && *worker.blamed != task->next) {
      error = absl::AbortedError("its worker was ended because another task of the same chunk took too long");
    }
    task->results.push_back({.count = 1, .bytes = "", .error = WithOutcome(std::move(error), outcome)});
    ++task->next;
  }
  if (task->next == task->count) {
    Finish(task);
  } else if (task->cancelled || mode_ == Mode::kKilling) {
    Fail(task, absl::CancelledError("the task was cancelled"));
  } else if (!broken_.ok()) {
    Fail(task, broken_);
  } else {
    Requeue(task);
  }
}

}  // namespace brood::internal
