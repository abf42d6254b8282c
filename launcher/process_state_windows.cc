#include <windows.h>
// After windows.h, whose types it needs.
#include <psapi.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/setup_message.h"
#include "base/signals.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "ipc/deadline.h"
#include "launcher/scratch_file_windows.h"
#include "launcher/time_limits_windows.h"
#include "sandbox/windows_layers.h"
#include "launcher/windows_state.h"
#include "serialization/framing.h"

namespace brood::internal {
namespace {

constexpr absl::Duration kTreePatience = absl::Seconds(10);

WindowsState& OnWindows(ProcessState& state) { return static_cast<WindowsState&>(state); }

// True when it is signaled, false when the time has passed.
bool AwaitHandle(int handle, const Deadline& deadline) {
  for (;;) {
    // A wait takes 49 days at most; rounded up, so that the rest of a millisecond is no loop.
    const absl::Duration left = std::min(deadline.Left(), absl::Hours(24));
    const auto milliseconds = static_cast<DWORD>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
    if (WaitForSingleObject(HandleOf(handle), milliseconds) != WAIT_TIMEOUT) return true;
    if (deadline.passed()) return false;
  }
}

// Nothing tells of a job's end but a port that somebody has to serve: it is looked at, at once, then at intervals that grow to
// 16 ms.
bool AwaitEmptyJob(const Job& job, const Deadline& deadline) {
  for (DWORD pause = 0;; pause = std::min<DWORD>(pause == 0 ? 1 : 2 * pause, 16)) {
    const absl::StatusOr<uint32_t> active = job.ActiveProcesses();
    if (!active.ok() || *active == 0) return active.ok();
    if (deadline.passed()) return false;
    Sleep(pause);
  }
}

absl::Time TimeOf(const FILETIME& time) {
  const ULARGE_INTEGER ticks = {{time.dwLowDateTime, time.dwHighDateTime}};
  constexpr int64_t kUnixEpoch = 116444736000000000;  // In units of 100 nanoseconds since 1601.
  return absl::UnixEpoch() + absl::Nanoseconds(100) * (static_cast<int64_t>(ticks.QuadPart) - kUnixEpoch);
}

Usage UsageOf(const WindowsState& state) {
  Usage usage;
  const HANDLE process = HandleOf(state.sentinel.get());
  FILETIME created, exited, kernel, user;
  if (GetProcessTimes(process, &created, &exited, &kernel, &user)) {
    usage.wall_time = std::max(TimeOf(exited) - TimeOf(created), absl::ZeroDuration());
  }
  usage.cpu_time = state.job.CpuTime();
  usage.memory_peak_bytes = state.job.PeakMemoryBytes();
  PROCESS_MEMORY_COUNTERS counters = {};
  if (GetProcessMemoryInfo(process, &counters, sizeof(counters))) usage.max_rss_bytes = counters.PeakWorkingSetSize;
  return usage;
}

absl::StatusOr<std::optional<Result>> ReadResult(int file, uint64_t max_bytes) {
  LARGE_INTEGER size = {};
  if (!GetFileSizeEx(HandleOf(file), &size)) return LastErrorStatus("GetFileSizeEx", "the result");
  if (size.QuadPart == 0) return std::nullopt;
  if (!Rewind(file)) return LastErrorStatus("SetFilePointerEx", "the result");
  BROOD_ASSIGN_OR_RETURN(const std::string bytes,
                         ReadMessage(file, MessageType::kResult, {.max_bytes = max_bytes + kMaxErrorBytes}));
  BROOD_ASSIGN_OR_RETURN(Result result, DecodeResult(bytes));
  return result;
}

// What the bootstrap has said, without waiting: nothing if it has not said anything whole.
std::optional<SetupMessage> SetupOf(int pipe) {
  DWORD available = 0;
  SetupMessage message;
  DWORD count = 0;
  if (!PeekNamedPipe(HandleOf(pipe), nullptr, 0, nullptr, &available, nullptr) || available < sizeof(message) ||
      !ReadFile(HandleOf(pipe), &message, sizeof(message), &count, nullptr) || count != sizeof(message) ||
      message.magic != kSetupMessageMagic) {
    return std::nullopt;
  }
  return message;
}

std::string TextOf(const char* data, size_t size) { return std::string(data, strnlen(data, size)); }

// Of a process that has ended, with the lock.
decltype(Outcome::ending) EndingOf(WindowsState& state) {
  if (state.setup.valid() && !state.started) {
    const std::optional<SetupMessage> message = SetupOf(state.setup.get());
    if (message.has_value() && message->kind == SetupKind::kReady) state.started = true;
    if (message.has_value() && message->kind == SetupKind::kFailed) {
      return SetupFailed{TextOf(message->step, sizeof(message->step)), message->error_number,
                         TextOf(message->detail, sizeof(message->detail))};
    }
  }
  DWORD code = 0;
  if (!GetExitCodeProcess(HandleOf(state.sentinel.get()), &code)) {
    return Lost{std::string(LastErrorStatus("GetExitCodeProcess").message())};
  }
  // Who asked and what came of it: a child that gives the same number by itself has exited with it.
  if (state.out_of_time && code == kWallTimeCode) return TimedOut{};
  if (state.out_of_cpu && code == kCpuTimeCode) return LimitHit{Layer::kCpuTime};
  // With this the job object ends what has used up its user time. JOBOBJECT_END_OF_JOB_TIME_INFORMATION.
  if (state.cpu_limit.has_value() && code == ERROR_NOT_ENOUGH_QUOTA && state.job.CpuTime() >= *state.cpu_limit) {
    return LimitHit{Layer::kCpuTime};
  }
  // Also one that ended by itself meanwhile.
  if (state.output != nullptr && state.output->over_limit()) return LimitHit{Layer::kOutput};
  if (state.killed && code == kKilledCode) return Signaled{.signal = kSignalKill, .core_dumped = false};
  if (state.terminated && code == kTerminatedCode) return Signaled{.signal = kSignalTerminate, .core_dumped = false};
  // Some other program, or one that does not call Bootstrap: what it exits with says nothing of the function. But one that
  // crashed did not fail to set up: what it died of is the truth. NTSTATUS, severity "error".
  constexpr DWORD kFirstError = 0xC0000000;
  if (state.is_function && !state.started && code < kFirstError) {
    return SetupFailed{.step = "bootstrap",
                       .error_number = 0,
                       .detail = absl::StrCat("the child ended with code ", code, " before its target was ready (is "
                                              "brood::Bootstrap called at the start of main?)")};
  }
  return Exited{code};
}

// Cuts what was captured to what is kept.
StreamResult Keep(int file, uint64_t keep) {
  LARGE_INTEGER size = {};
  if (file < 0 || !GetFileSizeEx(HandleOf(file), &size)) return {};
  StreamResult result = {.bytes = static_cast<uint64_t>(size.QuadPart), .truncated = false};
  if (result.bytes <= keep) return result;
  result.truncated = true;
  LARGE_INTEGER end;
  end.QuadPart = static_cast<LONGLONG>(keep);
  if (SetFilePointerEx(HandleOf(file), end, nullptr, FILE_BEGIN)) SetEndOfFile(HandleOf(file));
  return result;
}

// With the lock, once the process has ended and, if that is wanted, its tree.
void ReadOutcome(WindowsState& state) {
  const absl::StatusOr<uint32_t> left = state.job.ActiveProcesses();
  bool gone = true;
  if (left.ok() && *left > 0) {
    (void)state.job.Terminate(kLeftOverCode);
    gone = AwaitEmptyJob(state.job, Deadline(kTreePatience));
  }
  // Nothing of the tree writes any more.
  if (state.output != nullptr) state.output->Finish();
  Outcome outcome;
  outcome.ending = EndingOf(state);
  outcome.start = state.start;
  const bool ran = !std::holds_alternative<SetupFailed>(outcome.ending);
  if (ran) outcome.enforced = state.policy != nullptr ? state.policy->enforced() : std::map<Layer, std::string>();
  if (ran) outcome.enforced.insert(state.enforced_at_birth.begin(), state.enforced_at_birth.end());
  if (ran) outcome.enforced[Layer::kTree] = kTreeByWhat;
  if (!gone) outcome.enforced[Layer::kTree] = "failed: something of the tree could not be ended within 10 s";
  outcome.limits_hit = state.job.TakeLimitsHit();
  if (const auto* limit = std::get_if<LimitHit>(&outcome.ending);
      limit != nullptr && std::count(outcome.limits_hit.begin(), outcome.limits_hit.end(), limit->limit) == 0) {
    outcome.limits_hit.push_back(limit->limit);
  }
  if (!left.ok()) {
    // The kernel has ended the tree with the job, and the child's exit code is 0 then. JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE.
    outcome.ending = Lost{absl::StrCat("the job object of ", state.name, ": ", left.status().message())};
    outcome.enforced.erase(Layer::kTree);
  }
  outcome.usage = UsageOf(state);
  outcome.stdout_result = Keep(state.captured[0].get(), state.keep_bytes[0]);
  outcome.stderr_result = Keep(state.captured[1].get(), state.keep_bytes[1]);
  if (state.result_memory.valid()) {
    state.result = ReadResult(state.result_memory.get(), state.max_result_bytes);
    state.result_memory.reset();
  }
  state.setup.reset();
  state.output.reset();
  state.job.Close();
  state.outcome = std::move(outcome);
}

absl::Status SetupStatus(const SetupFailed& failure) {
  if (failure.error_number == 0) return absl::FailedPreconditionError(absl::StrCat(failure.step, ": ", failure.detail));
  return WindowsStatus(static_cast<uint32_t>(failure.error_number), failure.step, failure.detail);
}

// With the lock. Not an error if it has ended meanwhile.
absl::Status End(WindowsState& state, bool* asked, const std::function<bool()>& end, std::string_view what) {
  if (state.outcome.has_value() || WaitForSingleObject(HandleOf(state.sentinel.get()), 0) != WAIT_TIMEOUT) return absl::OkStatus();
  const bool before = std::exchange(*asked, true);
  if (end()) return absl::OkStatus();
  const DWORD error = GetLastError();
  // Access is denied to one that is on its way out.
  if (WaitForSingleObject(HandleOf(state.sentinel.get()), 0) != WAIT_TIMEOUT) return absl::OkStatus();
  *asked = before;
  return WindowsStatus(error, what, state.name);
}

}  // namespace

bool HasEnded(ProcessState& base, absl::Duration timeout) {
  WindowsState& state = OnWindows(base);
  const Deadline deadline(timeout);
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    if (state.outcome.has_value()) return true;
    ++state.waiting;
  }
  bool ended = AwaitHandle(state.sentinel.get(), deadline);
  // Whatever ends a tree that is waited for ends the process first.
  if (ended && state.tree_end == TreeEnd::kWait) ended = AwaitEmptyJob(state.job, deadline);
  if (ended) StopTimeLimits(state);
  const std::lock_guard<std::mutex> lock(state.mutex);
  --state.waiting;
  if (ended && !state.outcome.has_value()) ReadOutcome(state);
  return ended;
}

absl::Status SignalTarget(ProcessState& base, int signal) {
  WindowsState& state = OnWindows(base);
  if (signal == kSignalKill) return KillTree(base);
  if (signal != kSignalTerminate) {
    return absl::UnimplementedError(absl::StrCat("signal ", state.name, ": Windows has none but SIGTERM and SIGKILL, which "
                                                 "end the process at once"));
  }
  const std::lock_guard<std::mutex> lock(state.mutex);
  return End(state, &state.terminated, [&] { return TerminateProcess(HandleOf(state.sentinel.get()), kTerminatedCode) != 0; },
             "TerminateProcess");
}

absl::Status SignalGroup(ProcessState& state, int signal) { return SignalTarget(state, signal); }

absl::Status ResizeTerminal(ProcessState&, uint16_t, uint16_t) {
  return absl::FailedPreconditionError("resize: the child has no terminal of its own");
}

absl::Status KillTree(ProcessState& base) {
  WindowsState& state = OnWindows(base);
  const std::lock_guard<std::mutex> lock(state.mutex);
  return End(state, &state.killed, [&] { return TerminateJobObject(HandleOf(state.job.get()), kKilledCode) != 0; },
             "TerminateJobObject");
}

int PidOf(ProcessState& state) {
  const std::lock_guard<std::mutex> lock(state.mutex);
  return state.pid;
}

absl::Status AwaitStarted(ProcessState& base) {
  WindowsState& state = OnWindows(base);
  if (!state.started && !state.outcome.has_value()) {
    // Ends when the child speaks, or when it is gone: it holds the other end, and nobody else does.
    SetupMessage message;
    DWORD count = 0;
    const bool spoken = ReadFile(HandleOf(state.setup.get()), &message, sizeof(message), &count, nullptr) &&
                        count == sizeof(message) && message.magic == kSetupMessageMagic;
    if (spoken && message.kind == SetupKind::kReady) {
      state.started = true;
    } else if (spoken) {
      // It ends by itself now.
      AwaitHandle(state.sentinel.get(), Deadline(kTreePatience));
      const std::lock_guard<std::mutex> lock(state.mutex);
      ReadOutcome(state);
      state.outcome->ending = SetupFailed{TextOf(message.step, sizeof(message.step)), message.error_number,
                                          TextOf(message.detail, sizeof(message.detail))};
      state.outcome->enforced.clear();
    } else {
      HasEnded(state, absl::InfiniteDuration());
    }
  }
  if (!state.outcome.has_value()) return absl::OkStatus();
  if (const auto* failed = std::get_if<SetupFailed>(&state.outcome->ending)) return SetupStatus(*failed);
  return absl::OkStatus();
}

void ReleaseSentinel(ProcessState& state) {
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.outcome.has_value() && state.waiting == 0) state.sentinel.reset();
}

UniqueFd TakeCaptured(ProcessState& state, int stream) {
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!state.outcome.has_value()) return UniqueFd();
  UniqueFd captured = std::move(state.captured[stream]);
  if (captured.valid()) Rewind(captured.get());
  return captured;
}

int EndedSentinel() {
  static const auto* const ended = new UniqueFd(Own(CreateEventW(nullptr, TRUE, TRUE, nullptr)));
  return ended->get();
}

WindowsState::~WindowsState() {
  if (!outcome.has_value() && sentinel.valid()) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      (void)job.Terminate(kKilledCode);
    }
    AwaitHandle(sentinel.get(), Deadline(kTreePatience));
    AwaitEmptyJob(job, Deadline(kTreePatience));
  }
  output.reset();
  StopTimeLimits(*this);
}

}  // namespace brood::internal
