#include "bootstrap/run_child.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/among_data.h"
#include "base/own_process.h"
#include "base/random.h"
#include "base/setup_message.h"
#include "base/status.h"
#include "base/thread_count.h"
#include "base/unique_fd.h"
#include "bootstrap/after_fork.h"
#include "bootstrap/current_process.h"
#include "bootstrap/error_report.h"
#include "bootstrap/exit.h"
#include "bootstrap/forced_unwind.h"
#include "bootstrap/log.h"
#include "bootstrap/plugin.h"
#include "bootstrap/registry.h"
#include "bootstrap/setup_report.h"
#include "bootstrap/throw_site.h"
#include "ipc/auth_key.h"
#include "serialization/framing.h"

namespace brood {
namespace internal {
namespace {

constinit AmongData<const PreparationData*> g_preparation;
absl::Status (*g_read_arguments)(std::string_view signature, std::vector<TypedValue>& arguments) = nullptr;
int g_setup_handle = -1;

void Copy(std::string_view text, char* to, size_t size) {
  const size_t length = std::min(text.size(), size - 1);
  std::memcpy(to, text.data(), length);
}

struct Ending {
  int code = 0;
  Result result;
};

// Not inlined, as what follows it: the frame of RunChild is on the stack of each child as long as that runs, and what it does not take
// is less of a second page.
[[gnu::noinline]] Ending EndWithError(std::string_view target, ResultError error) {
  PrintError(absl::StrCat("target ", target), error);
  return {.code = 1, .result = {.value = std::nullopt, .error = std::move(error)}};
}

[[gnu::noinline]] Ending EndWithStatus(std::string_view target, const absl::Status& status) {
  return EndWithError(target, StatusError(status));
}

// Of the exception that is being handled.
[[gnu::noinline]] Ending EndWithException(std::string_view target, const ThrowSite& site) {
  return EndWithError(target, CurrentException(site));
}

// pthread_exit(3) in a main thread: "the process continues until its last thread terminates". The C library would do
// that by unwinding to the bottom of the stack, which in a forked child is made of the parent's frames.
void WaitForOtherThreads() {
  for (absl::Duration pause = absl::Milliseconds(1);; pause = std::min(2 * pause, absl::Milliseconds(50))) {
    const absl::StatusOr<int> threads = ThreadCount();
    if (!threads.ok() || *threads <= 1) return;
    absl::SleepFor(pause);
  }
}

// A result that cannot be delivered ends the child with code 1: its caller must not take silence for success.
[[gnu::noinline]] int LeaveResult(const ProcessData& process, Ending& ending) {
  if (process.result_handle < 0) return ending.code;
  if (ending.result.value.has_value() && !ending.result.value->handles.empty()) {
    ending = EndWithError(process.target, StatusError(absl::InvalidArgumentError(
                                              "a result cannot carry descriptors; send them over a connection")));
  }
  std::string bytes = EncodeResult(ending.result);
  const bool is_value = ending.result.value.has_value();
  if (is_value && bytes.size() > process.max_result_bytes) {
    const absl::Status too_large = absl::ResourceExhaustedError(
        absl::StrCat("the result takes ", bytes.size(), " bytes, ", process.max_result_bytes, " are allowed"));
    ending = EndWithError(process.target, StatusError(too_large));
    bytes = EncodeResult(ending.result);
  }
  const absl::Status written = WriteMessage(process.result_handle, MessageType::kResult, bytes);
  UniqueFd(process.result_handle).reset();
  if (written.ok()) return ending.code;
  std::fprintf(stderr, "%s\n", std::string(written.message()).c_str());
  return std::max(ending.code, 1);
}

// The runtime gives a handler of a forced unwind a reference to nothing, which UndefinedBehaviorSanitizer minds.
[[gnu::noinline, gnu::no_sanitize("null", "alignment")]] Ending RunTarget(const BoundTarget& target,
                                                                   const ProcessData& process) {
  ThrowSite site;
  try {
    const ExitScope scope;
    TargetResult result;
    Watch([&] { result = target(); }, &site);
    if (!result.status.ok()) return EndWithStatus(process.target, result.status);
    const int code = ReportExit({.code = result.exit_code, .text = std::nullopt});
    return {.code = code, .result = {.value = std::move(result.value), .error = std::nullopt}};
  } catch (const ExitRequest& request) {
    return {.code = ReportExit(request), .result = {}};
  } catch (const ForcedUnwind&) {
    // pthread_exit or pthread_cancel: a handler that must not be left but by throwing on, and is not left at all.
    WaitForOtherThreads();
    Ending ending;
    EndProcess(LeaveResult(process, ending));
  } catch (...) {
    return EndWithException(process.target, site);
  }
}

[[gnu::noinline]] absl::StatusOr<BoundTarget> Bind(const TargetEntry& entry, std::vector<TypedValue>& arguments) {
  const auto is_json = [](const TypedValue& argument) { return argument.type == kJsonType; };
  if (std::any_of(arguments.begin(), arguments.end(), is_json)) {
    if (g_read_arguments == nullptr) {
      return absl::UnimplementedError("JSON arguments: this program is not linked with //bootstrap:json_arguments");
    }
    BROOD_RETURN_IF_ERROR(g_read_arguments(entry.signature(), arguments));
  }
  ThrowSite site;
  try {
    absl::StatusOr<BoundTarget> target = absl::UnknownError("not bound");
    Watch([&] { target = entry.bind(arguments); }, &site);
    return target;
  } catch (...) {
    const ResultError error = CurrentException(site);
    return absl::InternalError(
        absl::StrCat("its arguments could not be made: ", error.type, ": ", error.status.message()));
  }
}

// For a child that gives its caller nothing but its end, and to whom nothing was given: it needs no memory of its own for that.
BoundTarget BindAlone(const TargetEntry* entry) {
  return [entry]() -> TargetResult {
    WireReader nothing((std::string_view()));
    WireWriter value;
    CallEnd end;
    std::vector<TypedValue> none;
    // It has parameters: the error is that of who binds it.
    if (!entry->call(nothing, value, end)) FailBootstrap(-1, Annotate(Bind(*entry, none).status(), absl::StrCat("target ", entry->name)));
    return {.value = std::nullopt, .status = std::move(end.status), .exit_code = end.exit_code};
  };
}

// An initialiser of a plugin may call exit(3): its code would pass for the target's. Handlers that it has registered itself
// run before this one. atexit(3).
void TellOfExitWhileLoading(int setup_handle) {
  g_setup_handle = setup_handle;
  std::atexit([] {
    const char* const plugin = PluginBeingLoaded();
    if (plugin == nullptr) return;
    FailBootstrap(g_setup_handle,
                  absl::AbortedError(absl::StrCat("plugin ", plugin, ": a static initialiser ended the process")));
  });
}

}  // namespace

const PreparationData* CurrentPreparation() { return g_preparation.value; }

void SetArgumentReader(absl::Status (*read)(std::string_view signature, std::vector<TypedValue>& arguments)) {
  g_read_arguments = read;
}

unsigned RandomSeed() {
  unsigned seed = 0;
  // Without getrandom(2), which a filter may forbid: the numbers still differ from process to process.
  if (!FillRandom(&seed, sizeof(seed)).ok()) seed = static_cast<unsigned>(absl::GetCurrentTimeNanos() ^ OwnProcessNumber());
  return seed;
}

void SeedRandom(unsigned seed) {
  // Through a pointer that is bound when the program is loaded, not looked up in each forked child.
  static void (*volatile const kSeed)(unsigned) = std::srand;
  kSeed(seed);
}

void FailBootstrap(int setup_handle, const absl::Status& status) {
  const std::string text = absl::StrCat("brood: bootstrap: ", status.message(), "\n");
  std::fwrite(text.data(), 1, text.size(), stderr);
  SetupMessage message;
  message.kind = SetupKind::kFailed;
  Copy("bootstrap", message.step, sizeof(message.step));
  Copy(status.message(), message.detail, sizeof(message.detail));
  ReportSetup(setup_handle, message);
  std::fflush(stderr);
  EndOwnProcess(kBootstrapFailedCode);
}

namespace {

[[gnu::noinline]] void TakeAuthKey(const PreparationData& preparation, int setup_handle) {
  const absl::StatusOr<AuthKey> key = AuthKey::FromBytes(preparation.auth_key);
  if (!key.ok()) FailBootstrap(setup_handle, key.status());
  SetCurrentAuthKey(*key);
}

}  // namespace

void RunChild(const PreparationData& preparation, ProcessData&& process) noexcept {
  g_preparation.value = &preparation;
  // Stays open: it ends when the guardian does, or the parent. Not for a program that the target executes.
  if (process.setup_handle >= 0) KeepFromChildren(process.setup_handle);
  SetCurrentProcess(preparation, process, ParentSentinel(process));
  LogToStderr(static_cast<LogLevel>(preparation.log_level));
  if (!preparation.name.empty()) SetOwnProcessName(preparation.name);
  if (!preparation.auth_key.empty()) TakeAuthKey(preparation, process.setup_handle);
  SetPluginFinder(FindPluginTarget);
  const bool plugin = SplitPluginTarget(process.target).has_value();
  if (plugin) TellOfExitWhileLoading(process.setup_handle);
  const absl::StatusOr<const TargetEntry*> entry = FindTarget(process.target);
  if (!entry.ok()) FailBootstrap(process.setup_handle, entry.status());
  if (const absl::Status adopted = AdoptArgumentHandles(process); !adopted.ok()) {
    FailBootstrap(process.setup_handle, adopted);
  }
  const bool alone = process.arguments.empty() && process.setup_handle < 0 && process.result_handle < 0 && (*entry)->call != nullptr;
  absl::StatusOr<BoundTarget> target = alone ? BindAlone(*entry) : Bind(**entry, process.arguments);
  if (!target.ok()) {
    FailBootstrap(process.setup_handle, Annotate(target.status(), absl::StrCat("target ", process.target)));
  }
  process.arguments = {};
  if (!ReportSetup(process.setup_handle, SetupMessage())) EndOwnProcess(kBootstrapFailedCode);  // Nobody is there to run for.
  alone && !plugin && !HasHooksAfterFork() ? CatchExitAsPrepared() : CatchExit();
  if (LogsAt(LogLevel::kInfo)) Log(LogLevel::kInfo, absl::StrCat("child process calling ", process.target));
  Ending ending = RunTarget(*target, process);
  // The arguments' destructors run before the finalizers. Without a text, for which there would be memory.
  target = absl::Status(absl::StatusCode::kUnknown, "");
  const int code = LeaveResult(process, ending);
  EndProcess(code);
}

}  // namespace internal
}  // namespace brood
