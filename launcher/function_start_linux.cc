#include <sys/mman.h>
#include <unistd.h>

#include <ext/stdio_sync_filebuf.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/thread_count.h"
#include "base/unique_fd.h"
#include "bootstrap/after_fork.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/current_process.h"
#include "bootstrap/executable.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/inherited_streams.h"
#include "bootstrap/log.h"
#include "bootstrap/plugin.h"
#include "bootstrap/registry.h"
#include "bootstrap/reseed.h"
#include "bootstrap/run_child.h"
#include "ipc/auth_key.h"
#include "launcher/child_message.h"
#include "launcher/function_request.h"
#include "launcher/function_start.h"
#include "launcher/launch_internal.h"
#include "launcher/remote_launch.h"
#include "launcher/served_start.h"
#include "serialization/framing.h"

namespace brood::internal {
namespace {

// Whoever holds a stream's lock now is not waited for: the child empties its copy of the buffer in any case.
void FlushUnlessLocked(FILE* stream) {
  if (ftrylockfile(stream) != 0) return;
  fflush_unlocked(stream);
  funlockfile(stream);
}

// Without std::ios::sync_with_stdio a stream has a buffer of its own, which the child would write again at its end. With
// it there is nothing to do, and asking would wait for the lock of stdout.
void FlushOwnBuffer(std::ostream& stream) {
  if (dynamic_cast<__gnu_cxx::stdio_sync_filebuf<char>*>(stream.rdbuf()) != nullptr) return;
  try {
    stream.flush();
  } catch (...) {  // It was asked for by exceptions(); the state says it too.
  }
}

absl::StatusOr<UniqueFd> ChildMessage(const PreparationData& preparation, const ProcessData& process) {
  std::string message = FrameMessage(MessageType::kPreparationData, EncodePreparationData(preparation));
  message += FrameMessage(MessageType::kProcessData, EncodeProcessData(process));
  return PrefilledMessage(message);
}

absl::StatusOr<Process> Spawn(const ContextOptions& context, LaunchOptions options, const PreparationData& preparation,
                              const ProcessData& process) {
  BROOD_ASSIGN_OR_RETURN(const UniqueFd executable, OpenExecutable("spawn", context.executable));
  BROOD_ASSIGN_OR_RETURN(const UniqueFd handle, ChildMessage(preparation, process));
  options.inherited.push_back({.fd = handle.get(), .child_fd = kMessageFd});
  options.argv = {options.name, kBootstrapFlag, absl::StrCat(kMessageFd), absl::StrCat(getpid())};
  LaunchTarget target;
  target.kind = LaunchTarget::Kind::kExecutable;
  target.executable_fd = executable.get();
  target.setup_child_fd = kSetupFd;
  return LaunchInternal(options, target);
}

absl::StatusOr<Process> Serve(ServedStart& served, LaunchOptions options, const PreparationData& preparation,
                              const ProcessData& process) {
  BROOD_ASSIGN_OR_RETURN(const UniqueFd handle, ChildMessage(preparation, process));
  options.inherited.push_back({.fd = handle.get(), .child_fd = kMessageFd});
  LaunchTarget target;
  target.kind = LaunchTarget::Kind::kFunction;
  target.setup_child_fd = kSetupFd;
  target.awaits_word = served.is_guess();
  return LaunchInternal(options, target, [&](const LaunchRecord& record) { return served.Launch(record); });
}

// What a forked child calls at its end and we have not called yet would be looked up by the dynamic linker in each child
// anew, through tables whose pages are not mapped there: some twenty page faults each time. ld.so(8), LD_BIND_NOW.
void BindWhatChildrenCall() {
  static const bool bound = [] {
    EncodeResult({.value = TypedValue(), .error = std::nullopt});
    if (ftrylockfile(stderr) != 0) return true;
    __gnu_cxx::stdio_sync_filebuf<char> buffer(stderr);
    std::ostream tied(&buffer);
    std::ostream stream(&buffer);
    stream.tie(&tied);
    stream.setf(std::ios_base::unitbuf);
    stream.flush();
    funlockfile(stderr);
    return true;
  }();
  (void)bound;
}

struct ForkedChild {
  std::optional<unsigned> random_seed;  // Nothing where another thread may hold the C library's lock of its numbers.
  const PreparationData* preparation = nullptr;
  const ProcessData* process = nullptr;
};

void RunForked(void* arg, int /*setup_fd*/) {
  // Nothing of the parent's: neither text that it will print itself, nor its finalizers.
  ForgetInheritedText();
  ForgetFinalizers();
  const auto* const child = static_cast<const ForkedChild*>(arg);
  if (child->random_seed.has_value()) {
    SeedRandom(*child->random_seed);
    ReseedGenerators();
  }
  RunAfterFork();
  RunChild(*child->preparation, ProcessData(*child->process));
}

absl::StatusOr<Process> Fork(const ContextOptions& context, const LaunchOptions& options,
                             const PreparationData& preparation, const ProcessData& process) {
  if (context.fork_with_threads == ForkWithThreads::kRefuse) {
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
  FlushOwnBuffer(std::cout);
  FlushOwnBuffer(std::clog);
  BindWhatChildrenCall();
  ForkedChild forked;
  if (context.fork_with_threads == ForkWithThreads::kRefuse) {
    forked.random_seed = RandomSeed();
    FindGenerators();
  }
  forked.preparation = &preparation;
  forked.process = &process;
  LaunchTarget target;
  target.kind = LaunchTarget::Kind::kFunction;
  target.setup_child_fd = kSetupFd;
  target.run = RunForked;
  target.arg = &forked;
  return LaunchInternal(options, target);
}

absl::Status CheckInherited(const LaunchOptions& options) {
  for (const InheritedFd& inherited : options.inherited) {
    if (inherited.child_fd >= kMessageFd && inherited.child_fd <= kResultFd) {
      return absl::InvalidArgumentError(absl::StrCat("inherited: child descriptor ", inherited.child_fd,
                                                     " is one of brood's own, 3 to 5; ask for 6 or above"));
    }
  }
  return absl::OkStatus();
}

// Adds the handles of the arguments to what the child inherits, above all other numbers.
absl::Status PassHandles(const WireHandles& handles, LaunchOptions& options, ProcessData& process) {
  int number = kResultFd;
  for (const InheritedFd& inherited : options.inherited) number = std::max(number, inherited.child_fd);
  for (const auto& handle : handles) {
    if (!handle->valid()) {
      return absl::ResourceExhaustedError("an argument's handle could not be duplicated; see the limit of open files");
    }
    process.argument_handles.push_back(++number);
    options.inherited.push_back({.fd = handle->get(), .child_fd = number});
  }
  return absl::OkStatus();
}

// A server of this machine's, which has the program and the targets.
absl::StatusOr<Process> StartOnServer(const FunctionStart& start, LaunchOptions options, const PreparationData& preparation,
                                      const ProcessData& process, UniqueFd result) {
  BROOD_ASSIGN_OR_RETURN(const UniqueFd message, ChildMessage(preparation, process));
  std::erase_if(options.inherited, [&](const InheritedFd& one) { return one.child_fd == kResultFd; });
  const RemoteFunction function = {.message = message.get(), .result = result.get()};
  BROOD_ASSIGN_OR_RETURN(Process child, LaunchFunctionOnServer(options, function));
  ExpectResult(child, std::move(result), start.context.max_result_bytes);
  if (start.setup_failures == SetupFailures::kStatus) BROOD_RETURN_IF_ERROR(AwaitFunction(child));
  return child;
}

// None: `may_guess`, and the guess of the server was wrong, so that nothing has run.
absl::StatusOr<std::optional<Process>> StartOnce(const FunctionStart& start, const LaunchOptions& options, bool may_guess) {
  const auto& [method, context, target, arguments, number, setup_failures] = start;
  BROOD_RETURN_IF_ERROR(CheckFunction(start, options));
  BROOD_RETURN_IF_ERROR(CheckInherited(options));
  // What was said before the birth stands before what the child says, with each start method. A fork needs it besides.
  FlushUnlessLocked(stdout);
  FlushUnlessLocked(stderr);
  BROOD_ASSIGN_OR_RETURN(const AuthKey key, CurrentAuthKey());
  const PreparationData preparation = MakePreparation(start, options, key);
  UniqueFd result(memfd_create("brood-result", MFD_CLOEXEC));
  if (!result.valid()) return ErrnoStatus(errno, "memfd_create", "for the result");

  ProcessData process;
  process.target = target;
  process.setup_handle = kSetupFd;
  process.result_handle = kResultFd;
  process.max_result_bytes = context.max_result_bytes;
  process.daemon = options.daemon.value_or(false);
  LaunchOptions launch = options;
  launch.inherited.push_back({.fd = result.get(), .child_fd = kResultFd});

  // In the message, and in a fork too, our numbers mean nothing: the child sees placeholders and its own numbers. Ours
  // stay open until it has those.
  std::vector<TypedValue> packed = arguments;
  const WireHandles handles = ReleaseArgumentHandles(packed);
  process.arguments = std::move(packed);
  BROOD_RETURN_IF_ERROR(PassHandles(handles, launch, process));
  for (const InheritedFd& inherited : launch.inherited) process.handles.emplace_back(inherited.child_fd, "inherited");

  absl::StatusOr<Process> child = absl::InternalError("unknown start method");
  if (!options.server.empty()) return StartOnServer(start, std::move(launch), preparation, process, std::move(result));
  if (method == StartMethod::kSpawn) child = Spawn(context, std::move(launch), preparation, process);
  if (method == StartMethod::kFork) child = Fork(context, launch, preparation, process);
  std::optional<ServedStart> served;
  if (method == StartMethod::kForkServer) {
    if (may_guess) served = ServedStart::Guess(context);
    if (!served.has_value()) {
      BROOD_ASSIGN_OR_RETURN(served, ServedStart::Prepare(context));
    }
    child = Serve(*served, std::move(launch), preparation, process);
    if (served->is_guess() && (child.ok() ? !served->Confirm(*child) : absl::IsUnavailable(child.status()))) return std::nullopt;
  }
  if (!child.ok()) return child;
  ExpectResult(*child, std::move(result), context.max_result_bytes);
  if (served.has_value()) BROOD_RETURN_IF_ERROR(served->AwaitGuardian(*child));
  const absl::Status ready = AwaitFunction(*child);
  if (ready.ok() || setup_failures == SetupFailures::kStatus || ServedStart::NeedsNewServer(ready)) {
    BROOD_RETURN_IF_ERROR(ready);
    return child;
  }
  const absl::StatusOr<Outcome> outcome = child->Join(absl::ZeroDuration());
  if (!outcome.ok() || !std::holds_alternative<SetupFailed>(outcome->ending)) return ready;
  return child;
}

}  // namespace

absl::Status StartServerOf(const ContextOptions& context) {
  BROOD_ASSIGN_OR_RETURN(const ServedStart start, ServedStart::Prepare(context));
  return start.StartServer();
}

absl::StatusOr<ServerReport> ServerReportOf(const ContextOptions& context) {
  BROOD_ASSIGN_OR_RETURN(const ServedStart start, ServedStart::Prepare(context));
  return start.Report();
}

absl::StatusOr<Process> FunctionStart::operator()(const LaunchOptions& options) {
  if (LogsAt(LogLevel::kInfo)) Log(LogLevel::kInfo, absl::StrCat("starting ", options.name, ": ", target));
  absl::StatusOr<std::optional<Process>> child = StartOnce(*this, options, true);
  if (child.ok() && !child->has_value()) child = StartOnce(*this, options, false);
  if (method == StartMethod::kForkServer && ServedStart::NeedsNewServer(child.status())) {
    // Somebody with more rights has changed the caller since its server was started; what is started now inherits that.
    BROOD_ASSIGN_OR_RETURN(const ServedStart served, ServedStart::Prepare(context));
    served.ReplaceServer();
    child = StartOnce(*this, options, false);
  }
  if (!child.ok()) return child.status();
  return **std::move(child);
}

}  // namespace brood::internal
