#include "launcher/executor.h"

#include <algorithm>

#include "base/status.h"
#include "launcher/executor/births.h"
#include "launcher/executor/seed.h"
#include "launcher/executor/usable_cpus.h"

namespace brood {
namespace {

absl::Status MovedFrom() { return absl::FailedPreconditionError("submit: this executor was moved from"); }

}  // namespace

absl::StatusOr<Executor> Executor::Create(const Context& context, ExecutorOptions options) {
  if (options.grace < absl::ZeroDuration() || options.task_timeout < absl::ZeroDuration() ||
      options.start_timeout < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("executor: grace, task_timeout and start_timeout must not be negative");
  }
  if (options.max_queued == 0) {
    return absl::InvalidArgumentError("executor: max_queued must be at least 1: a task that starts a worker waits for it");
  }
  internal::PoolOptions pool;
  pool.workers = options.workers != 0 ? options.workers : internal::UsableCpus();
  pool.max_queued = options.max_queued;
  if (options.max_tasks_per_child != 0) pool.max_tasks_per_child = options.max_tasks_per_child;
  pool.grace = std::min(options.grace, absl::Hours(24));
  if (options.start_timeout < internal::kForEver) pool.start_timeout = options.start_timeout;
  pool.max_argument_bytes = context.options().max_argument_bytes;
  pool.max_result_bytes = context.options().max_result_bytes;
  // A task must not be ended because the worker was old when it got it: it has at least half of the limit for itself.
  if (options.launch.policy != nullptr && options.launch.policy->limits().wall_time.has_value()) {
    pool.max_age = *options.launch.policy->limits().wall_time / 2;
    if (pool.max_age >= internal::kForEver) pool.max_age = absl::InfiniteDuration();
  }
  internal::WorkerSetup setup;
  if (options.initializer.function != nullptr) {
    BROOD_ASSIGN_OR_RETURN(const internal::TargetEntry* const entry,
                           internal::FindTarget(options.initializer.function));
    setup.initializer = {entry->name, entry->signature()};
    setup.arguments = std::move(options.initializer.arguments);
    setup.handles = std::move(options.initializer.handles);
  }
  setup.max_result_bytes = pool.max_result_bytes;
  std::unique_ptr<internal::Births> births;
  if (context.method() == StartMethod::kFork) {
    BROOD_ASSIGN_OR_RETURN(births, internal::SeedBirths(context, options.launch, setup));
  } else {
    BROOD_ASSIGN_OR_RETURN(births, internal::DirectBirths(context, options.launch, setup));
  }
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<internal::Pool> made, internal::Pool::Create(std::move(births), pool));
  return Executor(std::move(made), options.task_timeout);
}

Executor& Executor::operator=(Executor&& other) noexcept {
  if (this == &other) return *this;
  Drop();
  pool_ = std::move(other.pool_);
  task_timeout_ = other.task_timeout_;
  return *this;
}

Executor::~Executor() { Drop(); }

void Executor::Drop() {
  if (pool_ == nullptr) return;
  if (pool_->foreign()) {
    // A fork's copy: its thread is not here, and its locks may be held for ever. It stays as it is.
    new std::shared_ptr<internal::Pool>(std::move(pool_));
    pool_ = nullptr;
    return;
  }
  pool_->ShutdownNow();
  pool_->JoinSupervisor();
  pool_ = nullptr;
}

std::shared_ptr<internal::Task> Executor::SubmitBytes(const SubmitOptions& options, internal::AnyFunction function,
                                                      WireWriter& arguments) {
  auto task = std::make_shared<internal::Task>();
  const auto fail = [&task](const absl::Status& error) {
    task->results.push_back({.count = 1, .bytes = "", .error = error});
    task->SetState(internal::TaskState::kDone);
    return task;
  };
  if (pool_ == nullptr) return fail(MovedFrom());
  task->pool = pool_;
  const absl::StatusOr<const internal::PoolTarget*> target = pool_->Resolve(function);
  if (!target.ok()) return fail(target.status());
  if (const absl::Status fit = pool_->CheckArguments(**target, arguments, 0); !fit.ok()) return fail(fit);
  task->target = *target;
  task->arguments = arguments.Take();
  task->timeout = TimeoutOf(options.timeout);
  pool_->Submit(task, options.wait_for_room);
  return task;
}

std::unique_ptr<internal::MapFeed> Executor::Feed(internal::MapOrder order, const MapOptions& options,
                                                  internal::AnyFunction function,
                                                  std::unique_ptr<internal::MapSource> source) {
  absl::StatusOr<const internal::PoolTarget*> target = MovedFrom();
  if (pool_ != nullptr) target = pool_->Resolve(function);
  return std::make_unique<internal::MapFeed>(pool_, std::move(target), options.chunk_size, TimeoutOf(options.timeout),
                                             order, std::move(source));
}

absl::Duration Executor::TimeoutOf(const std::optional<absl::Duration>& own) const {
  const absl::Duration timeout = std::max(own.value_or(task_timeout_), absl::ZeroDuration());
  return timeout >= internal::kForEver ? absl::InfiniteDuration() : timeout;
}

absl::Status Executor::Shutdown(absl::Duration timeout) {
  if (pool_ == nullptr) return absl::OkStatus();
  return pool_->Shutdown(timeout);
}

void Executor::ShutdownNow() {
  if (pool_ != nullptr) pool_->ShutdownNow();
}

std::vector<int> Executor::worker_pids() const {
  return pool_ == nullptr ? std::vector<int>() : pool_->WorkerPids();
}

}  // namespace brood
