#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "sandbox/learn/trace.h"
#include "sandbox/learn/trace_arguments.h"
#include "sandbox/policy.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

constexpr unsigned long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                                   PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

absl::StatusOr<std::vector<sock_filter>> LearningFilter() {
  Policy policy;
  policy.drop_privileges = true;
  policy.filter_syscalls = true;
  policy.unlisted = SyscallAction::kAllow;
  policy.syscalls.push_back({.names = {"@io-uring", "@newer", "clone3", "openat2"}, .action = SyscallAction::kErrno, .errno_value = ENOSYS});
  BROOD_ASSIGN_OR_RETURN(const CompiledFilter filter, CompileFilter(policy));
  return filter.instructions;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Blocks the signals that the loop waits for, and gives the caller's mask back.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigemptyset(&wanted_);
    sigaddset(&wanted_, SIGCHLD);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
      struct sigaction action = {};
      // What the caller ignores (HUP under nohup) stays ignored; blocked it would be queued all the same. signal(7).
      if (sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&wanted_, number);
    }
    sigprocmask(SIG_BLOCK, &wanted_, &before_);
  }
  ~BlockedSignals() { Restore(); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

  void Restore() const { sigprocmask(SIG_SETMASK, &before_, nullptr); }

  // The next, or nothing after that time.
  siginfo_t Wait(absl::Duration patience) const {
    siginfo_t info = {};
    const timespec left = absl::ToTimespec(std::clamp(patience, absl::ZeroDuration(), absl::Hours(1)));
    if (sigtimedwait(&wanted_, &info, &left) < 0) info.si_signo = 0;
    return info;
  }

 private:
  sigset_t wanted_;
  sigset_t before_;
};

class Tracer {
 public:
  explicit Tracer(const std::function<void(const TracedCall&)>& on_call) : on_call_(on_call) {}

  absl::StatusOr<TraceEnd> Run(const TraceOptions& options) {
    BROOD_ASSIGN_OR_RETURN(const std::vector<sock_filter> filter, LearningFilter());
    int begin[2];
    int failure[2];
    if (pipe2(begin, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
    const UniqueFd begin_read(begin[0]);
    const UniqueFd begin_write(begin[1]);
    if (pipe2(failure, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
    const UniqueFd failure_read(failure[0]);
    UniqueFd failure_write(failure[1]);
    const std::vector<char*> argv = Pointers(options.argv);
    const std::vector<char*> env = Pointers(options.env);
    first_ = fork();
    if (first_ < 0) return ErrnoStatus(errno, "fork");
    if (first_ == 0) {
      signals_.Restore();
      char go;
      sock_fprog program = {static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
      int error = 0;
      if (read(begin_read.get(), &go, 1) != 1 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
          syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
        error = errno;
      }
      for (const std::string& candidate : options.candidates) {
        if (error != 0 && error != ENOENT && error != ENOTDIR) break;
        execve(candidate.c_str(), argv.data(), env.data());
        error = errno;
      }
      if (write(failure_write.get(), &error, sizeof(error)) < 0) _exit(126);
      _exit(127);
    }
    failure_write.reset();
    if (ptrace(PTRACE_SEIZE, first_, nullptr, kOptions) != 0) {
      const int error = errno;
      kill(first_, SIGKILL);
      waitpid(first_, nullptr, 0);
      return ErrnoStatus(error, "ptrace: this process may not trace its own children; see kernel.yama.ptrace_scope");
    }
    ptrace(PTRACE_INTERRUPT, first_, nullptr, nullptr);
    tasks_[first_];
    if (write(begin_write.get(), "", 1) != 1) return ErrnoStatus(errno, "write");
    Loop(absl::Now() + options.wall_time);
    int error = 0;
    if (read(failure_read.get(), &error, sizeof(error)) == sizeof(error)) return ErrnoStatus(error, "run", options.argv[0]);
    return end_;
  }

 private:
  struct Task {
    bool in_call = false;
    TracedCall call;
  };

  // Until no task is left.
  void Loop(absl::Time deadline) {
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);
      if (pid < 0 && errno != EINTR) return;  // ECHILD.
      if (pid > 0) OnStatus(pid, status);
      if (pid != 0) continue;
      // Each stop and each end sends SIGCHLD, which stays pending until it is waited for. ptrace(2).
      const siginfo_t info = signals_.Wait(deadline - absl::Now());
      if (info.si_signo != 0 && info.si_signo != SIGCHLD) OnSignal(info);
      if (absl::Now() >= deadline && !ending_) {
        end_.timed_out = true;
        KillAll();
      }
    }
  }

  void OnStatus(pid_t pid, int status) {
    if (WIFSTOPPED(status)) {
      tasks_[pid];
      if (ending_) {
        kill(pid, SIGKILL);  // It was born when the others were killed.
      } else {
        OnStop(pid, status);
      }
      return;
    }
    tasks_.erase(pid);
    if (pid != first_) return;
    end_.status = status;
    KillAll();
  }

  // The first is for the program. What the terminal sends the program has already.
  void OnSignal(const siginfo_t& info) {
    if (asked_) {
      end_.killed = true;
      KillAll();
    } else if (info.si_code != SI_KERNEL) {
      kill(first_, info.si_signo);
    }
    asked_ = true;
  }

  // None of them has been waited for, so the numbers are still theirs.
  void KillAll() {
    ending_ = true;
    for (const auto& [pid, task] : tasks_) kill(pid, SIGKILL);
  }

  void OnStop(pid_t pid, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (signal == (SIGTRAP | 0x80)) {
      OnCall(pid);
    } else if (event == PTRACE_EVENT_EXEC) {
      OnExec(pid);
    } else if (event == PTRACE_EVENT_STOP) {
      const bool group = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
      if (group) {
        ptrace(PTRACE_LISTEN, pid, nullptr, nullptr);
        return;
      }
    } else if (event == 0) {
      ptrace(PTRACE_SYSCALL, pid, nullptr, signal);
      return;
    }
    ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr);
  }

  void OnCall(pid_t pid) {
    __ptrace_syscall_info info = {};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0) return;
    Task& task = tasks_[pid];
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      task.in_call = true;
      task.call = {};
      task.call.syscall = SyscallName(info.arch, static_cast<int64_t>(info.entry.nr));
      task.call.number = info.arch == NativeArch() ? static_cast<int64_t>(info.entry.nr) : -1;
      std::copy(std::begin(info.entry.args), std::end(info.entry.args), task.call.args.begin());
      ReadArguments(pid, task.call);
      // There is no return from these.
      if (task.call.syscall == "exit" || task.call.syscall == "exit_group") Tell(pid, task.call);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && task.in_call) {
      task.in_call = false;
      task.call.result = info.exit.rval;
      ReadResult(pid, task.call);
      Tell(pid, task.call);
    }
  }

  // What the kernel itself opens.
  void OnExec(pid_t pid) {
    began_ = true;
    const Task& task = tasks_[pid];
    const std::string program = LinkTarget(absl::StrCat("/proc/", pid, "/exe"));
    const std::string named = task.call.path.empty() ? program : task.call.path;
    TracedCall call{.program = ProgramName(pid), .syscall = "execve", .number = SYS_execve, .path_was_there = true};
    for (const std::string& path : {named, InterpreterOf(named), LoaderOf(program)}) {
      if (path.empty() || path[0] != '/') continue;
      call.path = path;
      on_call_(call);
    }
  }

  void Tell(pid_t pid, TracedCall& call) {
    if (!began_) return;  // Ours, before the program.
    call.program = ProgramName(pid);
    on_call_(call);
  }

  const std::function<void(const TracedCall&)>& on_call_;
  const BlockedSignals signals_;
  std::map<pid_t, Task> tasks_;
  pid_t first_ = -1;
  TraceEnd end_;
  bool began_ = false;
  bool asked_ = false;   // A signal told us to end.
  bool ending_ = false;  // All are being killed.
};

}  // namespace

absl::StatusOr<TraceEnd> TraceProgram(const TraceOptions& options, const std::function<void(const TracedCall&)>& on_call) {
  return Tracer(on_call).Run(options);
}

}  // namespace brood
