#include "launcher/programs.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/wait.h"

namespace brood {
namespace {

// Its stream, which the pipe becomes; null for descriptors from 3 on.
Stdio* StreamOf(LaunchOptions& options, int fd) {
  Stdio* const streams[] = {&options.stdin_spec, &options.stdout_spec, &options.stderr_spec};
  return fd >= 0 && fd <= 2 ? streams[fd] : nullptr;
}

absl::Status CheckEnd(const std::vector<LaunchOptions>& programs, const ProgramDescriptor& end, bool writes) {
  if (end.program >= programs.size()) {
    return absl::InvalidArgumentError(absl::StrCat("expected a program from 0 to ", programs.size() - 1, ", got ", end.program));
  }
  const bool stream = writes ? end.fd == 1 || end.fd == 2 : end.fd == 0;
  if (!stream && end.fd < 3) {
    return absl::InvalidArgumentError(absl::StrCat("expected ", writes ? "stdout, stderr" : "stdin", " or a descriptor from 3 on, got ", end.fd));
  }
  if (stream && programs[end.program].terminal.has_value()) return absl::InvalidArgumentError(absl::StrCat("program ", end.program, " has a terminal for its streams"));
  return absl::OkStatus();
}

absl::Status CheckPipe(const std::vector<LaunchOptions>& programs, const ProgramPipe& pipe, std::set<std::pair<size_t, int>>& used) {
  BROOD_RETURN_IF_ERROR(Annotate(CheckEnd(programs, pipe.from, true), "from"));
  BROOD_RETURN_IF_ERROR(Annotate(CheckEnd(programs, pipe.to, false), "to"));
  if (pipe.keep_bytes > 0 && pipe.from.fd > 2) return absl::InvalidArgumentError("keep: of stdout and stderr only");
  for (const ProgramDescriptor& end : {pipe.from, pipe.to}) {
    if (!used.emplace(end.program, end.fd).second) {
      return absl::InvalidArgumentError(absl::StrCat("descriptor ", end.fd, " of program ", end.program, " has a pipe already"));
    }
  }
  return absl::OkStatus();
}

void Connect(LaunchOptions& options, int number, Stdio stream, int fd) {
  if (Stdio* const own = StreamOf(options, number); own != nullptr) {
    *own = std::move(stream);
  } else {
    options.inherited.push_back({.fd = fd, .child_fd = number});
  }
}

bool IsByLimit(const Outcome& outcome) {
  return !std::holds_alternative<Exited>(outcome.ending) && !std::holds_alternative<Signaled>(outcome.ending);
}

bool StopsAll(StopAll stop, const Outcome& outcome) {
  switch (stop) {
    case StopAll::kNever:
      return false;
    case StopAll::kOnLimit:
      return IsByLimit(outcome);
    case StopAll::kOnFailure:
      return !outcome.ok();
    case StopAll::kOnEnd:
      return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<Programs> Programs::Launch(std::vector<LaunchOptions> programs, const std::vector<ProgramPipe>& pipes, StopAll stop) {
  if (programs.empty()) return absl::InvalidArgumentError("programs: expected at least one");
  std::set<std::pair<size_t, int>> used;
  std::vector<UniqueFd> ends;
  for (size_t i = 0; i < pipes.size(); ++i) {
    const ProgramPipe& pipe = pipes[i];
    BROOD_RETURN_IF_ERROR(Annotate(CheckPipe(programs, pipe, used), absl::StrCat("pipe ", i)));
    int both[2];
    if (pipe2(both, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    ends.emplace_back(both[0]);
    ends.emplace_back(both[1]);
    Connect(programs[pipe.from.program], pipe.from.fd, Stdio::Relay(both[1], pipe.keep_bytes), both[1]);
    Connect(programs[pipe.to.program], pipe.to.fd, Stdio::Fd(both[0]), both[0]);
  }
  Programs group(stop);
  group.sentinel_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!group.sentinel_.valid()) return ErrnoStatus(errno, "epoll_create");
  for (size_t i = 0; i < programs.size(); ++i) {
    absl::StatusOr<Process> process = Process::Launch(programs[i]);
    if (!process.ok()) return Annotate(process.status(), absl::StrCat("program ", i));
    epoll_event event = {.events = EPOLLIN, .data = {.u64 = i}};
    if (epoll_ctl(group.sentinel_.get(), EPOLL_CTL_ADD, process->sentinel(), &event) != 0) return ErrnoStatus(errno, "epoll_ctl");
    group.processes_.push_back(*std::move(process));
  }
  group.ended_.resize(programs.size());
  group.left_ = programs.size();
  return group;  // Without the ends of the pipes: each is the program's that has it.
}

bool Programs::Advance() {
  epoll_event events[16];
  for (int count; left_ > 0 && (count = epoll_wait(sentinel_.get(), events, 16, 0)) > 0;) {
    for (int i = 0; i < count; ++i) {
      const size_t number = events[i].data.u64;
      Process& process = processes_[number];
      epoll_ctl(sentinel_.get(), EPOLL_CTL_DEL, process.sentinel(), nullptr);
      ProgramEnded end;
      absl::StatusOr<Outcome> outcome = process.Join();
      if (outcome.ok()) end.outcome = *std::move(outcome);
      else end.outcome.ending = Lost{.reason = std::string(outcome.status().message())};
      const auto* signaled = std::get_if<Signaled>(&end.outcome.ending);
      // One that ended by itself at that moment says so.
      if (killed_by_.has_value() && signaled != nullptr && signaled->signal == SIGKILL) end.ended_with = killed_by_;
      end.stdout_file = process.TakeStdout();
      end.stderr_file = process.TakeStderr();
      const bool stops = !killed_by_.has_value() && StopsAll(stop_, end.outcome);
      ended_[number] = std::move(end);
      --left_;
      if (!stops || left_ == 0) continue;
      killed_by_ = number;
      // What cannot be told to end ends with its owner.
      (void)Kill();
    }
  }
  return left_ == 0;
}

absl::Status Programs::Kill() {
  absl::Status first;
  for (size_t i = 0; i < processes_.size(); ++i) {
    if (!ended_[i].has_value()) first.Update(processes_[i].Kill());
  }
  return first;
}

absl::StatusOr<std::vector<ProgramEnded>> Programs::Join(absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  while (!Advance()) {
    const absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) return absl::DeadlineExceededError(absl::StrCat(left_, " of ", processes_.size(), " programs still run"));
    BROOD_RETURN_IF_ERROR(Wait({sentinel_.get()}, left).status());
  }
  std::vector<ProgramEnded> all;
  for (std::optional<ProgramEnded>& one : ended_) all.push_back(*std::move(one));
  return all;
}

}  // namespace brood
