// The caller's half of a launch: everything that allocates is done here, before the guardian is born.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/slow_file.h"
#include "base/status.h"
#include "bootstrap/current_process.h"
#include "launcher/client_birth_child.h"
#include "launcher/environment.h"
#include "launcher/guarded_state.h"
#include "launcher/guardian_child.h"
#include "launcher/launch_internal.h"
#include "launcher/launch_record.h"
#include "launcher/light_guardian.h"
#include "launcher/process.h"
#include "launcher/read_only_files.h"
#include "launcher/remote_launch.h"
#include "launcher/slot_request.h"
#include "launcher/stack/stack_support.h"
#include "launcher/stack_room.h"
#include "launcher/stdio_linux.h"
#include "launcher/terminal_linux.h"
#include "launcher/tree_child.h"
#include "sandbox/cgroup.h"
#include "sandbox/linux_plan.h"
#include "sandbox/machine.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

using internal::LaunchTarget;
using internal::GuardedState;

std::vector<const char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

uint64_t Nanoseconds(const std::optional<absl::Duration>& duration) {
  return duration.has_value() ? static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Nanoseconds(*duration), 1)) : 0;
}

// Only a guardian does this, and the supervisor of a forkserver is none.
bool NeedsOwnGuardian(const LaunchRecord& record) {
  return record.input.sink >= 0 || record.streams[0].ends_sink || record.streams[1].ends_sink;
}

// A keeper has one child, but does not wait for who reads what that writes. The supervisor does.
bool KeeperPassesOn(const StreamRecord& stream) {
  struct stat about = {};
  if (stream.pipe < 0) return true;
  if (stream.ends_sink || stream.copy >= 0 || fstat(stream.sink, &about) != 0) return false;
  return S_ISREG(about.st_mode) || (S_ISCHR(about.st_mode) && about.st_rdev == makedev(1, 3));  // /dev/null. null(4)
}

constexpr size_t kMostInSlot = 200;  // Of the 253 descriptors of a message; the launch has some of its own.

// One launch being prepared. Lives until the guardian has its copy of everything.
class Preparation {
 public:
  Preparation(const LaunchOptions& options, const LaunchTarget& target, const brood::ForkElsewhere& fork,
              const internal::ClientBirth* birth = nullptr, const brood::LeaseKeeper& lease = nullptr)
      : options_(options), target_(target), fork_elsewhere_(fork), lease_keeper_(lease), birth_(birth), elsewhere_(fork != nullptr) {}

  absl::StatusOr<std::shared_ptr<GuardedState>> Launch() {
    BROOD_RETURN_IF_ERROR(Check());
    state_ = std::make_shared<GuardedState>();
    state_->name = options_.name.empty() && !options_.argv.empty() ? options_.argv[0] : options_.name;
    state_->policy = options_.policy;
    state_->daemon = options_.daemon.value_or(CurrentProcess().daemon);
    state_->is_function = target_.kind != LaunchTarget::Kind::kProgram;
    BROOD_RETURN_IF_ERROR(PrepareTexts());
    BROOD_RETURN_IF_ERROR(PrepareLimits());
    BROOD_RETURN_IF_ERROR(PrepareStdio(options_, record_.output_limited, &stdio_));
    BROOD_RETURN_IF_ERROR(PrepareTerminal());
    BROOD_RETURN_IF_ERROR(PrepareCopies());
    if (!ChooseSlot()) {
      // Only a slot is worth the way.
      if (target_.kind == LaunchTarget::Kind::kProgram) elsewhere_ = record_.target.awaits_word = target_.awaits_word = false;
      BROOD_RETURN_IF_ERROR(PrepareCgroups());
    }
    light_ = !elsewhere_ && internal::LightGuardiansWork() && NeedsNoInit(record_);
    if (!light_) BROOD_RETURN_IF_ERROR(internal::CheckStackRoom());
    BROOD_RETURN_IF_ERROR(PrepareChannels());
    BROOD_RETURN_IF_ERROR(PrepareDescriptors());
    return elsewhere_ ? ForkElsewhere() : Fork();
  }

 private:
  absl::Status Check() const {
    if (target_.kind != LaunchTarget::Kind::kFunction && (options_.argv.empty() || options_.argv[0].empty())) {
      return absl::InvalidArgumentError("argv: must name a program");
    }
    if (target_.kind != LaunchTarget::Kind::kFunction && options_.policy != nullptr && options_.policy->platform().filter.forbids_exec) {
      return absl::InvalidArgumentError(
          "policy: its filter makes execve, execveat or exit_group a violation, with some arguments at least, so that no program can start; allow them");
    }
    if (target_.kind != LaunchTarget::Kind::kProgram && options_.policy != nullptr) {
      if (const std::string& need = options_.policy->platform().functions_need; !need.empty()) return absl::InvalidArgumentError(need);
    }
    for (const std::string& argument : options_.argv) {
      if (argument.find('\0') != std::string::npos) return absl::InvalidArgumentError("argv: an argument contains a zero byte");
    }
    // After a change of ids the kernel gives the files of a process in /proc to root, those of its copies too, and its
    // copy could not write the id maps of the child. proc(5), prctl(2). Not ours to change: it opens the memory of the
    // embedder to its user.
    if (options_.policy != nullptr && (options_.policy->platform().child.namespaces & CLONE_NEWUSER) != 0 &&
        geteuid() != 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1) {
      return absl::FailedPreconditionError(
          "user namespace: this process has changed its ids, or may not be read by its user, so it cannot write the id "
          "maps of a child; call prctl(PR_SET_DUMPABLE, 1) if other processes of its user may read its memory");
    }
    // The kernel would read a shorter path.
    for (const std::string* path : {&options_.cwd, &options_.stdin_spec.path, &options_.stdout_spec.path,
                                    &options_.stderr_spec.path}) {
      if (path->find('\0') != std::string::npos) {
        return absl::InvalidArgumentError("cwd and paths of streams: one contains a zero byte");
      }
    }
    std::set<int> numbers;
    for (const InheritedFd& inherited : options_.inherited) {
      if (inherited.child_fd < 3 || inherited.child_fd > 4096) {
        return absl::InvalidArgumentError(absl::StrCat("inherited: child descriptor ", inherited.child_fd, " must be 3 to 4096"));
      }
      if (!numbers.insert(inherited.child_fd).second || inherited.child_fd == target_.setup_child_fd) {
        return absl::InvalidArgumentError(absl::StrCat("inherited: child descriptor ", inherited.child_fd, " is given twice"));
      }
      if (fcntl(inherited.fd, F_GETFD) < 0) return ErrnoStatus(errno, "inherited: descriptor", absl::StrCat(inherited.fd));
    }
    return absl::OkStatus();
  }

  absl::Status PrepareTexts() {
    const EnvironmentBase base = options_.environment_base.value_or(
        options_.policy != nullptr ? options_.policy->policy().environment : EnvironmentBase::kInherit);
    // Most functions get what we have, as it is. The texts need no copy: the C library frees none that it has replaced.
    const bool unchanged = base == EnvironmentBase::kInherit && options_.env.empty() && environ != nullptr;
    if (!unchanged || target_.kind == LaunchTarget::Kind::kProgram) {
      BROOD_ASSIGN_OR_RETURN(environment_, MakeEnvironment(base, options_.env));
      envp_pointers_ = Pointers(environment_);
    } else {
      char** end = environ;
      while (*end != nullptr) ++end;
      envp_pointers_.assign(environ, end + 1);
    }
    argv_ = options_.argv;
    if (target_.kind == LaunchTarget::Kind::kProgram) candidates_ = ProgramCandidates(argv_[0], environment_);
    argv_pointers_ = Pointers(argv_);
    candidate_pointers_ = Pointers(candidates_);
    record_.argv = argv_pointers_.data();
    record_.envp = envp_pointers_.data();
    record_.candidates = candidate_pointers_.data();

    record_.cwd_required = !options_.cwd.empty() && options_.cwd_missing == CwdMissing::kError;
    cwd_ = options_.cwd;
    const bool own_root = options_.policy != nullptr && options_.policy->platform().child.mount_count > 0;
    if (own_root) {
      BROOD_ASSIGN_OR_RETURN(cwd_, ChildDirectory(options_.cwd, options_.policy->policy()));
    }
    if (!cwd_.empty()) record_.cwd = cwd_.c_str();
    return absl::OkStatus();
  }

  absl::Status PrepareLimits() {
    record_.target = target_;
    record_.wait_for_tree = options_.tree_end == TreeEnd::kWait;
    if (options_.policy == nullptr) return absl::OkStatus();
    const CompiledPolicy& plan = *options_.policy;
    record_.plan = plan.platform().child;
    // A forked function is this very program and may read its arguments.
    if (plan.policy().drop_privileges && target_.kind != LaunchTarget::Kind::kFunction) {
      record_.wipe_begin = ThisMachine().argument_begin;
      record_.wipe_end = ThisMachine().argument_end;
    }
    if (birth_ != nullptr) LowerLimits();
    record_.wall_ns = Nanoseconds(plan.limits().wall_time);
    record_.grace_ns = Nanoseconds(plan.limits().grace);
    record_.cpu_ns = Nanoseconds(plan.limits().cpu_time);
    record_.output_limited = plan.limits().output_bytes.has_value();
    record_.output_bytes = plan.limits().output_bytes.value_or(0);
    if (plan.platform().sample_memory) record_.sampled_memory_bytes = *plan.limits().memory_bytes;
    if (plan.platform().count_processes && *plan.limits().processes < child::kMaxSampled) {
      record_.counted_processes = *plan.limits().processes + 1;
    }
    return absl::OkStatus();
  }

  // The policy's were made for this process, and whom the child is for may have lower ones, which it cannot raise.
  void LowerLimits() {
    const ChildPlan& plan = record_.plan;
    std::vector<RlimitStep> lower(plan.rlimits, plan.rlimits + plan.rlimit_count);
    bool is_lower = false;
    for (RlimitStep& one : lower) {
      if (one.resource < 0 || one.resource >= RLIM_NLIMITS || !birth_->has_limit[one.resource]) continue;
      const rlim_t most = birth_->limits[one.resource].rlim_max;
      is_lower = is_lower || one.limit.rlim_max > most;
      one.limit = {std::min(one.limit.rlim_cur, most), std::min(one.limit.rlim_max, most)};
    }
    if (!is_lower) return;
    rlimits_ = std::move(lower);
    record_.plan.rlimits = rlimits_.data();
  }

  absl::Status PrepareTerminal() {
    record_.input = stdio_.input;
    record_.streams[0] = stdio_.streams[0];
    record_.streams[1] = stdio_.streams[1];
    const bool relays = NeedsOwnGuardian(record_);
    if (relays && elsewhere_ && target_.kind != LaunchTarget::Kind::kProgram) {
      return absl::UnimplementedError("a terminal, relayed streams: not with the start method forkserver; use spawn or fork");
    }
    if (!options_.terminal.has_value()) return absl::OkStatus();
    record_.own_terminal = true;
    state_->has_terminal = true;
    terminal_view_.Add(stdio_.terminal.get(), &record_.plan);
    return absl::OkStatus();
  }

  absl::Status PrepareCopies() {
    if (options_.copy_in.empty() && options_.copy_out.empty()) return absl::OkStatus();
    if (options_.policy == nullptr || options_.policy->platform().child.mount_count == 0) {
      return absl::InvalidArgumentError("copy-in, copy-out: the policy has no own root, so that the child has the caller's files already");
    }
    if (elsewhere_ && target_.kind != LaunchTarget::Kind::kProgram) return absl::UnimplementedError("copy-in, copy-out: not with the start method forkserver");
    BROOD_ASSIGN_OR_RETURN(state_->copies, Copies::Prepare(options_.copy_in, options_.copy_out, WritableSources(options_)));
    record_.copies = state_->copies.Record();
    return absl::OkStatus();
  }

  absl::Status PrepareCgroups() {
    if (options_.policy == nullptr || !options_.policy->platform().needs_cgroups) return absl::OkStatus();
    BROOD_ASSIGN_OR_RETURN(cgroups_, Cgroups::Create(options_.policy->platform().cgroups));
    record_.cgroup = cgroups_.Record();
    return absl::OkStatus();
  }

  // A sandbox that is ready does the same for less, where this one asks for nothing that must be done while a sandbox is made.
  bool ChooseSlot() {
    if (!elsewhere_ || options_.policy == nullptr || record_.wait_for_tree) return false;
    if (NeedsOwnGuardian(record_)) return false;
    if (options_.violation_stack) return false;  // Only a guardian takes a snapshot.
    if (birth_ != nullptr && (birth_->has_nice || !rlimits_.empty())) return false;  // Its filter may forbid that; it has the policy's limits.
    if (record_.copies.in_count + record_.copies.out_count > 0) return false;
    // What does not fit into one message is received by the child, and a filter may forbid that. unix(7), SCM_RIGHTS
    if (options_.inherited.size() > kMostInSlot) return false;
    const bool program = target_.kind == LaunchTarget::Kind::kProgram;
    slot_ = internal::SlotOf(options_.policy, program ? internal::SlotUse::kPrograms : internal::SlotUse::kFunctions, options_.isolation);
    if (slot_ == nullptr) return false;
    std::vector<int> sources(std::begin(stdio_.child), std::end(stdio_.child));
    for (const InheritedFd& inherited : options_.inherited) sources.push_back(inherited.fd);
    for (const StreamRecord& stream : stdio_.streams) {
      // The supervisor passes output on to it, which has others to do that for as well.
      if (stream.sink >= 0 && IsSlowFile(stream.sink)) return false;
    }
    for (const int source : sources) {
      if (IsSlowFile(source)) return false;
      const absl::StatusOr<std::string> path = PathToOpenReadOnly(source, record_.plan, "");
      if (!path.ok() || !path->empty()) return false;
    }
    record_.plan = ChildPlan();
    record_.slot = slot_->data();
    record_.slot_size = slot_->size();
    if (target_.kind == LaunchTarget::Kind::kProgram) {
      target_.setup_child_fd = 3;
      for (const InheritedFd& inherited : options_.inherited) {
        target_.setup_child_fd = std::max(target_.setup_child_fd, inherited.child_fd + 1);
      }
      record_.target = target_;
    }
    return true;
  }

  // Of a child with a keeper of our own. What else a child has is its supervisor's.
  absl::Status PrepareLink() {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    state_->sentinel.reset(pair[0]);
    record_.report = Own(pair[1]);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
    state_->link->TakeSetup(UniqueFd(pair[0]));
    moves_.push_back({Own(pair[1]), target_.setup_child_fd});
    return absl::OkStatus();
  }

  absl::Status PrepareChannels() {
    if (slot_ != nullptr && target_.kind == LaunchTarget::Kind::kProgram && lease_keeper_ != nullptr &&
        std::all_of(std::begin(stdio_.streams), std::end(stdio_.streams), KeeperPassesOn)) {
      state_->link = lease_keeper_(*slot_);
    }
    if (state_->link != nullptr) return PrepareLink();
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
    state_->control.reset(pair[0]);
    record_.control = Own(pair[1]);
    if (light_) {
      BROOD_ASSIGN_OR_RETURN(light_memory_, internal::LightMemory::Create());
    } else if (!elsewhere_ || (slot_ == nullptr && !NeedsNoInit(record_))) {
      if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
      record_.guardian_socket = Own(pair[0]);
      record_.init_socket = Own(pair[1]);
    }
    if (pipe2(pair, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    state_->sentinel.reset(pair[0]);
    record_.report = Own(pair[1]);
    // Beside the socket: a fork of the caller without exec may hold a copy of its end, and the caller's death would go
    // unseen.
    record_.owner = Own(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
    if (record_.owner < 0) return ErrnoStatus(errno, "pidfd_open");
    if (target_.setup_child_fd >= 0) {
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
      record_.setup_socket = pair[0];
      (target_.awaits_word ? state_->word : owned_.emplace_back()).reset(pair[0]);  // Or it stays open for the word.
      moves_.push_back({Own(pair[1]), target_.setup_child_fd});
    }
    if (options_.violation_stack && options_.policy != nullptr && options_.policy->policy().filter_syscalls) {
      BROOD_RETURN_IF_ERROR(CheckStackTraces(NativeArch()));
      state_->stack_memory.reset(memfd_create("brood-violation-stack", MFD_CLOEXEC));
      if (!state_->stack_memory.valid()) return ErrnoStatus(errno, "memfd_create");
      record_.stack_sink = state_->stack_memory.get();
    }
    return absl::OkStatus();
  }

  absl::Status PrepareDescriptors() {
    for (int i = 0; i < 3; ++i) moves_.push_back({stdio_.child[i], i});
    for (const InheritedFd& inherited : options_.inherited) moves_.push_back({inherited.fd, inherited.child_fd});
    int highest = 2;
    for (FdMove& move : moves_) {
      highest = std::max(highest, move.child_fd);
      if (record_.plan.mount_count == 0) continue;
      const std::string name = move.child_fd == 0 ? "stdin" : absl::StrCat("descriptor ", move.child_fd);
      BROOD_ASSIGN_OR_RETURN(std::string path, PathToOpenReadOnly(move.source, record_.plan, name));
      if (!path.empty()) move.read_only_path = read_only_paths_.emplace_back(std::move(path)).c_str();
    }
    record_.lowest_free = highest + 1;
    record_.child_fds = moves_.data();
    record_.child_fd_count = moves_.size();
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<GuardedState>> Fork() {
    // No handler of the embedder's may run in the guardian or, in a memory that both share, in the target.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    state_->start = absl::Now();
    // One with an exit signal would keep an embedder's wait(2) for its last child waiting.
    record_.stays = light_ || target_.kind != LaunchTarget::Kind::kFunction;
    pid_t pid = -1;
    int pidfd = -1;
    if (light_) {
      const internal::LightGuardian guardian = internal::StartLightGuardian(record_, light_memory_);
      pid = guardian.pid;
      pidfd = guardian.pidfd;
      if (pid < 0) errno = -pid;
    } else if (target_.kind == LaunchTarget::Kind::kFunction) {
      // The C library's fork: the function will allocate, so the locks of malloc must be in order in its copy. fork(2).
      pid = fork();
    } else {
      // No exit signal: an embedder's SIGCHLD handler and its wait(-1) do not meet a child that it knows nothing of.
      // clone(2), __WALL in wait(2).
      pid = static_cast<pid_t>(syscall(SYS_clone, CLONE_PIDFD, nullptr, &pidfd, nullptr, nullptr));
    }
    // It cannot fail, since the process has as much already; and its end would be seen.
    if (pid == 0 && birth_ != nullptr && internal::BeBornAs(*birth_) != 0) _exit(125);
    if (pid == 0) child::RunGuardian(&record_);
    const int error = errno;
    if (pid > 0 && pidfd < 0) pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) return ErrnoStatus(error, "fork", "the guardian", "see the limits of processes and memory");
    return Born(pid, pidfd);
  }

  absl::StatusOr<std::shared_ptr<GuardedState>> ForkElsewhere() {
    state_->start = absl::Now();
    state_->served = true;
    BROOD_RETURN_IF_ERROR(fork_elsewhere_(record_));
    return Born(0, -1);
  }

  std::shared_ptr<GuardedState> Born(pid_t guardian, int pidfd) {
    state_->cgroups = cgroups_.Release();
    state_->guardian = guardian;
    state_->guardian_fd.reset(pidfd);
    state_->light_memory = std::move(light_memory_);
    state_->terminal = std::move(stdio_.terminal);
    state_->captured[0] = std::move(stdio_.captured[0]);
    state_->captured[1] = std::move(stdio_.captured[1]);
    return std::move(state_);
  }

  int Own(int fd) {
    owned_.emplace_back(fd);
    return fd;
  }

  const LaunchOptions& options_;
  LaunchTarget target_;
  const brood::ForkElsewhere& fork_elsewhere_;
  const brood::LeaseKeeper& lease_keeper_;
  const internal::ClientBirth* const birth_;
  std::vector<RlimitStep> rlimits_;  // Not empty: instead of the policy's.
  bool elsewhere_;
  std::shared_ptr<GuardedState> state_;
  LaunchRecord record_;
  bool light_ = false;  // See light_guardian.h.
  std::shared_ptr<const std::string> slot_;
  internal::LightMemory light_memory_;
  std::vector<std::string> environment_, argv_, candidates_;
  std::vector<const char*> argv_pointers_, envp_pointers_, candidate_pointers_;
  std::string cwd_;
  PreparedStdio stdio_;
  TerminalView terminal_view_;
  Cgroups cgroups_;
  std::vector<FdMove> moves_;
  std::deque<std::string> read_only_paths_;  // Stable addresses for what moves_ points to.
  std::vector<UniqueFd> owned_;
};

}  // namespace

absl::StatusOr<Process> internal::LaunchFunctionOnServer(const LaunchOptions& options, const RemoteFunction& function) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<GuardedState> state, LaunchRemote(options, &function));
  return ProcessOf(std::move(state));
}

absl::StatusOr<Process> LaunchInternal(const LaunchOptions& options, const internal::LaunchTarget& target,
                                       const ForkElsewhere& fork, const internal::ClientBirth* birth, const LeaseKeeper& lease) {
  Preparation preparation(options, target, fork, birth, lease);
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<GuardedState> state, preparation.Launch());
  return internal::ProcessOf(std::move(state));
}

absl::StatusOr<std::shared_ptr<internal::ProcessState>> internal::LaunchProgram(const LaunchOptions& options) {
  if (!options.server.empty()) return LaunchRemote(options, nullptr);
  const LaunchTarget target;
  Preparation preparation(options, target, nullptr);
  return preparation.Launch();
}

bool internal::AwaitGuardian(Process& process, absl::Duration timeout) { return AwaitGuardian(*StateOf(process), timeout); }

}  // namespace brood
