// From options to a child that runs in its job.

#include "launcher/launch_windows.h"

#include <windows.h>

#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "base/windows_path.h"
#include "base/windows_text.h"
#include "bootstrap/current_process.h"
#include "launcher/command_line_windows.h"
#include "launcher/environment_windows.h"
#include "launcher/server_policy.h"
#include "launcher/stdio_windows.h"
#include "launcher/time_limits_windows.h"
#include "sandbox/app_container_windows.h"
#include "sandbox/mitigations_windows.h"
#include "sandbox/token_windows.h"
#include "sandbox/windows_layers.h"

namespace brood::internal {
namespace {

// The list that CreateProcessW takes of what it does beyond its parameters.
class Attributes {
 public:
  explicit Attributes(DWORD count) {
    SIZE_T size = 0;
    InitializeProcThreadAttributeList(nullptr, count, 0, &size);
    memory_.resize(size);
    if (InitializeProcThreadAttributeList(get(), count, 0, &size)) initialized_ = true;
  }
  ~Attributes() {
    if (initialized_) DeleteProcThreadAttributeList(get());
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;

  // `handles` must stay where they are until the child is born.
  absl::Status Set(DWORD_PTR attribute, std::vector<HANDLE>& handles, std::string_view name) {
    if (!initialized_) return LastErrorStatus("InitializeProcThreadAttributeList");
    if (!UpdateProcThreadAttribute(get(), 0, attribute, handles.data(), handles.size() * sizeof(HANDLE), nullptr, nullptr)) {
      return LastErrorStatus("UpdateProcThreadAttribute", name);
    }
    return absl::OkStatus();
  }

  absl::Status Set(DWORD_PTR attribute, uint64_t& value, std::string_view name) {
    if (!UpdateProcThreadAttribute(get(), 0, attribute, &value, sizeof(value), nullptr, nullptr)) {
      return LastErrorStatus("UpdateProcThreadAttribute", name);
    }
    return absl::OkStatus();
  }

  LPPROC_THREAD_ATTRIBUTE_LIST get() { return reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory_.data()); }

 private:
  std::vector<char> memory_;
  bool initialized_ = false;
};

absl::Status CheckInherited(const InheritedFd& inherited) {
  const std::string name = absl::StrCat("handle ", inherited.fd);
  DWORD flags = 0;
  if (inherited.fd < 0 || !GetHandleInformation(HandleOf(inherited.fd), &flags)) {
    return WindowsStatus(ERROR_INVALID_HANDLE, "inherited:", name);
  }
  if ((flags & HANDLE_FLAG_INHERIT) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("inherited: ", name, " is not inheritable; create it so, or call "
                                                   "SetHandleInformation with HANDLE_FLAG_INHERIT"));
  }
  if (inherited.child_fd != inherited.fd && inherited.child_fd != -1) {
    return absl::InvalidArgumentError(absl::StrCat("inherited: ", name, " has the same value in the child, and cannot be ",
                                                   inherited.child_fd, " there"));
  }
  return absl::OkStatus();
}

SetupFailed ExecFailed(const absl::Status& status, DWORD error) {
  return {.step = "exec", .error_number = static_cast<int>(error), .detail = std::string(status.message())};
}

class Birth {
 public:
  Birth(const LaunchOptions& options, WindowsTarget target)
      : options_(options), target_(std::move(target)), state_(std::make_shared<WindowsState>()) {}

  absl::StatusOr<std::shared_ptr<WindowsState>> Run() {
    if (!options_.server.empty()) return PolicyOfServer(options_.server).status();
    if (!options_.copy_in.empty() || !options_.copy_out.empty()) {
      return absl::UnimplementedError("copy-in, copy-out: not on Windows, where the child has the caller's files");
    }
    state_->name = options_.name.empty() && !options_.argv.empty() ? options_.argv[0] : options_.name;
    state_->daemon = options_.daemon.value_or(CurrentProcess().daemon);
    state_->is_function = !target_.executable.empty();
    state_->policy = options_.policy;
    state_->tree_end = options_.tree_end;
    state_->setup = std::move(target_.setup);
    BROOD_RETURN_IF_ERROR(PrepareTexts());
    BROOD_RETURN_IF_ERROR(FindExecutable());
    if (state_->outcome.has_value()) return state_;
    BROOD_RETURN_IF_ERROR(PrepareHandles());
    if (options_.policy != nullptr) plan_ = options_.policy->platform();
    LayerChecks checks;
    BROOD_ASSIGN_OR_RETURN(state_->job, Job::Create(plan_.job, &checks));
    if (!Kept(checks)) return state_;
    BROOD_RETURN_IF_ERROR(Create());
    return state_;
  }

 private:
  absl::Status PrepareTexts() {
    if (options_.argv.empty() || options_.argv[0].empty()) return absl::InvalidArgumentError("argv: must name a program");
    BROOD_ASSIGN_OR_RETURN(command_line_, CommandLine(options_.argv));
    const EnvironmentBase base = options_.environment_base.value_or(
        options_.policy != nullptr ? options_.policy->policy().environment : EnvironmentBase::kInherit);
    BROOD_ASSIGN_OR_RETURN(environment_, MakeEnvironment(base, options_.env));
    BROOD_ASSIGN_OR_RETURN(directory_, ToWide(options_.cwd, "cwd"));
    if (const size_t length = directory_.empty() ? 0 : WholeLength(directory_); length > kMaxCurrentFolder) {
      return absl::InvalidArgumentError(absl::StrCat("cwd ", options_.cwd, ": it has ", length, " characters, and Windows takes ",
                                                     kMaxCurrentFolder, " for a current folder; start the program elsewhere, and name "
                                                     "the folder in an argument"));
    }
    return absl::OkStatus();
  }

  absl::Status FindExecutable() {
    if (target_.executable.empty()) {
      absl::StatusOr<std::wstring> found = FindProgram(options_.argv[0], environment_, directory_);
      if (absl::IsNotFound(found.status()) || absl::IsPermissionDenied(found.status())) {
        const DWORD error = absl::IsNotFound(found.status()) ? ERROR_FILE_NOT_FOUND : ERROR_ACCESS_DENIED;
        state_->outcome.emplace().ending = ExecFailed(absl::UnknownError(options_.argv[0]), error);
        return absl::OkStatus();
      }
      if (!found.ok()) return found.status();
      target_.executable = *std::move(found);
    } else if (IsFolder(target_.executable)) {
      state_->outcome.emplace().ending = ExecFailed(absl::UnknownError(ToUtf8(target_.executable)), ERROR_ACCESS_DENIED);
      return absl::OkStatus();
    }
    return CheckNoBatchFile(target_.executable);
  }

  absl::Status PrepareHandles() {
    BROOD_RETURN_IF_ERROR(PrepareStdio(options_, &stdio_));
    BROOD_RETURN_IF_ERROR(LimitOutput());
    std::set<int> listed;  // One that is there twice makes CreateProcessW fail.
    for (const UniqueFd& handle : stdio_.child) listed.insert(handle.get());
    for (const UniqueFd& handle : target_.handles) listed.insert(handle.get());
    for (const InheritedFd& inherited : options_.inherited) {
      BROOD_RETURN_IF_ERROR(CheckInherited(inherited));
      listed.insert(inherited.fd);
    }
    for (const int handle : listed) inherited_.push_back(HandleOf(handle));
    return absl::OkStatus();
  }

  absl::Status LimitOutput() {
    if (options_.policy == nullptr || !options_.policy->limits().output_bytes) return absl::OkStatus();
    state_->output = std::make_unique<OutputPump>(*options_.policy->limits().output_bytes);
    BROOD_ASSIGN_OR_RETURN(stdio_.child[1], state_->output->Through(std::move(stdio_.child[1])));
    if (options_.stderr_spec.kind == Stdio::Kind::kMerge) {
      BROOD_ASSIGN_OR_RETURN(stdio_.child[2], Inheritable(stdio_.child[1].get()));
    } else {
      BROOD_ASSIGN_OR_RETURN(stdio_.child[2], state_->output->Through(std::move(stdio_.child[2])));
    }
    return absl::OkStatus();
  }

  // Whether all is as the policy tells; else the outcome says which layer is not. What was asked of this machine before may
  // have become otherwise.
  bool Kept(const LayerChecks& checks) {
    for (const auto& [layer, check] : checks) {
      const bool told = options_.policy->enforced().count(layer) != 0;
      if (check.ok() || !told) continue;
      state_->outcome.emplace().ending = SetupFailed{.step = std::string(LayerName(layer)),
                                                     .error_number = 0,
                                                     .detail = absl::StrCat(check.message(), "; --allow-weaker ", LayerName(layer),
                                                                            " goes without")};
      state_->outcome->start = absl::Now();
      return false;
    }
    return true;
  }

  // Of a process that has not run yet. False if it is not what was asked for; it is gone then.
  bool KeptByChild(HANDLE process) {
    LayerChecks checks;
    if (plan_.token.any()) checks = CheckTokenOf(FdOf(process), plan_.token);
    if (container_.has_value()) {
      const absl::Status inside = container_->Check(FdOf(process));
      for (const Layer layer : {Layer::kNet, Layer::kMount}) {
        if (options_.policy->enforced().count(layer) != 0) checks[layer] = inside;
      }
    }
    if (plan_.mitigates && CheckMitigations(FdOf(process)).ok()) state_->enforced_at_birth[Layer::kSeccomp] = LayerByWhat(Layer::kSeccomp);
    if (Kept(checks)) return true;
    (void)state_->job.Terminate(kLeftOverCode);
    WaitForSingleObject(process, INFINITE);
    return false;
  }

  // False if it was told as enforced, and is not to be had; where its absence is accepted, the child goes without.
  bool Contain(Attributes& attributes) {
    absl::StatusOr<AppContainer> container = AppContainer::Create();
    absl::Status added = container.status();
    if (added.ok()) {
      container_.emplace(*std::move(container));
      added = container_->AddTo(attributes.get());
      if (!added.ok()) container_.reset();
    }
    return Kept({{Layer::kNet, added}});
  }

  // What of the request, and not of the program, a refusal may be about.
  std::string AskedBesides(bool token) const {
    std::string text;
    std::vector<std::string_view> names;
    if (plan_.token.drops_privileges) names.push_back(LayerName(Layer::kCapabilities));
    if (plan_.token.low_integrity) names.push_back(LayerName(Layer::kNoNewPrivs));
    if (token) absl::StrAppend(&text, ", with a restricted token (", absl::StrJoin(names, ", "), ")");
    if (container_.has_value()) absl::StrAppend(&text, ", in an AppContainer (", LayerName(Layer::kNet), ")");
    return text;
  }

  absl::Status Create() {
    std::vector<HANDLE> jobs = {HandleOf(state_->job.get())};
    Attributes attributes(4);
    // The child has these handles and no other. All of ours that are inheritable would go down without the list.
    BROOD_RETURN_IF_ERROR(attributes.Set(PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherited_, "the list of handles"));
    // Born in its job: it has no moment in which it could start something outside.
    BROOD_RETURN_IF_ERROR(attributes.Set(kJobList, jobs, "the job"));
    uint64_t mitigations = Mitigations();
    // It is the weaker form of a layer whose absence was accepted: a system that refuses it goes without, and says so.
    if (plan_.mitigates) (void)attributes.Set(PROC_THREAD_ATTRIBUTE_MITIGATION_POLICY, mitigations, "mitigation policies");
    if (plan_.contained && !Contain(attributes)) return absl::OkStatus();
    UniqueFd token;
    const TokenLimits made = container_.has_value() ? TokenInContainer(plan_.token) : plan_.token;
    if (made.any()) {
      BROOD_ASSIGN_OR_RETURN(token, MakeToken(made));
    }
    STARTUPINFOEXW startup = {};
    startup.StartupInfo.cb = sizeof(startup);
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    startup.StartupInfo.hStdInput = HandleOf(stdio_.child[0].get());
    startup.StartupInfo.hStdOutput = HandleOf(stdio_.child[1].get());
    startup.StartupInfo.hStdError = HandleOf(stdio_.child[2].get());
    startup.lpAttributeList = attributes.get();
    std::wstring block = EnvironmentBlock(environment_);
    const std::wstring program = AnyLength(target_.executable);
    PROCESS_INFORMATION born = {};
    state_->start = absl::Now();
    // Looked at before its first instruction.
    const bool looked_at = plan_.token.any() || plan_.mitigates || container_.has_value();
    const DWORD flags = CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT | (looked_at ? CREATE_SUSPENDED : 0);
    const wchar_t* const directory = directory_.empty() ? nullptr : directory_.c_str();
    const auto create = [&] {
      std::wstring line = command_line_;  // It may be written to.
      return token.valid() ? CreateProcessAsUserW(HandleOf(token.get()), program.c_str(), line.data(), nullptr, nullptr, TRUE, flags,
                                                  block.data(), directory, &startup.StartupInfo, &born)
                           : CreateProcessW(program.c_str(), line.data(), nullptr, nullptr, TRUE, flags, block.data(), directory,
                                            &startup.StartupInfo, &born);
    };
    BOOL created = create();
    // Seen under Wine 8 only, once in some thousand starts on a loaded machine; why is not known. CreateProcess has said that there is
    // no process, so that another try starts none twice.
    for (int again = 0; again < 2 && !created && GetLastError() == ERROR_INTERNAL_ERROR; ++again) created = create();
    if (!created) {
      DWORD error = GetLastError();
      // Wine 8 looks for a path that it has cut off: what is there is not missing.
      if (error == ERROR_FILE_NOT_FOUND && program.size() > MAX_PATH && GetFileAttributesW(program.c_str()) != INVALID_FILE_ATTRIBUTES) {
        error = ERROR_FILENAME_EXCED_RANGE;
      }
      const std::string path = absl::StrCat(ToUtf8(target_.executable), AskedBesides(token.valid()));
      // ERROR_DIRECTORY is told of the folder, all else of the program: of one that is a file, and of one that is not there.
      if (error == ERROR_DIRECTORY) {
        const absl::Status status = WindowsStatus(error, "cwd", options_.cwd);
        return GetFileAttributesW(directory_.c_str()) == INVALID_FILE_ATTRIBUTES ? absl::NotFoundError(status.message()) : status;
      }
      if (error == ERROR_INVALID_PARAMETER) return WindowsStatus(error, "CreateProcess", path);
      state_->outcome.emplace().ending = ExecFailed(absl::UnknownError(path), error);
      state_->outcome->start = state_->start;
      return absl::OkStatus();
    }
    const UniqueFd thread = Own(born.hThread);
    UniqueFd process = Own(born.hProcess);
    stdio_.child[1].reset();  // Pipes end with the child.
    stdio_.child[2].reset();
    if (looked_at) {
      if (!KeptByChild(born.hProcess)) return absl::OkStatus();
      if (ResumeThread(born.hThread) == static_cast<DWORD>(-1)) return LastErrorStatus("ResumeThread");
    }
    state_->sentinel = std::move(process);
    state_->pid = static_cast<int>(born.dwProcessId);
    state_->captured[0] = std::move(stdio_.captured[0]);
    state_->captured[1] = std::move(stdio_.captured[1]);
    state_->keep_bytes[0] = options_.stdout_spec.capture_bytes != 0 ? options_.stdout_spec.capture_bytes : kDefaultCapture;
    state_->keep_bytes[1] = options_.stderr_spec.capture_bytes != 0 ? options_.stderr_spec.capture_bytes : kDefaultCapture;
    if (!state_->is_function) state_->started = true;
    if (state_->output != nullptr) BROOD_RETURN_IF_ERROR(state_->output->Start(state_->job.get(), kOutputCode));
    if (options_.policy == nullptr) return absl::OkStatus();
    const Limits& limits = options_.policy->limits();
    if (limits.cpu_time.has_value()) BROOD_RETURN_IF_ERROR(StartCpuTime(*state_, *limits.cpu_time));
    return limits.wall_time.has_value() ? StartWallTime(*state_, *limits.wall_time) : absl::OkStatus();
  }

  static constexpr uint64_t kDefaultCapture = 16u << 20;

  // ProcThreadAttributeValue(13, FALSE, TRUE, FALSE), of Windows 10; mingw-w64 10 lacks the name.
  static constexpr DWORD_PTR kJobList = 0x0002000D;

  const LaunchOptions& options_;
  PlatformPlan plan_;
  WindowsTarget target_;
  std::shared_ptr<WindowsState> state_;
  std::optional<AppContainer> container_;
  std::wstring command_line_;
  Environment environment_;
  std::wstring directory_;
  PreparedStdio stdio_;
  std::vector<HANDLE> inherited_;
};

}  // namespace

absl::StatusOr<UniqueFd> Inheritable(int fd, uint32_t access) {
  HANDLE copy = nullptr;
  if (fd < 0 || !DuplicateHandle(GetCurrentProcess(), HandleOf(fd), GetCurrentProcess(), &copy, access, TRUE,
                                 access == 0 ? DUPLICATE_SAME_ACCESS : 0)) {
    return fd < 0 ? WindowsStatus(ERROR_INVALID_HANDLE, "DuplicateHandle") : LastErrorStatus("DuplicateHandle");
  }
  return Own(copy);
}

absl::StatusOr<std::shared_ptr<WindowsState>> LaunchOnWindows(const LaunchOptions& options, WindowsTarget target) {
  return Birth(options, std::move(target)).Run();
}

absl::StatusOr<std::shared_ptr<ProcessState>> LaunchProgram(const LaunchOptions& options) {
  return LaunchOnWindows(options, {});
}

}  // namespace brood::internal
