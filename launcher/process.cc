#include "launcher/process.h"

#include "absl/strings/str_cat.h"
#include "base/signals.h"
#include "base/status.h"
#include "launcher/children.h"
#include "launcher/process_state.h"
#include "launcher/result_error.h"

namespace brood {
namespace {

using internal::ProcessState;

UniqueFd Take(ProcessState* state, int stream) {
  if (state == nullptr || state->creator != ForkGeneration()) return UniqueFd();
  return internal::TakeCaptured(*state, stream);
}

}  // namespace

Process::Process(std::shared_ptr<ProcessState> state) : state_(std::move(state)) {}
Process::Process(internal::Unstarted unstarted)
    : unstarted_(std::make_unique<internal::Unstarted>(std::move(unstarted))) {}
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;
Process::~Process() = default;

absl::StatusOr<Process> Process::Launch(const LaunchOptions& options) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<ProcessState> state, internal::LaunchProgram(options));
  Process process(std::move(state));
  internal::NoteChild(process.state_);
  return process;
}

absl::StatusOr<Process> Process::Start(const LaunchOptions& options) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<ProcessState> state, internal::LaunchProgram(options));
  Process process(std::move(state));
  BROOD_RETURN_IF_ERROR(internal::AwaitStarted(*process.state_));
  internal::NoteChild(process.state_);
  return process;
}

Process Process::Create(LaunchOptions options) {
  internal::Unstarted unstarted;
  unstarted.options = std::move(options);
  unstarted.launch = [](const LaunchOptions& final_options) { return Start(final_options); };
  return Process(std::move(unstarted));
}

absl::Status Process::Start() {
  if (unstarted_ == nullptr) {
    return absl::FailedPreconditionError(state_ == nullptr || state_->closed
                                             ? "start: the process object is closed"
                                             : "start: a process can be started once only");
  }
  if (unstarted_->creator != ForkGeneration()) {
    return absl::FailedPreconditionError("start: only the process that made the object may do that, not a fork of it");
  }
  BROOD_ASSIGN_OR_RETURN(Process started, unstarted_->launch(unstarted_->options));
  *this = std::move(started);
  return absl::OkStatus();
}

Process internal::ProcessOf(std::shared_ptr<ProcessState> state) { return Process(std::move(state)); }

std::shared_ptr<ProcessState> internal::StateOf(Process& process) { return process.state_; }

void internal::ExpectResult(Process& process, UniqueFd result, uint64_t max_result_bytes) {
  StateOf(process)->result_memory = std::move(result);
  StateOf(process)->max_result_bytes = max_result_bytes;
}

absl::Status internal::AwaitFunction(Process& process) {
  BROOD_RETURN_IF_ERROR(AwaitStarted(*StateOf(process)));
  NoteChild(StateOf(process));
  return absl::OkStatus();
}

absl::Status Process::Check(std::string_view operation) const {
  if (state_ == nullptr && unstarted_ != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(operation, ": the process was not started"));
  }
  if (state_ == nullptr || state_->closed) {
    return absl::FailedPreconditionError(absl::StrCat(operation, ": the process object is closed"));
  }
  if (state_->creator != ForkGeneration()) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": only the process that started ", state_->name, " may do that, not a fork of it"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Outcome> Process::Join(absl::Duration timeout) {
  BROOD_RETURN_IF_ERROR(Check("join"));
  if (!HasEnded(*state_, timeout)) {
    return absl::DeadlineExceededError(absl::StrCat("join ", name(), ": still running after ", absl::FormatDuration(timeout)));
  }
  ReleaseSentinel(*state_);
  return *state_->outcome;
}

absl::StatusOr<std::optional<TypedValue>> Process::ResultValue(absl::Duration timeout) {
  BROOD_ASSIGN_OR_RETURN(const Outcome outcome, Join(timeout));
  if (!state_->is_function) return absl::FailedPreconditionError(absl::StrCat(name(), ": a program has no result"));
  if (!std::holds_alternative<Exited>(outcome.ending)) return absl::AbortedError(outcome.ToString());
  if (!state_->result.ok()) return Annotate(state_->result.status(), "the child left a damaged result");
  const std::optional<brood::Result>& result = *state_->result;
  if (result.has_value() && result->error.has_value()) return internal::ErrorOf(*result->error);
  if (outcome.exit_code() != 0) return absl::AbortedError(outcome.ToString());
  return result.has_value() ? result->value : std::nullopt;
}

absl::Status Process::Signal(int signal) {
  BROOD_RETURN_IF_ERROR(Check("signal"));
  if (signal < 1 || signal > LastSignal()) {
    return absl::InvalidArgumentError(absl::StrCat("signal ", name(), ": there is no signal ", signal));
  }
  return internal::SignalTarget(*state_, signal);
}

absl::Status Process::SignalGroup(int signal) {
  BROOD_RETURN_IF_ERROR(Check("signal"));
  return internal::SignalGroup(*state_, signal);
}

absl::Status Process::ResizeTerminal(uint16_t rows, uint16_t columns) {
  BROOD_RETURN_IF_ERROR(Check("resize"));
  return internal::ResizeTerminal(*state_, rows, columns);
}

absl::Status Process::Terminate() { return Signal(kSignalTerminate); }

absl::Status Process::Kill() {
  BROOD_RETURN_IF_ERROR(Check("kill"));
  return internal::KillTree(*state_);
}

absl::Status Process::Close() {
  if (state_ == nullptr || state_->closed) {
    // What was never started keeps its name and nothing else.
    if (unstarted_ != nullptr) {
      auto closed = std::make_shared<ProcessState>();
      closed->name = name();
      closed->daemon = daemon();
      closed->closed = true;
      state_ = std::move(closed);
      unstarted_.reset();
    }
    return absl::OkStatus();
  }
  BROOD_RETURN_IF_ERROR(Check("close"));
  if (!HasEnded(*state_, absl::ZeroDuration())) {
    return absl::FailedPreconditionError(absl::StrCat("close ", name(), ": still running; join or kill it first"));
  }
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->closed = true;
  state_->sentinel.reset();
  for (UniqueFd& captured : state_->captured) captured.reset();
  state_->result = std::nullopt;
  state_->policy.reset();
  return absl::OkStatus();
}

bool Process::IsAlive() { return Check("").ok() && !HasEnded(*state_, absl::ZeroDuration()); }

std::optional<int64_t> Process::exit_code() {
  if (!Check("").ok() || !HasEnded(*state_, absl::ZeroDuration())) return std::nullopt;
  return state_->outcome->exit_code();
}

int Process::pid() const { return state_ == nullptr || state_->closed ? 0 : PidOf(*state_); }

const std::string& Process::name() const {
  static const std::string* const empty = new std::string;
  if (state_ != nullptr) return state_->name;
  return unstarted_ != nullptr ? unstarted_->options.name : *empty;
}

bool Process::daemon() const {
  if (state_ != nullptr) return state_->daemon;
  return unstarted_ != nullptr && unstarted_->options.daemon.value_or(false);
}

void Process::set_name(std::string name) {
  if (state_ != nullptr) state_->name = std::move(name);
  if (unstarted_ != nullptr) unstarted_->options.name = std::move(name);
}

absl::Status Process::set_daemon(bool daemon) {
  if (unstarted_ == nullptr) return absl::FailedPreconditionError("set_daemon: the process was started already");
  unstarted_->options.daemon = daemon;
  return absl::OkStatus();
}

int Process::sentinel() const {
  if (state_ == nullptr || state_->closed || state_->creator != ForkGeneration()) return -1;
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->sentinel.valid() ? state_->sentinel.get() : internal::EndedSentinel();
}

UniqueFd Process::TakeStdout() { return Take(state_.get(), 0); }
UniqueFd Process::TakeStderr() { return Take(state_.get(), 1); }

}  // namespace brood
