// What a filter costs: to load, and with each call.
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "benchmarks/contests.h"
#include "sandbox/policy.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

using Filter = std::vector<sock_filter>;

constexpr int kCalls = 5000;
constexpr int kRoundTrips = 200;

// What `measure` returns, in microseconds, in a process of its own, which a filter may spoil.
absl::StatusOr<double> InChild(const std::function<double()>& measure) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    const double microseconds = measure();
    _exit(write(write_end.get(), &microseconds, sizeof(microseconds)) == sizeof(microseconds) ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  double microseconds = 0;
  if (status != 0 || read(read_end.get(), &microseconds, sizeof(microseconds)) != sizeof(microseconds) || microseconds <= 0) {
    return absl::InternalError(absl::StrCat("a measuring child ended with wait status ", status));
  }
  return microseconds;
}

long Load(const Filter& filter, unsigned flags) {
  sock_fprog program = {static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

double MicrosecondsSince(uint64_t begin) { return static_cast<double>(child::MonotonicNanoseconds() - begin) / 1000; }

double TimeLoad(const Filter& filter) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const uint64_t begin = child::MonotonicNanoseconds();
  if (Load(filter, 0) < 0) return 0;
  return MicrosecondsSince(begin);
}

// The least of a call, whose one argument nobody looks at, and one that does something: a byte, of zeros.
enum class Call { kGetpid, kRead };

double TimeCalls(const Filter& filter, Call call) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  if (zeros < 0 || (!filter.empty() && Load(filter, 0) < 0)) return 0;
  char byte;
  const uint64_t begin = child::MonotonicNanoseconds();
  for (int i = 0; i < kCalls; ++i) {
    const long got = call == Call::kGetpid ? syscall(SYS_getpid, 1) : syscall(SYS_read, zeros, &byte, 1);
    if (got <= 0) return 0;
  }
  return MicrosecondsSince(begin) / kCalls;
}

// Both have one processor, as a child and its guardian do on a busy machine.
double TimeRoundTrips(const Filter& filter) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(sched_getcpu()), &one);
  sched_setaffinity(0, sizeof(one), &one);
  // The lowest number that is free: the listener's, for both, since they share one table.
  const int probe = dup(0);
  close(probe);
  const pid_t supervisor = static_cast<pid_t>(syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (supervisor == 0) {
    for (int served = 0; served < kRoundTrips;) {
      seccomp_notif call = {};
      if (ioctl(probe, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
        if (errno == EBADF) sched_yield();
        continue;
      }
      seccomp_notif_resp answer = {.id = call.id, .val = 0, .error = 0, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
      if (ioctl(probe, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0) ++served;
    }
    _exit(0);
  }
  const long listener = Load(filter, SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (listener != probe) return 0;
  const uint64_t begin = child::MonotonicNanoseconds();
  for (int i = 0; i < kRoundTrips; ++i) syscall(SYS_getpid, 1);
  const double each = MicrosecondsSince(begin) / kRoundTrips;
  waitpid(supervisor, nullptr, 0);
  return each;
}

// Names of `count` calls, getpid among them, with gaps between: they lie in some twenty intervals.
std::vector<std::string> Names(int count) {
  std::vector<std::string> names = {"getpid"};
  for (int number = 0; number < 1024 && static_cast<int>(names.size()) < count; ++number) {
    std::unique_ptr<char, void (*)(void*)> name(seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), free);
    if (name == nullptr || number % 16 == 15 || number == SYS_getpid) continue;
    names.emplace_back(name.get());
  }
  return names;
}

// With `compared`, what the call gets depends on an argument.
absl::StatusOr<Filter> Ours(int count, std::optional<SyscallAction> compared, Call call = Call::kGetpid) {
  Policy policy;
  policy.drop_privileges = true;
  policy.filter_syscalls = true;
  policy.unlisted = SyscallAction::kErrno;
  policy.unlisted_errno = EPERM;
  policy.syscalls.push_back({.names = Names(count)});
  if (compared.has_value()) {
    const ArgumentRule one = {.index = call == Call::kGetpid ? 0u : 2u, .op = ArgumentRule::Op::kEqual, .value = 1};
    policy.syscalls.push_back({.names = {call == Call::kGetpid ? "getpid" : "read"}, .args = {one}, .action = *compared});
  }
  BROOD_ASSIGN_OR_RETURN(CompiledFilter filter, CompileFilter(policy));
  return filter.instructions;
}

// `layout` is libseccomp's SCMP_FLTATR_CTL_OPTIMIZE: 1 is its default, 2 a binary tree.
absl::StatusOr<Filter> Libseccomps(int count, uint32_t layout) {
  std::unique_ptr<void, void (*)(void*)> context(seccomp_init(SCMP_ACT_ERRNO(EPERM)), [](void* c) { seccomp_release(c); });
  if (context == nullptr) return absl::InternalError("seccomp_init");
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, layout);
  for (const std::string& name : Names(count)) {
    const int error = seccomp_rule_add_array(context.get(), SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(name.c_str()), 0, nullptr);
    if (error != 0) return ErrnoStatus(-error, "seccomp_rule_add_array", name);
  }
  UniqueFd file(memfd_create("brood-bench", MFD_CLOEXEC));
  if (!file.valid() || seccomp_export_bpf(context.get(), file.get()) != 0) return absl::InternalError("seccomp_export_bpf");
  const off_t size = lseek(file.get(), 0, SEEK_END);
  Filter filter(static_cast<size_t>(size) / sizeof(sock_filter));
  if (pread(file.get(), filter.data(), static_cast<size_t>(size), 0) != size) return ErrnoStatus(errno, "pread");
  return filter;
}

}  // namespace

absl::StatusOr<Contest> LoadFilters(int rounds) {
  Contest contest("load 300 rules", "libseccomp");
  BROOD_ASSIGN_OR_RETURN(const Filter plain, Libseccomps(300, 1));
  BROOD_ASSIGN_OR_RETURN(const Filter tree, Libseccomps(300, 2));
  BROOD_ASSIGN_OR_RETURN(const Filter ours, Ours(300, std::nullopt));
  contest.AddTimed("libseccomp", [=] { return InChild([&] { return TimeLoad(plain); }); });
  contest.AddTimed("libseccomp, tree", [=] { return InChild([&] { return TimeLoad(tree); }); });
  contest.AddTimed("brood", [=] { return InChild([&] { return TimeLoad(ours); }); });
  contest.Run(rounds);
  return contest;
}

namespace {

absl::Status AddCalls(Contest& contest, Call call) {
  contest.AddTimed("no filter", [=] { return InChild([&] { return TimeCalls({}, call); }); });
  for (const int rules : {60, 300}) {
    BROOD_ASSIGN_OR_RETURN(const Filter allowed, Ours(rules, std::nullopt));
    BROOD_ASSIGN_OR_RETURN(const Filter compared, Ours(rules, SyscallAction::kAllow, call));
    contest.AddTimed(absl::StrCat("allowed, of ", rules), [=] { return InChild([&] { return TimeCalls(allowed, call); }); });
    contest.AddTimed(absl::StrCat("compared, of ", rules), [=] { return InChild([&] { return TimeCalls(compared, call); }); });
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Contest> ReadThroughFilters(int rounds) {
  Contest contest("a call (read)", "no filter");
  BROOD_RETURN_IF_ERROR(AddCalls(contest, Call::kRead));
  contest.Run(rounds);
  return contest;
}

absl::StatusOr<Contest> CallThroughFilters(int rounds) {
  Contest contest("a call (getpid)", "no filter");
  BROOD_RETURN_IF_ERROR(AddCalls(contest, Call::kGetpid));
  BROOD_ASSIGN_OR_RETURN(const Filter told, Ours(300, SyscallAction::kNotify));
  contest.AddTimed("told to a supervisor", [=] { return InChild([&] { return TimeRoundTrips(told); }); });
  contest.Run(rounds);
  return contest;
}

}  // namespace brood
