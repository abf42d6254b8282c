// Spawn: the only method that Windows has. The shape is that of CPython's popen_spawn_win32: the own executable again, with a
// command line that names handles, and the messages through a pipe. Here all handles go down by an explicit list, so that the
// child need not open its parent, which whoever may duplicate handles out of a process in effect owns.

#include <windows.h>

#include <cstdio>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "base/own_process.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "base/windows_text.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/log.h"
#include "bootstrap/parent_handle.h"
#include "ipc/auth_key.h"
#include "launcher/function_request.h"
#include "launcher/function_start.h"
#include "launcher/launch_windows.h"
#include "launcher/process_state.h"
#include "launcher/scratch_file_windows.h"
#include "serialization/framing.h"

namespace brood::internal {
namespace {

struct PipeEnds {
  UniqueFd reader;
  UniqueFd writer;
};

absl::StatusOr<PipeEnds> NewPipe(DWORD size) {
  HANDLE reader = nullptr;
  HANDLE writer = nullptr;
  if (!CreatePipe(&reader, &writer, nullptr, size)) return LastErrorStatus("CreatePipe");
  return PipeEnds{.reader = Own(reader), .writer = Own(writer)};
}

// The program that has the targets.
absl::StatusOr<std::wstring> Executable(const ContextOptions& context) {
  if (!context.executable.empty()) return ToWide(context.executable, "spawn: executable");
  if (!BootstrapWasCalled()) {
    return absl::FailedPreconditionError(
        "spawn: this program has not finished its own start; call brood::Bootstrap(argc, argv) first in main, and start "
        "processes after it");
  }
  std::wstring path(512, L'\0');
  for (;;) {
    const DWORD size = GetModuleFileNameW(nullptr, path.data(), static_cast<DWORD>(path.size()));
    if (size == 0) return LastErrorStatus("GetModuleFileName", "spawn");
    if (size < path.size()) return path.substr(0, size);
    path.resize(2 * path.size());
  }
}

// A handle from which the child reads the messages and then the end, without anybody who must stay to write: a child that dies
// early, or reads nothing, holds up nobody.
absl::StatusOr<UniqueFd> ChildMessage(const PreparationData& preparation, const ProcessData& process) {
  std::string message = FrameMessage(MessageType::kPreparationData, EncodePreparationData(preparation));
  message += FrameMessage(MessageType::kProcessData, EncodeProcessData(process));
  UniqueFd from;
  constexpr size_t kSurelyFits = 4096;  // What a pipe that was asked to hold it takes without a reader.
  if (message.size() <= kSurelyFits) {
    BROOD_ASSIGN_OR_RETURN(PipeEnds pipe, NewPipe(kSurelyFits));
    DWORD written = 0;
    if (!WriteFile(HandleOf(pipe.writer.get()), message.data(), static_cast<DWORD>(message.size()), &written, nullptr) ||
        written != message.size()) {
      return LastErrorStatus("write", "the child's message");
    }
    from = std::move(pipe.reader);
  } else {
    BROOD_ASSIGN_OR_RETURN(from, ScratchFile());
    DWORD written = 0;
    if (!WriteFile(HandleOf(from.get()), message.data(), static_cast<DWORD>(message.size()), &written, nullptr) ||
        written != message.size() || !Rewind(from.get())) {
      return LastErrorStatus("write", "the child's message");
    }
  }
  return Inheritable(from.get());
}

class Spawn {
 public:
  Spawn(const FunctionStart& start, const LaunchOptions& options) : start_(start), options_(options) {}

  absl::StatusOr<Process> Run() {
    BROOD_ASSIGN_OR_RETURN(target_.executable, Executable(start_.context));
    BROOD_ASSIGN_OR_RETURN(const AuthKey key, CurrentAuthKey());
    const PreparationData preparation = MakePreparation(start_, options_, key);
    process_.target = start_.target;
    process_.max_result_bytes = start_.context.max_result_bytes;
    process_.daemon = options_.daemon.value_or(false);
    BROOD_ASSIGN_OR_RETURN(UniqueFd result, ScratchFile());
    BROOD_RETURN_IF_ERROR(MakeHandles(result.get()));
    BROOD_RETURN_IF_ERROR(PassArguments());
    BROOD_ASSIGN_OR_RETURN(UniqueFd message, ChildMessage(preparation, process_));
    LaunchOptions launch = options_;
    launch.argv = {ToUtf8(target_.executable), kBootstrapFlag, absl::StrCat(message.get(), ":", process_.setup_handle),
                   absl::StrCat(OwnProcessNumber())};
    target_.handles.push_back(std::move(message));
    BROOD_ASSIGN_OR_RETURN(std::shared_ptr<WindowsState> state, LaunchOnWindows(launch, std::move(target_)));
    state->name = options_.name;
    Process process = ProcessOf(std::move(state));
    ExpectResult(process, std::move(result), start_.context.max_result_bytes);
    return process;
  }

 private:
  // Of the set-up pipe, the result and the parent.
  absl::Status MakeHandles(int result) {
    BROOD_ASSIGN_OR_RETURN(PipeEnds setup, NewPipe(0));
    target_.setup = std::move(setup.reader);
    BROOD_ASSIGN_OR_RETURN(process_.setup_handle, Pass(setup.writer.get(), 0));
    BROOD_ASSIGN_OR_RETURN(process_.result_handle, Pass(result, 0));
    const UniqueFd self = Own(OpenProcess(SYNCHRONIZE, TRUE, GetCurrentProcessId()));
    if (!self.valid()) return LastErrorStatus("OpenProcess", "for the child to wait for");
    BROOD_ASSIGN_OR_RETURN(const int parent, Pass(self.get(), SYNCHRONIZE));
    process_.handles.emplace_back(parent, kParentHandle);
    return absl::OkStatus();
  }

  absl::Status PassArguments() {
    std::vector<TypedValue> packed = start_.arguments;
    const WireHandles handles = ReleaseArgumentHandles(packed);
    process_.arguments = std::move(packed);
    for (const auto& handle : handles) {
      if (!handle->valid()) return absl::ResourceExhaustedError("an argument's handle could not be duplicated");
      BROOD_ASSIGN_OR_RETURN(const int number, Pass(handle->get(), 0));
      process_.argument_handles.push_back(number);
    }
    return absl::OkStatus();
  }

  // The value in the child, which is that of the copy here.
  absl::StatusOr<int> Pass(int fd, uint32_t access) {
    BROOD_ASSIGN_OR_RETURN(UniqueFd copy, Inheritable(fd, access));
    target_.handles.push_back(std::move(copy));
    return target_.handles.back().get();
  }

  const FunctionStart& start_;
  const LaunchOptions& options_;
  WindowsTarget target_;
  ProcessData process_;
};

absl::Status NoSuchMethod(StartMethod method) {
  return absl::UnimplementedError(absl::StrCat(StartMethodName(method), ": Windows cannot fork; use spawn"));
}

}  // namespace

// There is no server, and so no sandbox but one of its own.
absl::StatusOr<Process> LaunchByForkServer(const ContextOptions& /*context*/, const LaunchOptions& options) {
  return Process::Launch(options);
}

absl::Status StartServerOf(const ContextOptions& /*context*/) { return NoSuchMethod(StartMethod::kForkServer); }

absl::StatusOr<ServerReport> ServerReportOf(const ContextOptions& /*context*/) { return NoSuchMethod(StartMethod::kForkServer); }

absl::StatusOr<Process> FunctionStart::operator()(const LaunchOptions& options) {
  if (method != StartMethod::kSpawn) return NoSuchMethod(method);
  if (LogsAt(LogLevel::kInfo)) Log(LogLevel::kInfo, absl::StrCat("starting ", options.name, ": ", target));
  BROOD_RETURN_IF_ERROR(CheckFunction(*this, options));
  // What was said before the birth stands before what the child says.
  std::fflush(stdout);
  std::fflush(stderr);
  BROOD_ASSIGN_OR_RETURN(Process process, Spawn(*this, options).Run());
  const absl::Status ready = AwaitFunction(process);
  if (ready.ok()) return process;
  if (setup_failures == SetupFailures::kStatus) return ready;
  const absl::StatusOr<Outcome> outcome = process.Join(absl::ZeroDuration());
  if (!outcome.ok() || !std::holds_alternative<SetupFailed>(outcome->ending)) return ready;
  return process;
}

}  // namespace brood::internal
