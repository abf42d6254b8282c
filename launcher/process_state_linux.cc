#include "launcher/process_state.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/deadline.h"
#include "launcher/guarded_state.h"
#include "launcher/launch_record.h"
#include "launcher/messages_child.h"
#include "launcher/report_outcome.h"
#include "launcher/stack/stack_trace.h"
#include "sandbox/cgroup.h"
#include "serialization/framing.h"

namespace brood::internal {
namespace {

constexpr absl::Duration kTreePatience = absl::Seconds(10);
constexpr absl::Duration kCgroupPatience = absl::Seconds(2);
constexpr absl::Duration kServerPatience = absl::Seconds(15);
constexpr absl::Duration kContinueAgain = absl::Milliseconds(100);

GuardedState& Guarded(ProcessState& state) { return static_cast<GuardedState&>(state); }

// Waits until one of two descriptors is readable. False when `timeout` has passed.
bool WaitReadable(int first, int second, absl::Duration timeout) {
  const Deadline deadline(timeout);
  pollfd polls[] = {{first, POLLIN, 0}, {second, POLLIN, 0}};
  for (;;) {
    const int ready = ppoll(polls, 2, deadline.ToTimespec().get(), nullptr);
    if (ready > 0) return true;
    if (ready == 0 && deadline.passed()) return false;
    if (ready < 0 && errno != EINTR) return true;
  }
}

void Note(GuardedState& state, const GuardianReport& report) {
  if (report.pid != 0) state.pid = report.pid;
  if (report.started != 0) state.started = true;
}

// Takes from the socket what the guardian has noted: that the init is born, that the child has started.
void ReadNotes(GuardedState& state) {
  if (state.link != nullptr) state.started = state.link->started();
  GuardianReport report;
  while (state.control.valid()) {
    int fds[2] = {-1, -1};
    int count = 0;
    const ssize_t n = child::ReceiveRecord(state.control.get(), &report, sizeof(report), fds, 2, &count, MSG_DONTWAIT);
    // That a dead guardian had not read all is told first, and once; what it has written follows.
    if (n < 0 && errno == ECONNRESET) continue;
    UniqueFd first(count > 0 ? fds[0] : -1);
    if (count > 1) state.guardian_fd.reset(fds[1]);
    if (n == static_cast<ssize_t>(sizeof(report)) && report.kind == ReportKind::kKeeper) {
      if (first.valid() && state.take_keeper != nullptr) state.take_keeper(std::move(first));
      continue;
    }
    if (first.valid()) state.init_fd = std::move(first);
    if (n != static_cast<ssize_t>(sizeof(report)) || report.magic != kReportMagic) return;
    Note(state, report);
  }
}

// The guardian may leave as soon as it has reported. Without this it would be woken once more, to hear it then.
void LetGo(GuardedState& state) {
  if (state.served || state.guardian < 0 || state.let_go) return;
  state.let_go = true;
  if (state.light_memory.begin() != nullptr) return LetLightGuardianGo(state.light_memory);
  GuardianCommand command;
  command.kind = GuardianCommand::Kind::kLetGo;
  // Should it not fit, the guardian sees the socket's end.
  if (state.control.valid()) send(state.control.get(), &command, sizeof(command), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void ReapGuardian(GuardedState& state) {
  if (state.guardian < 0) return;
  // Not only closed: a fork of this process may hold a copy. shutdown(2).
  if (state.control.valid()) shutdown(state.control.get(), SHUT_RDWR);
  // One that stays for that may have been stopped meanwhile, by anybody of its user.
  if (!state.let_go && state.guardian_fd.valid()) {
    syscall(SYS_pidfd_send_signal, state.guardian_fd.get(), SIGCONT, nullptr, 0);
  }
  // It has written its last word or is dead; __WALL because its exit signal may be none. An embedder that reaps all its
  // children, or ignores SIGCHLD, takes nothing from us: the outcome came through the pipe. By pidfd, because then the
  // number may belong to another child of the embedder's already. wait(2).
  siginfo_t info{};
  if (state.served) {
    if (state.guardian_fd.valid()) WaitReadable(state.guardian_fd.get(), -1, absl::InfiniteDuration());
    state.guardian = -1;
    return;
  }
  while (waitid(P_PIDFD, static_cast<id_t>(state.guardian_fd.get()), &info, WEXITED | __WALL) < 0 && errno == EINTR) {
  }
  state.guardian = -1;
  state.light_memory = LightMemory();
}

absl::StatusOr<std::optional<Result>> ReadResult(int fd, uint64_t max_bytes) {
  struct stat about = {};
  if (fstat(fd, &about) != 0) return ErrnoStatus(errno, "fstat", "the result");
  if (about.st_size == 0) return std::nullopt;
  if (lseek(fd, 0, SEEK_SET) != 0) return ErrnoStatus(errno, "lseek", "the result");
  BROOD_ASSIGN_OR_RETURN(const std::string bytes,
                         ReadMessage(fd, MessageType::kResult, {.max_bytes = max_bytes + kMaxErrorBytes}));
  BROOD_ASSIGN_OR_RETURN(Result result, DecodeResult(bytes));
  return result;
}

// A killed process lets go of its files a moment after its end, and of those in a message that it never received:
// fs/file_table.c, delayed_fput(). Until then the lock is held.
bool RemoveCgroup(const std::string& path) {
  const Deadline deadline(kCgroupPatience);
  while (!RemoveAbandonedCgroup(path)) {
    if (deadline.passed()) return false;
    poll(nullptr, 0, 1);
  }
  return true;
}

// The guardian was killed, and with it what it does at the end of a tree. The init sees that and ends the tree; a pid
// namespace ends with the init. Gives what is left, or "".
std::string EndWithoutGuardian(GuardedState& state) {
  std::string left;
  if (state.init_fd.valid()) {
    // It may have been stopped by a hostile child.
    syscall(SYS_pidfd_send_signal, state.init_fd.get(), SIGCONT, nullptr, 0);
    if (!WaitReadable(state.init_fd.get(), -1, kTreePatience)) {
      syscall(SYS_pidfd_send_signal, state.init_fd.get(), SIGKILL, nullptr, 0);
      left = "failed: something of the tree could not be ended within 10 s";
    }
  }
  for (const std::string& path : state.cgroups) {
    if (!RemoveCgroup(path)) left = absl::StrCat("failed: cgroup ", path, " could not be removed");
  }
  return left;
}

void ReadStack(GuardedState& state) {
  auto* violation = std::get_if<Violation>(&state.outcome->ending);
  if (violation != nullptr && state.stack_memory.valid()) {
    StackTrace trace = ReadStackTrace(state.stack_memory.get(), state.policy != nullptr ? &state.policy->policy() : nullptr);
    violation->stack = std::move(trace.frames);
    violation->stack_end = std::move(trace.end);
  }
  state.stack_memory.reset();
}

void TakeResult(GuardedState& state) {
  if (!state.result_memory.valid()) return;
  state.result = ReadResult(state.result_memory.get(), state.max_result_bytes);
  state.result_memory.reset();
}

// The keeper has told us all. Called with the lock.
void ReadLinkedOutcome(GuardedState& state) {
  GuardianReport report;
  if (state.link->ReadEnd(state.sentinel.get(), &report)) {
    Note(state, report);
    state.outcome = OutcomeOf(report, state.policy.get());
  } else {
    state.outcome.emplace().ending = Lost{"its keeper was killed, and the child with it"};
  }
  state.outcome->start = state.start;
  state.link.reset();
}

// Called with the lock, when the sentinel is readable.
void ReadOutcome(GuardedState& state) {
  if (state.link != nullptr) return ReadLinkedOutcome(state);
  ReadNotes(state);
  if (state.read_outcome != nullptr) {
    state.outcome = state.read_outcome(state.sentinel.get());
    state.control.reset();
    return TakeResult(state);
  }
  GuardianReport report;
  ssize_t n;
  do {
    n = read(state.sentinel.get(), &report, sizeof(report));
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof(report)) && report.magic == kReportMagic) {
    Note(state, report);
    state.outcome = OutcomeOf(report, state.policy.get());
    ReadStack(state);
    state.outcome->copied = state.copies.Finish(report.copied, kMaxCopies);
  } else {
    Outcome lost;
    lost.ending = Lost{"the guardian was killed"};
    ReapGuardian(state);  // Its locks go with it.
    const std::string left = EndWithoutGuardian(state);
    if (!left.empty()) lost.enforced[Layer::kTree] = left;
    lost.copied = state.copies.Finish(nullptr, 0);
    state.outcome = lost;
  }
  state.outcome->start = state.start;
  TakeResult(state);
  ReapGuardian(state);
  state.control.reset();
  state.guardian_fd.reset();
  state.init_fd.reset();
}

// Of a child that was killed: until its guardian has done that the child may stop it, also after we have continued it. Of a keeper
// that nobody else watches: should somebody have stopped it.
bool AwaitKilled(GuardedState& state, absl::Duration timeout) {
  const Deadline deadline(timeout);
  while (!WaitReadable(state.sentinel.get(), -1, std::min(kContinueAgain, deadline.Left()))) {
    if (deadline.passed()) return false;
    const std::lock_guard<std::mutex> lock(state.mutex);
    ContinueGuardian(state);
  }
  return true;
}

}  // namespace

void ContinueGuardian(const GuardedState& state) {
  if (state.link != nullptr) return state.link->Continue();
  if (state.guardian_fd.valid()) syscall(SYS_pidfd_send_signal, state.guardian_fd.get(), SIGCONT, nullptr, 0);
}

bool HasEnded(ProcessState& base, absl::Duration timeout) {
  GuardedState& state = Guarded(base);
  bool watches;
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    if (state.outcome.has_value()) return true;
    ++state.waiting;
    if (timeout == absl::InfiniteDuration()) LetGo(state);
    watches = state.killed || state.link != nullptr;
  }
  const bool readable = watches ? AwaitKilled(state, timeout) : WaitReadable(state.sentinel.get(), -1, timeout);
  const std::lock_guard<std::mutex> lock(state.mutex);
  --state.waiting;
  if (readable && !state.outcome.has_value()) ReadOutcome(state);
  return readable;
}

namespace {

absl::Status Command(GuardedState& state, GuardianCommand::Kind kind, int signal) {
  if (HasEnded(state, absl::ZeroDuration())) return absl::OkStatus();
  GuardianCommand command;
  command.kind = kind;
  command.signal = signal;
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.link != nullptr) {
    const absl::Status sent = kind == GuardianCommand::Kind::kKill ? state.link->Kill()
                                                                   : state.link->Signal(signal, kind == GuardianCommand::Kind::kSignalGroup);
    state.link->Continue();
    return sent;
  }
  if (!state.control.valid()) return absl::OkStatus();
  if (send(state.control.get(), &command, sizeof(command), MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) {
    return ErrnoStatus(errno, "send", "to the guardian");
  }
  // It may have been stopped, by a hostile child or by anybody of its user, and has nothing to be stopped for.
  ReadNotes(state);
  ContinueGuardian(state);
  if (kind == GuardianCommand::Kind::kKill) state.killed = true;
  return absl::OkStatus();
}

}  // namespace

absl::Status SignalTarget(ProcessState& state, int signal) {
  return Command(Guarded(state), GuardianCommand::Kind::kSignal, signal);
}

absl::Status SignalGroup(ProcessState& state, int signal) {
  return Command(Guarded(state), GuardianCommand::Kind::kSignalGroup, signal);
}

absl::Status KillTree(ProcessState& state) { return Command(Guarded(state), GuardianCommand::Kind::kKill, 0); }

absl::Status ResizeTerminal(ProcessState& state, uint16_t rows, uint16_t columns) {
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!state.has_terminal) return absl::FailedPreconditionError("resize: the child has no terminal of its own");
  if (!state.terminal.valid()) return absl::OkStatus();
  const winsize size = {.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  // EIO: it has hung up.
  if (ioctl(state.terminal.get(), TIOCSWINSZ, &size) != 0 && errno != EIO) return ErrnoStatus(errno, "resize", "the child's terminal");
  return absl::OkStatus();
}

int PidOf(ProcessState& base) {
  GuardedState& state = Guarded(base);
  const std::lock_guard<std::mutex> lock(state.mutex);
  ReadNotes(state);
  if (state.link != nullptr) state.pid = state.link->pid();
  return state.pid;
}

bool AwaitGuardian(ProcessState& base, absl::Duration timeout) {
  GuardedState& state = Guarded(base);
  if (state.link != nullptr) return true;  // AwaitStarted has patience of its own.
  const Deadline deadline(timeout);
  for (;;) {
    {
      const std::lock_guard<std::mutex> lock(state.mutex);
      ReadNotes(state);
      if (state.guardian_fd.valid() || state.init_fd.valid() || state.started) return true;
    }
    if (HasEnded(state, absl::ZeroDuration())) return true;
    if (!WaitReadable(state.control.get(), state.sentinel.get(), deadline.Left())) return false;
  }
}

absl::Status AwaitStarted(ProcessState& base) {
  GuardedState& state = Guarded(base);
  if (state.link != nullptr) {
    state.link->AwaitStart(state.sentinel.get());
    if (!state.link->started()) HasEnded(state, absl::InfiniteDuration());
  }
  for (;;) {
    {
      const std::lock_guard<std::mutex> lock(state.mutex);
      ReadNotes(state);
      if (state.started) return absl::OkStatus();
    }
    // Nobody else knows the object yet, so that its descriptors stay what they are.
    if (!state.outcome.has_value()) {
      WaitReadable(state.control.get(), state.sentinel.get(), absl::InfiniteDuration());
      const std::lock_guard<std::mutex> lock(state.mutex);
      ReadNotes(state);
      if (state.started) return absl::OkStatus();
    }
    if (HasEnded(state, absl::ZeroDuration())) {
      if (const auto* failed = std::get_if<SetupFailed>(&state.outcome->ending)) return SetupStatus(*failed);
      if (state.served && std::holds_alternative<Lost>(state.outcome->ending)) {
        return absl::UnavailableError("the forkserver, or the guardian that it forked, ended before the child ran; start it again");
      }
      return absl::OkStatus();  // It ended before it was seen to start; the outcome says how.
    }
  }
}

void ReleaseSentinel(ProcessState& state) {
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.outcome.has_value()) state.terminal.reset();
  if (state.outcome.has_value() && state.waiting == 0) state.sentinel.reset();
}

// The guardian wrote through the same description, so it stands at the end.
UniqueFd TakeCaptured(ProcessState& state, int stream) {
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!state.outcome.has_value()) return UniqueFd();  // Before the end the guardian writes at the offset that we would move.
  UniqueFd captured = std::move(state.captured[stream]);
  if (captured.valid()) lseek(captured.get(), 0, SEEK_SET);
  return captured;
}

int EndedSentinel() {
  static std::mutex mutex;
  static UniqueFd* ready = nullptr;
  static uint64_t owner = 0;
  const std::lock_guard<std::mutex> lock(mutex);
  if (owner != ForkGeneration()) {
    // In a fork the number is the parent's: it may be another file here, so that it is neither used nor closed.
    ready = new UniqueFd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    owner = ForkGeneration();
  }
  return ready->get();
}

GuardedState::~GuardedState() {
  if (creator != ForkGeneration()) {
    // In a fork the numbers stand for nothing, or for somebody else's files.
    for (UniqueFd* fd : {&guardian_fd, &control, &init_fd, &sentinel, &captured[0], &captured[1], &result_memory, &stack_memory}) {
      (void)fd->release();
    }
    copies.Abandon();
    (void)link.release();
    return;
  }
  if (outcome.has_value() || guardian < 0) return;
  if (link != nullptr) link->Kill().IgnoreError();
  // The end of the socket makes the guardian kill the tree; it may have been stopped by a hostile child. Not only closed,
  // see ReapGuardian.
  if (control.valid()) shutdown(control.get(), SHUT_RDWR);
  ContinueGuardian(*this);
  // The end of our sockets is enough for a server, of whom we do not know that it is not stopped.
  if (!AwaitKilled(*this, read_outcome != nullptr ? kServerPatience : absl::InfiniteDuration())) return;
  ReadOutcome(*this);
}

}  // namespace brood::internal
