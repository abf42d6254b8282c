#include "launcher/context.h"

#include <fcntl.h>
#include <stdio_ext.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/thread_count.h"
#include "base/unique_fd.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/run_child.h"
#include "launcher/launch_internal.h"
#include "serialization/framing.h"

namespace brood {
namespace {

// Whoever holds a stream's lock now is not waited for: the child empties its copy of the buffer in any case.
void FlushUnlessLocked(FILE* stream) {
  if (ftrylockfile(stream) != 0) return;
  fflush_unlocked(stream);
  funlockfile(stream);
}

absl::Status WriteAt(int fd, std::string_view bytes) {
  off_t offset = 0;
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", "the child's message");
    offset += written;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// A handle from which the child reads `bytes` and then the end, without anybody who must stay to write: a child that
// dies early, or reads nothing, holds up nobody.
absl::StatusOr<UniqueFd> PrefilledMessage(std::string_view bytes) {
  constexpr size_t kSurelyFits = 4096;  // One page: what a pipe holds when its user is over the soft limit. pipe(7)
  int pipe_fds[2];
  if (bytes.size() <= kSurelyFits) {
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    UniqueFd reader(pipe_fds[0]);
    const UniqueFd writer(pipe_fds[1]);
    if (write(writer.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      return ErrnoStatus(errno, "write", "the child's message");
    }
    return reader;
  }
  UniqueFd memory(memfd_create("brood-message", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return ErrnoStatus(errno, "memfd_create");
  // pwrite leaves the offset, which the child shares, at the beginning.
  BROOD_RETURN_IF_ERROR(WriteAt(memory.get(), bytes));
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return ErrnoStatus(errno, "seal", "the child's message");
  }
  return memory;
}

struct ForkedChild {
  const PreparationData* preparation;
  const ProcessData* process;
};

void RunForked(void* arg, int /*setup_fd*/) {
  // Nothing of the parent's: neither text that it will print itself, nor its finalizers.
  __fpurge(stdin);
  __fpurge(stdout);
  __fpurge(stderr);
  internal::ForgetFinalizers();
  const auto* const child = static_cast<const ForkedChild*>(arg);
  internal::RunChild(*child->preparation, *child->process);
}

absl::Status CheckInherited(const LaunchOptions& options) {
  for (const InheritedFd& inherited : options.inherited) {
    if (inherited.child_fd >= internal::kMessageFd && inherited.child_fd <= internal::kResultFd) {
      return absl::InvalidArgumentError(absl::StrCat("inherited: child descriptor ", inherited.child_fd,
                                                     " is one of brood's own, 3 to 5; ask for 6 or above"));
    }
  }
  return absl::OkStatus();
}

// Adds the handles of the arguments to what the child inherits, above all other numbers.
absl::StatusOr<WireHandles> PassHandles(LaunchOptions& options, ProcessData& process) {
  WireHandles handles = ReleaseArgumentHandles(process.arguments);
  int number = internal::kResultFd;
  for (const InheritedFd& inherited : options.inherited) number = std::max(number, inherited.child_fd);
  for (const auto& handle : handles) {
    if (!handle->valid()) {
      return absl::ResourceExhaustedError("an argument's handle could not be duplicated; see the limit of open files");
    }
    process.argument_handles.push_back(++number);
    options.inherited.push_back({.fd = handle->get(), .child_fd = number});
  }
  return handles;
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

absl::Status ErrorOf(const ResultError& error) {
  if (error.type == "absl::Status") return error.status;
  std::string text = absl::StrCat(error.type, ": ", error.status.message());
  for (const ResultError* cause = error.cause.get(); cause != nullptr; cause = cause->cause.get()) {
    absl::StrAppend(&text, "; caused by ", cause->type, ": ", cause->status.message());
  }
  absl::Status status = absl::UnknownError(text);
  status.SetPayload(kExceptionTypeUrl, absl::Cord(error.type));
  if (!error.stack.empty()) status.SetPayload(kStackTraceUrl, absl::Cord(error.stack));
  return status;
}

}  // namespace

Context::Context(StartMethod method, ContextOptions options) : method_(method), options_(std::move(options)) {
  options_.max_argument_bytes = std::min(options_.max_argument_bytes, kMaxMessageBytes);
  options_.max_result_bytes = std::min(options_.max_result_bytes, kMaxMessageBytes);
}

absl::StatusOr<Process> Context::StartByName(const LaunchOptions& options, std::string_view target,
                                             std::vector<TypedValue> arguments) const {
  return StartWithResult(options, target, std::move(arguments), -1);
}

absl::StatusOr<CallResult> Context::CallByName(const LaunchOptions& options, std::string_view target,
                                               std::vector<TypedValue> arguments) const {
  const UniqueFd memory(memfd_create("brood-result", MFD_CLOEXEC));
  if (!memory.valid()) return ErrnoStatus(errno, "memfd_create");
  BROOD_ASSIGN_OR_RETURN(Process process, StartWithResult(options, target, std::move(arguments), memory.get()));
  CallResult result;
  BROOD_ASSIGN_OR_RETURN(result.outcome, process.Join());
  absl::StatusOr<std::optional<Result>> left = ReadResult(memory.get(), options_.max_result_bytes);
  const auto* const exited = std::get_if<Exited>(&result.outcome.ending);
  if (exited == nullptr) return result;
  if (!left.ok()) return Annotate(left.status(), "the child left a damaged result");
  if (!left->has_value()) return result;
  if ((*left)->error.has_value()) return ErrorOf(*(*left)->error);
  if (exited->code == 0) result.value = std::move((*left)->value);
  return result;
}

absl::StatusOr<Process> Context::StartWithResult(const LaunchOptions& options, std::string_view target,
                                                 std::vector<TypedValue> arguments, int result_fd) const {
  BROOD_RETURN_IF_ERROR(CheckInherited(options));
  if (method_ == StartMethod::kFork || options_.executable.empty()) {
    BROOD_RETURN_IF_ERROR(internal::FindTarget(target).status());
  }
  uint64_t argument_bytes = 0;
  for (const TypedValue& argument : arguments) argument_bytes += argument.bytes.size() + argument.type.size();
  if (argument_bytes > options_.max_argument_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("target ", target, ": its arguments take ", argument_bytes,
                                                   " bytes, ", options_.max_argument_bytes, " are allowed"));
  }
  const PreparationData preparation = {.name = options.name.empty() ? std::string(target) : options.name,
                                       .start_method = method_,
                                       .executable = options_.executable,
                                       .argv = {},
                                       .cwd = options.cwd,
                                       .environment = {},
                                       .log_level = options_.log_level,
                                       .plugin_path = options_.plugin_path,
                                       .preload = {},
                                       .auth_key = {}};
  ProcessData process;
  process.target = target;
  process.arguments = std::move(arguments);
  process.setup_handle = internal::kSetupFd;
  process.max_result_bytes = options_.max_result_bytes;
  process.daemon = options.daemon;
  LaunchOptions launch = options;
  launch.name = preparation.name;
  if (result_fd >= 0) {
    process.result_handle = internal::kResultFd;
    launch.inherited.push_back({.fd = result_fd, .child_fd = internal::kResultFd});
  }
  // Kept open until the child has its own. The child sees placeholders: in a fork, too, the parent's numbers mean nothing.
  BROOD_ASSIGN_OR_RETURN(const WireHandles kept, PassHandles(launch, process));
  for (const InheritedFd& inherited : launch.inherited) process.handles.emplace_back(inherited.child_fd, "inherited");
  switch (method_) {
    case StartMethod::kSpawn:
      return Spawn(std::move(launch), preparation, process);
    case StartMethod::kFork:
      return Fork(std::move(launch), preparation, process);
    case StartMethod::kForkServer:
      break;
  }
  return absl::UnimplementedError("start method forkserver: not there yet; use spawn or fork");
}

absl::StatusOr<Process> Context::Spawn(LaunchOptions options, const PreparationData& preparation,
                                       const ProcessData& process) const {
  if (options_.executable.empty() && !internal::BootstrapWasCalled()) {
    return absl::FailedPreconditionError(
        "spawn: this program has not finished its own start; call brood::Bootstrap(argc, argv) first in main, and "
        "start "
        "processes after it");
  }
  if (options_.executable.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("executable: contains a zero byte");
  }
  const std::string path = options_.executable.empty() ? "/proc/self/exe" : options_.executable;
  const UniqueFd executable(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!executable.valid()) return ErrnoStatus(errno, "open executable", path);
  std::string message = FrameMessage(MessageType::kPreparationData, EncodePreparationData(preparation));
  message += FrameMessage(MessageType::kProcessData, EncodeProcessData(process));
  BROOD_ASSIGN_OR_RETURN(const UniqueFd handle, PrefilledMessage(message));
  options.inherited.push_back({.fd = handle.get(), .child_fd = internal::kMessageFd});
  options.argv = {options.name, internal::kBootstrapFlag, absl::StrCat(internal::kMessageFd), absl::StrCat(getpid())};
  internal::LaunchTarget target;
  target.kind = internal::LaunchTarget::Kind::kExecutable;
  target.executable_fd = executable.get();
  target.setup_child_fd = internal::kSetupFd;
  BROOD_ASSIGN_OR_RETURN(Process child, LaunchInternal(options, target));
  BROOD_RETURN_IF_ERROR(AwaitStarted(child));
  return child;
}

absl::StatusOr<Process> Context::Fork(LaunchOptions options, const PreparationData& preparation,
                                      const ProcessData& process) const {
  if (options_.fork_with_threads == ForkWithThreads::kRefuse) {
    const absl::StatusOr<int> threads = ThreadCount();
    if (!threads.ok()) {
      return absl::Status(threads.status().code(),
                          absl::StrCat("fork: ", threads.status().message(), "; or say that the fork is safe"));
    }
    if (*threads > 1) {
      return absl::FailedPreconditionError(
          absl::StrCat("fork: this process has ", *threads, " threads, and a lock that one of them holds now would be ",
                       "held for ever in the child; use spawn, or say ForkWithThreads::kCallerSaysSafe"));
    }
  }
  FlushUnlessLocked(stdout);
  FlushUnlessLocked(stderr);
  ForkedChild forked = {.preparation = &preparation, .process = &process};
  internal::LaunchTarget target;
  target.kind = internal::LaunchTarget::Kind::kFunction;
  target.setup_child_fd = internal::kSetupFd;
  target.run = RunForked;
  target.arg = &forked;
  BROOD_ASSIGN_OR_RETURN(Process child, LaunchInternal(options, target));
  BROOD_RETURN_IF_ERROR(AwaitStarted(child));
  return child;
}

}  // namespace brood
