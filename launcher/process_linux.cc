#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "base/fork_generation.h"
#include "base/status.h"
#include "launcher/join_at_end.h"
#include "launcher/launch_internal.h"
#include "launcher/messages_child.h"
#include "launcher/process.h"
#include "launcher/process_state.h"
#include "launcher/report_outcome.h"
#include "sandbox/cgroup.h"

namespace brood {
namespace {

using internal::ProcessState;

constexpr int kTreePatienceMs = 10'000;
constexpr absl::Duration kNow = absl::ZeroDuration();
constexpr absl::Duration kNever = absl::InfiniteDuration();

// Deadlines are moments of CLOCK_MONOTONIC: the wall clock may be set while somebody waits.
absl::Duration MonotonicNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

// Waits until one of two descriptors is readable. False when `deadline` has passed.
bool WaitReadable(int first, int second, absl::Duration deadline) {
  pollfd polls[] = {{first, POLLIN, 0}, {second, POLLIN, 0}};
  for (;;) {
    timespec wait{};
    const timespec* timeout = nullptr;
    if (deadline != kNever) {
      wait = absl::ToTimespec(std::max(deadline - MonotonicNow(), absl::ZeroDuration()));
      timeout = &wait;
    }
    const int ready = ppoll(polls, 2, timeout, nullptr);
    if (ready > 0) return true;
    if (ready == 0 && MonotonicNow() >= deadline) return false;
    if (ready < 0 && errno != EINTR) return true;
  }
}

void Note(ProcessState* state, const GuardianReport& report) {
  if (report.pid != 0) state->pid = report.pid;
  if (report.started != 0) state->started = true;
}

// Takes a `started` note from the socket, if there is one.
void ReadNotes(ProcessState* state) {
  GuardianReport report;
  while (state->control.valid()) {
    int init_fd = -1;
    int count = 0;
    const ssize_t n = child::ReceiveRecord(state->control.get(), &report, sizeof(report), &init_fd, 1, &count, MSG_DONTWAIT);
    if (count > 0) state->init_fd.reset(init_fd);
    if (n != static_cast<ssize_t>(sizeof(report)) || report.magic != kReportMagic) return;
    Note(state, report);
  }
}

void ReapGuardian(ProcessState* state) {
  if (state->guardian < 0) return;
  // It has written its last word or is dead; __WALL because its exit signal may be none. An embedder that reaps all its
  // children, or ignores SIGCHLD, takes nothing from us: the outcome came through the pipe. By pidfd, because then the
  // number may belong to another child of the embedder's already. wait(2).
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(state->guardian_fd.get()), &info, WEXITED | __WALL) < 0 && errno == EINTR) {
  }
  state->guardian = -1;
}

// The guardian was killed, and with it what it does at the end of a tree. The init sees that and ends the tree; a pid
// namespace ends with the init. Gives what is left, or "".
std::string EndWithoutGuardian(ProcessState* state) {
  std::string left;
  if (state->init_fd.valid()) {
    // It may have been stopped by a hostile child.
    syscall(SYS_pidfd_send_signal, state->init_fd.get(), SIGCONT, nullptr, 0);
    pollfd ended = {state->init_fd.get(), POLLIN, 0};
    int ready;
    do {
      ready = poll(&ended, 1, kTreePatienceMs);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
      syscall(SYS_pidfd_send_signal, state->init_fd.get(), SIGKILL, nullptr, 0);
      left = "failed: something of the tree could not be ended within 10 s";
    }
  }
  for (const std::string& path : state->cgroups) {
    if (!RemoveAbandonedCgroup(path)) left = absl::StrCat("failed: cgroup ", path, " could not be removed");
  }
  return left;
}

// Called when the sentinel is readable.
void ReadOutcome(ProcessState* state) {
  ReadNotes(state);
  GuardianReport report;
  ssize_t n;
  do {
    n = read(state->sentinel.get(), &report, sizeof(report));
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof(report)) && report.magic == kReportMagic) {
    Note(state, report);
    state->outcome = OutcomeOf(report, state->policy.get());
  } else {
    Outcome lost;
    lost.ending = Lost{"the guardian was killed"};
    ReapGuardian(state);  // Its locks go with it.
    const std::string left = EndWithoutGuardian(state);
    if (!left.empty()) lost.enforced[Layer::kTree] = left;
    state->outcome = lost;
  }
  state->outcome->start = state->start;
  if (!state->daemon) internal::EndJoin(state->sentinel.get());
  ReapGuardian(state);
  // Zero descriptors are held for a child that has ended, but for what it wrote and the sentinel that somebody may poll.
  state->control.reset();
  state->guardian_fd.reset();
  state->init_fd.reset();
}

bool Poll(ProcessState* state, absl::Duration deadline) {
  if (state->outcome.has_value()) return true;
  if (!WaitReadable(state->sentinel.get(), -1, deadline)) return false;
  ReadOutcome(state);
  return true;
}

absl::Status Command(ProcessState* state, GuardianCommand::Kind kind, int signal) {
  if (Poll(state, kNow)) return absl::OkStatus();
  GuardianCommand command;
  command.kind = kind;
  command.signal = signal;
  if (send(state->control.get(), &command, sizeof(command), MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) {
    return ErrnoStatus(errno, "send", "to the guardian");
  }
  return absl::OkStatus();
}

absl::Status CheckOwner(const ProcessState* state, std::string_view operation) {
  if (state == nullptr) return absl::FailedPreconditionError(absl::StrCat(operation, ": the process object is closed"));
  if (state->owner != ForkGeneration()) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": only the process that started ", state->name, " may do that, not a fork of it"));
  }
  return absl::OkStatus();
}

// The guardian wrote through the same description, so it stands at the end.
UniqueFd Take(ProcessState* state, int stream) {
  // Before the end the guardian writes at the offset that we would move.
  if (state == nullptr || !state->outcome.has_value()) return UniqueFd();
  UniqueFd captured = std::move(state->captured[stream]);
  if (captured.valid()) lseek(captured.get(), 0, SEEK_SET);
  return captured;
}

// Closing the socket makes the guardian kill the tree; it may have been stopped by a hostile child.
void KillAndReap(ProcessState* state) {
  if (state->owner != ForkGeneration()) {
    // In a fork the numbers stand for nothing, or for somebody else's files.
    for (UniqueFd* fd : {&state->guardian_fd, &state->init_fd, &state->control, &state->sentinel, &state->captured[0], &state->captured[1]}) {
      (void)fd->release();
    }
    return;
  }
  if (state->outcome.has_value() || state->guardian < 0) return;
  state->control.reset();
  syscall(SYS_pidfd_send_signal, state->guardian_fd.get(), SIGCONT, nullptr, 0);
  ReadOutcome(state);
}

}  // namespace

Process::Process(std::unique_ptr<internal::ProcessState> state) : state_(std::move(state)) {}
Process::Process(Process&&) noexcept = default;

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    if (state_ != nullptr) KillAndReap(state_.get());
    state_ = std::move(other.state_);
  }
  return *this;
}

Process::~Process() {
  if (state_ != nullptr) KillAndReap(state_.get());
}

absl::StatusOr<Process> Process::Launch(const LaunchOptions& options) { return LaunchInternal(options, {}); }

absl::StatusOr<Process> Process::Start(const LaunchOptions& options) {
  BROOD_ASSIGN_OR_RETURN(Process process, Launch(options));
  BROOD_RETURN_IF_ERROR(AwaitStarted(process));
  return process;
}

absl::StatusOr<Outcome> Process::Join(absl::Duration timeout) {
  BROOD_RETURN_IF_ERROR(CheckOwner(state_.get(), "join"));
  if (!Poll(state_.get(), MonotonicNow() + timeout)) {
    return absl::DeadlineExceededError(absl::StrCat("join ", state_->name, ": still running after ", absl::FormatDuration(timeout)));
  }
  return *state_->outcome;
}

absl::Status Process::Signal(int signal) {
  BROOD_RETURN_IF_ERROR(CheckOwner(state_.get(), "signal"));
  if (signal < 1 || signal > SIGRTMAX) {
    return absl::InvalidArgumentError(absl::StrCat("signal ", state_->name, ": there is no signal ", signal));
  }
  return Command(state_.get(), GuardianCommand::Kind::kSignal, signal);
}

absl::Status Process::SignalGroup(int signal) {
  BROOD_RETURN_IF_ERROR(CheckOwner(state_.get(), "signal"));
  return Command(state_.get(), GuardianCommand::Kind::kSignalGroup, signal);
}

absl::Status Process::Terminate() { return Signal(SIGTERM); }

absl::Status Process::Kill() {
  BROOD_RETURN_IF_ERROR(CheckOwner(state_.get(), "kill"));
  return Command(state_.get(), GuardianCommand::Kind::kKill, 0);
}

absl::Status Process::Close() {
  if (state_ == nullptr) return absl::OkStatus();
  BROOD_RETURN_IF_ERROR(CheckOwner(state_.get(), "close"));
  if (!Poll(state_.get(), kNow)) {
    return absl::FailedPreconditionError(absl::StrCat("close ", state_->name, ": still running; join or kill it first"));
  }
  state_.reset();
  return absl::OkStatus();
}

bool Process::IsAlive() { return CheckOwner(state_.get(), "").ok() && !Poll(state_.get(), kNow); }

std::optional<int> Process::exit_code() {
  if (!CheckOwner(state_.get(), "").ok() || !Poll(state_.get(), kNow)) return std::nullopt;
  return state_->outcome->exit_code();
}

pid_t Process::pid() const {
  if (state_ == nullptr) return 0;
  if (state_->owner == ForkGeneration()) ReadNotes(state_.get());
  return state_->pid;
}

const std::string& Process::name() const {
  static const std::string* empty = new std::string;
  return state_ != nullptr ? state_->name : *empty;
}

bool Process::daemon() const { return state_ != nullptr && state_->daemon; }
int Process::sentinel() const { return state_ != nullptr ? state_->sentinel.get() : -1; }
UniqueFd Process::TakeStdout() { return Take(state_.get(), 0); }
UniqueFd Process::TakeStderr() { return Take(state_.get(), 1); }


absl::Status AwaitStarted(Process& process) {
  ProcessState* state = process.state_.get();
  for (;;) {
    ReadNotes(state);
    if (state->started) return absl::OkStatus();
    WaitReadable(state->control.get(), state->sentinel.get(), kNever);
    ReadNotes(state);
    if (state->started) return absl::OkStatus();
    if (Poll(state, kNow)) {
      if (const auto* failed = std::get_if<SetupFailed>(&state->outcome->ending)) return SetupStatus(*failed);
      return absl::OkStatus();  // It ended before it was seen to start; the outcome says how.
    }
  }
}

}  // namespace brood
