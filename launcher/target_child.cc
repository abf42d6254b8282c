#include "launcher/target_child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/child_safe.h"
#include "launcher/descriptors_child.h"
#include "launcher/guardian_child.h"
#include "launcher/messages_child.h"
#include "sandbox/attributes_child.h"
#include "sandbox/further_filters_child.h"
#include "sandbox/label_child.h"
#include "sandbox/landlock_child.h"
#include "sandbox/mounts_child.h"
#include "sandbox/privileges_child.h"
#include "sandbox/read_back_child.h"

extern char** environ;

namespace brood::child {
namespace {

struct Shared {
  const LaunchRecord* record = nullptr;
  SetupMessage* failure = nullptr;
  int listener = -1;
  bool failed = false;
};

// One launch happens in an init, so one stack is enough; its pages exist only once they are touched.
alignas(16) char g_stack[128 * 1024];
int g_proc = -1;  // Of brood, for the label.

void UnblockSignals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The rules are made here, with the rights that the child has to the paths; the descriptors have their places already.
bool EnterLandlock(const LaunchRecord& record, SetupMessage* failure) {
  const ChildPlan& plan = record.plan;
  if (!UsesLandlock(plan)) return true;
  const int ruleset = MakeRuleset(plan, failure);
  if (ruleset < 0) return false;
  bool entered = true;
  for (size_t i = 0; entered && i < record.child_fd_count; ++i) {
    entered = AllowDescriptor(plan, ruleset, record.child_fds[i].child_fd, failure);
  }
  if (entered && record.target.executable_fd >= 0) entered = AllowDescriptor(plan, ruleset, record.target.executable_fd, failure);
  if (entered && record.target.kind == internal::LaunchTarget::Kind::kFunction) {
    entered = AllowOwnProgram(plan, ruleset, failure);
  }
  entered = entered && EnterRuleset(ruleset, failure);
  close(ruleset);
  return entered;
}

// In a session of its own, because init's is not the target's to lead: the shell that it may be makes groups in it, and the
// terminal's keys reach the one in the foreground. tty_ioctl(4), TIOCSCTTY
bool TakeTerminal(const LaunchRecord& record, SetupMessage* failure) {
  if (!record.own_terminal) return true;
  if (setsid() < 0) return Fail(failure, "terminal", errno, "setsid");
  return ioctl(STDIN_FILENO, TIOCSCTTY, 0) == 0 || Fail(failure, "terminal", errno, "make it the controlling one");
}

// All that a target gets before its filter.
bool Prepare(const LaunchRecord& record, SetupMessage* failure) {
  // Besides the guardian, not instead of it: if init is killed the target goes too. prctl(2), PR_SET_PDEATHSIG; init
  // has one thread, so its end is that of the process.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (!TakeTerminal(record, failure)) return false;
  if (!SetLabel(record.plan.label, g_proc, failure)) return false;
  // Early: of descriptors there may be few.
  if (!EnterLandlock(record, failure)) return false;
  if (!ApplyRlimits(record.plan, failure) || !ApplyCpus(record.plan, failure) || !LimitSpeculation(record.plan, failure)) return false;
  if (!ApplyAttributes(record.plan.attributes, failure)) return false;
  if (record.plan.read_back && !(ReadBackTarget(record.plan, failure) && ReadBackAttributes(record.plan.attributes, failure))) return false;
  // The dispositions are the default ones since the guardian was born, so nothing runs in this shared memory.
  UnblockSignals();
  return true;
}

bool Exists(const char* path) { return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0; }

// As execvp(3), but with paths that were made before the fork.
int Exec(const LaunchRecord& record, const char** tried) {
  char* const* argv = const_cast<char* const*>(record.argv);
  char* const* envp = const_cast<char* const*>(record.envp);
  if (record.target.kind == internal::LaunchTarget::Kind::kExecutable) {
    *tried = record.argv[0];
    syscall(SYS_execveat, record.target.executable_fd, "", argv, envp, AT_EMPTY_PATH);
    return errno;
  }
  int result = ENOENT;
  *tried = record.argv[0];
  for (const char* const* candidate = record.candidates; *candidate != nullptr; ++candidate) {
    execve(*candidate, argv, envp);
    const int error = errno;
    if (error == EACCES) {
      result = EACCES;
      *tried = *candidate;
    } else if (error != ENOENT && error != ENOTDIR && error != ESTALE && error != ENODEV && error != ETIMEDOUT) {
      *tried = *candidate;
      return error;
    } else if (result == ENOENT && record.candidates[1] == nullptr) {
      *tried = *candidate;
    }
  }
  return result;
}

int RunProgram(void* arg) {
  auto* shared = static_cast<Shared*>(arg);
  const LaunchRecord& record = *shared->record;
  if (!Prepare(record, shared->failure) || !LoadFurtherFilters(record.plan, shared->failure) || !LoadFilter(record.plan, &shared->listener, shared->failure) ||
      (record.plan.read_back && !ReadBackFilter(record.plan, shared->failure))) {
    shared->failed = true;
    syscall(SYS_exit_group, 1);
  }
  const char* tried = nullptr;
  const int error = Exec(record, &tried);
  Fail(shared->failure, "exec", error, tried);
  shared->failed = true;
  // Through the filter that is loaded by now: every policy has exit_group, or the listener would see a violation.
  syscall(SYS_exit_group, 1);
  return 1;
}

// Looks at what an exec could not run, without the filter that the target had.
void ExplainExec(const LaunchRecord& record, SetupMessage* failure) {
  if (strcmp(failure->step, "exec") != 0) return;
  const char* found = nullptr;
  for (const char* const* candidate = record.candidates; *candidate != nullptr && found == nullptr; ++candidate) {
    if (Exists(*candidate)) found = *candidate;
  }
  if (failure->error_number == ENOENT && found != nullptr) {
    Text<sizeof(SetupMessage::detail)> detail;
    detail.Add(found).Add(" is there, but its interpreter or loader is not visible inside");
    CopyText(failure->detail, sizeof(failure->detail), detail.c_str());
  }
  // A directory of PATH that cannot be searched says EACCES for a program that may not exist at all.
  if (failure->error_number == EACCES && found == nullptr && record.candidates[0] != nullptr &&
      record.candidates[1] != nullptr) {
    failure->error_number = ENOENT;
    CopyText(failure->detail, sizeof(failure->detail), record.argv[0]);
  }
}

bool StartProgram(const LaunchRecord& record, Birth* birth, SetupMessage* failure) {
  Shared shared;
  shared.record = &record;
  shared.failure = failure;
  // CLONE_FILES: the listener that the filter gives to the target appears in our table too, without a message that the
  // filter would have to allow; the exec gives the target a table of its own again. clone(2), execve(2).
  const int pid = clone(RunProgram, g_stack + sizeof(g_stack), CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | SIGCHLD,
                        &shared, &birth->pidfd, nullptr, nullptr);
  if (pid < 0) return Fail(failure, "fork", errno, "clone the target");
  birth->pid = pid;
  birth->listener = shared.listener;
  if (!shared.failed) return true;
  if (record.target.kind == internal::LaunchTarget::Kind::kProgram) ExplainExec(record, failure);
  return false;
}

// Hands the listener of a forked function to init. A function shares no descriptor table with init, and its filter may
// forbid sendmsg; a helper that shares the function's table and not its filter can do it.
struct Courier {
  pid_t pid = -1;
  int pipe[2] = {-1, -1};
};

bool StartCourier(int init_side, Courier* courier, SetupMessage* failure) {
  if (pipe2(courier->pipe, O_CLOEXEC) != 0) return Fail(failure, "seccomp", errno, "pipe");
  const long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) return Fail(failure, "seccomp", errno, "clone");
  if (pid == 0) {
    int listener = -1;
    if (read(courier->pipe[0], &listener, sizeof(listener)) == sizeof(listener)) {
      InitMessage message;
      SendMessage(init_side, message, &listener, 1);
    }
    syscall(SYS_exit_group, 0);
  }
  courier->pid = static_cast<pid_t>(pid);
  return true;
}

[[noreturn]] void RunFunction(const LaunchRecord& record, int init_side) {
  SetupMessage failure;
  const int setup_fd = record.target.setup_child_fd;
  int listener = -1;
  Courier courier;
  bool ready = Prepare(record, &failure);
  if (ready && record.plan.filter_notifies) ready = StartCourier(init_side, &courier, &failure);
  if (ready) ready = LoadFurtherFilters(record.plan, &failure) && LoadFilter(record.plan, &listener, &failure);
  if (ready && listener >= 0) {
    const bool sent = write(courier.pipe[1], &listener, sizeof(listener)) == sizeof(listener);
    ready = sent || Fail(&failure, "seccomp", errno, "hand the listener over");
    while (waitpid(courier.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    close(courier.pipe[0]);
    close(courier.pipe[1]);
    close(listener);
  }
  if (ready && record.plan.read_back) ready = ReadBackFilter(record.plan, &failure);
  close(init_side);
  if (!ready) {
    if (write(setup_fd, &failure, sizeof(failure)) < 0) syscall(SYS_exit_group, 125);
    syscall(SYS_exit_group, 125);
  }
  environ = const_cast<char**>(record.envp);
  record.target.run(record.target.arg, setup_fd);
  _exit(125);
}

bool StartFunction(const LaunchRecord& record, Birth* birth, SetupMessage* failure) {
  int sockets[2] = {-1, -1};
  if (record.plan.filter_notifies && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return Fail(failure, "fork", errno, "socketpair");
  }
  // _Fork, not a raw clone: the C library's own record of the thread (its id) must be the child's, because from here on
  // the child runs ordinary code. _Fork(3).
  const pid_t pid = _Fork();
  if (pid < 0) return Fail(failure, "fork", errno, "fork the target");
  if (pid == 0) {
    if (sockets[0] >= 0) close(sockets[0]);
    // Nothing of init's stays: its socket would let a hostile function speak for it.
    close(record.init_socket);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    RunFunction(record, sockets[1]);
  }
  birth->pid = pid;
  birth->pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (birth->pidfd < 0) return Fail(failure, "fork", errno, "pidfd_open");
  if (sockets[0] < 0) return true;
  close(sockets[1]);
  InitMessage message;
  int received = 0;
  // End of file: the filter could not be loaded; the set-up socket says why.
  if (ReceiveMessage(sockets[0], &message, &birth->listener, 1, &received) && received == 0) birth->listener = -1;
  close(sockets[0]);
  return true;
}

// What an init does before it starts a target, where there is none.
bool Enter(const LaunchRecord& record, SetupMessage* failure) {
  if (!SetOomScoreAdj(record.plan.attributes, failure)) return false;
  if (record.cwd != nullptr && chdir(record.cwd) != 0) {
    // The caller's own is not to be seen in every sandbox.
    const bool own_root = record.slot != nullptr;
    if (record.cwd_required || !own_root) return Fail(failure, "cwd", errno, record.cwd);
    if (chdir("/") != 0) return Fail(failure, "cwd", errno, "/");
  }
  const int error = PlaceChildDescriptors(record);
  return error == 0 || Fail(failure, "descriptors", error, "place the child's descriptors");
}

int RunLightExecutable(void* arg) {
  auto* shared = static_cast<Shared*>(arg);
  if (Enter(*shared->record, shared->failure) && Prepare(*shared->record, shared->failure)) {
    const char* tried = nullptr;
    const int error = Exec(*shared->record, &tried);
    Fail(shared->failure, "exec", error, tried);
  }
  shared->failed = true;
  syscall(SYS_exit_group, 1);
  return 1;
}

}  // namespace

namespace {

// In its slot, whose filter it is under already. What follows the word that it is ready is an exec that failed, or the end of
// the socket, which the exec closes: the parent knows then that the program runs.
void RunProgramInSlot(const LaunchRecord& record, SetupMessage* failure) {
  const int setup_fd = record.target.setup_child_fd;
  SetupMessage ready;
  ready.kind = SetupKind::kReady;
  if (!Prepare(record, failure)) return;
  const unsigned number = static_cast<unsigned>(setup_fd);
  if (syscall(SYS_close_range, number, number, CLOSE_RANGE_CLOEXEC) != 0) {
    Fail(failure, "descriptors", errno, "have the exec close the set-up socket");
    return;
  }
  char word;
  if (record.target.awaits_word && read(setup_fd, &word, 1) != 1) syscall(SYS_exit_group, 125);
  if (write(setup_fd, &ready, sizeof(ready)) != static_cast<ssize_t>(sizeof(ready))) syscall(SYS_exit_group, 125);
  const char* tried = nullptr;
  const int error = Exec(record, &tried);
  Fail(failure, "exec", error, tried);
  ExplainExec(record, failure);
}

}  // namespace

int OpenProcForLabel(const LaunchRecord& record, SetupMessage* failure) {
  if (record.plan.label.module == LabelStep::Module::kNone) return -1;
  const int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  // Out of the way of the target's own.
  g_proc = proc >= 0 ? fcntl(proc, F_DUPFD_CLOEXEC, record.lowest_free) : -1;
  const int error = errno;
  if (proc >= 0) close(proc);
  if (g_proc < 0) Fail(failure, "label", error, "open /proc");
  return g_proc;
}

void RunLightTarget(const LaunchRecord& record) {
  SetupMessage failure;
  if (Enter(record, &failure)) {
    if (record.target.kind != internal::LaunchTarget::Kind::kProgram) RunFunction(record, -1);
    RunProgramInSlot(record, &failure);
    if (write(record.target.setup_child_fd, &failure, sizeof(failure)) < 0) syscall(SYS_exit_group, 125);
    syscall(SYS_exit_group, 125);
  }
  // The set-up socket may not have its number yet.
  for (size_t i = 0; i < record.child_fd_count; ++i) {
    if (record.child_fds[i].child_fd != record.target.setup_child_fd) continue;
    if (write(record.child_fds[i].source, &failure, sizeof(failure)) < 0) break;
  }
  syscall(SYS_exit_group, 125);
  __builtin_unreachable();
}

bool StartLightExecutable(const LaunchRecord& record, Birth* birth, SetupMessage* failure) {
  // Several threads may start one at once, each with a guardian of its own, in one memory: not g_stack. Three times what
  // the deepest call needs.
  alignas(16) char stack[32 * 1024];
  Shared shared;
  shared.record = &record;
  shared.failure = failure;
  // We sleep until its exec and lend it our memory, so that nothing is copied; its descriptors are its own. clone(2).
  const int pid = clone(RunLightExecutable, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &shared,
                        &birth->pidfd, nullptr, nullptr);
  if (pid < 0) return Fail(failure, "fork", errno, "clone the target");
  birth->pid = pid;
  if (!shared.failed) return true;
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return false;
}

bool StartTarget(const LaunchRecord& record, Birth* birth, SetupMessage* failure) {
  if (record.target.kind == internal::LaunchTarget::Kind::kFunction) return StartFunction(record, birth, failure);
  return StartProgram(record, birth, failure);
}

}  // namespace brood::child
