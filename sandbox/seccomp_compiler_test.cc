#include "sandbox/seccomp_compiler.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "gtest/gtest.h"

namespace brood {
namespace {

// What a filter answers to one call: the kernel's own rules for classic BPF over seccomp_data. bpf(4), seccomp(2).
uint32_t Evaluate(const std::vector<sock_filter>& program, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const sock_filter& i = program[pc];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, sizeof(a));
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= i.k;
        break;
      case BPF_JMP | BPF_JA:
        pc += i.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        pc += a == i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        pc += a > i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        pc += a >= i.k ? i.jt : i.jf;
        break;
      case BPF_RET | BPF_K:
        return i.k;
      default:
        ADD_FAILURE() << "instruction " << i.code;
        return 0;
    }
  }
  ADD_FAILURE() << "fell off the end";
  return 0;
}

class FilterTest : public testing::Test {
 protected:
  void Compile(std::string_view name) { Compile(BuiltinPolicy(name).value()); }
  void Compile(const Policy& policy) {
    absl::StatusOr<CompiledFilter> filter = CompileFilter(policy);
    ASSERT_TRUE(filter.ok()) << filter.status();
    program_ = filter->instructions;
  }
  uint32_t Call(const char* name, uint64_t arg0 = 0, uint64_t arg1 = 0) {
    return CallNumber(seccomp_syscall_resolve_name(name), arg0, arg1);
  }
  uint32_t CallWith(const char* name, std::array<uint64_t, 4> args) {
    seccomp_data data = {};
    data.nr = seccomp_syscall_resolve_name(name);
    data.arch = seccomp_arch_native();
    std::copy(args.begin(), args.end(), std::begin(data.args));
    return Evaluate(program_, data);
  }
  uint32_t CallNumber(int number, uint64_t arg0 = 0, uint64_t arg1 = 0, uint32_t arch = seccomp_arch_native()) {
    seccomp_data data = {};
    data.nr = number;
    data.arch = arch;
    data.args[0] = arg0;
    data.args[1] = arg1;
    return Evaluate(program_, data);
  }
  std::vector<sock_filter> program_;
};

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kViolation = SECCOMP_RET_USER_NOTIF;
constexpr uint32_t Errno(int value) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(value); }

TEST_F(FilterTest, StrictAllowsTheListAndReportsTheRest) {
  Compile("strict");
  EXPECT_EQ(Call("read"), kAllow);
  EXPECT_EQ(Call("execve"), kAllow);
  EXPECT_EQ(Call("mount"), kViolation);
  EXPECT_EQ(Call("ptrace"), kViolation);
  EXPECT_EQ(Call("socket", 2), kViolation);
}

TEST_F(FilterTest, StrictRefusesWhatProgramsTryAndGoOnWithout) {
  Compile("strict");
  for (const char* name : {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp", "io_uring_setup",
                           "io_uring_enter", "io_setup", "memfd_secret"}) {
    EXPECT_EQ(Call(name), Errno(ENOSYS)) << name;
  }
  for (const char* name : {"setpriority", "sched_setscheduler", "ioprio_set"}) EXPECT_EQ(Call(name), Errno(EPERM)) << name;
  for (const char* name : {"inotify_init", "inotify_init1"}) EXPECT_EQ(Call(name), Errno(EMFILE)) << name;
  for (const uint64_t notify : {uint64_t{0x402}, uint64_t{0x100000402}}) EXPECT_EQ(Call("fcntl", 0, notify), Errno(EINVAL)) << notify;
  for (const char* name : {"socket", "socketpair"}) {
    EXPECT_EQ(Call(name, AF_UNIX), Errno(EACCES)) << name;
    EXPECT_EQ(Call(name, AF_INET), kViolation) << name;
  }
  // What a C library tries at the start of every program and thread.
  for (const char* name : {"rseq", "set_robust_list", "membarrier", "statx", "faccessat2", "close_range", "pidfd_open", "futex_waitv",
                           "getpriority", "sched_getaffinity"}) {
    EXPECT_EQ(Call(name), kAllow) << name;
  }
}

// All processes of a machine have so many requests together, and no limit of a sandbox counts them.
TEST_F(FilterTest, TheMachinesStoreOfAsynchronousRequestsIsNotTouched) {
  for (const char* policy : {"strict", "default", "networked"}) {
    Compile(policy);
    EXPECT_EQ(Call("io_setup"), Errno(ENOSYS)) << policy;
  }
}

TEST_F(FilterTest, CallsThatAreNewGiveEnosysWhateverTheTableKnows) {
  constexpr int kMemfdSecret = 447;
  constexpr int kNewest = 469;  // file_setattr, Linux 6.17.
  for (const char* name : {"strict", "default", "networked"}) {
    Compile(name);
    for (int number = kMemfdSecret; number <= kNewest; ++number) {
      const uint32_t answer = CallNumber(number);
      EXPECT_TRUE(answer == Errno(ENOSYS) || answer == kAllow) << name << " " << number << " " << std::hex << answer;
    }
  }
}

TEST_F(FilterTest, DefaultRefusesWithEpermAndReportsAttacks) {
  Compile("default");
  EXPECT_EQ(Call("socket", AF_INET, SOCK_STREAM), kAllow);
  EXPECT_EQ(Call("socket", AF_NETLINK, SOCK_RAW), Errno(EPERM));
  EXPECT_EQ(Call("mount"), kViolation);
  EXPECT_EQ(Call("bpf"), kViolation);
  EXPECT_EQ(Call("io_uring_setup"), Errno(ENOSYS));
}

TEST_F(FilterTest, NewNamespacesAreNoWayRoundForClone) {
  for (const char* name : {"strict", "default", "networked"}) {
    Compile(name);
    EXPECT_EQ(Call("clone", 0x1200011), kAllow) << name;
    for (uint64_t flag : {0x20000u, 0x2000000u, 0x4000000u, 0x8000000u, 0x10000000u, 0x20000000u, 0x40000000u}) {
      EXPECT_NE(Call("clone", flag | 17), kAllow) << name << std::hex << flag;
    }
    EXPECT_EQ(Call("clone3"), Errno(ENOSYS)) << name;
    EXPECT_NE(Call("unshare", 0x10000000), kAllow) << name;
  }
}

TEST_F(FilterTest, TerminalInjectionIsComparedIn32Bits) {
  constexpr uint64_t kHigh = uint64_t{1} << 32;  // CVE-2019-10063: the kernel ignores the high half.
  for (const char* name : {"strict", "default", "networked"}) {
    Compile(name);
    EXPECT_EQ(Call("ioctl", 0, 0x5401), kAllow) << name;
    // TIOCSTI, TIOCLINUX, TIOCSETD.
    for (const uint64_t request : {0x5412u, 0x541cu, 0x5423u}) {
      EXPECT_EQ(Call("ioctl", 0, request), kViolation) << name << std::hex << request;
      EXPECT_EQ(Call("ioctl", 0, request | kHigh), kViolation) << name << std::hex << request;
    }
  }
}

TEST_F(FilterTest, NoCallGivesAFileASetIdBit) {
  for (const char* name : {"strict", "default", "networked"}) {
    Compile(name);
    for (const uint64_t bit : {04000u, 02000u, 06000u}) {
      const uint64_t mode = 0755 | bit;
      EXPECT_EQ(CallWith("chmod", {0, mode}), Errno(EPERM)) << name;
      EXPECT_EQ(CallWith("fchmod", {0, mode}), Errno(EPERM)) << name;
      EXPECT_EQ(CallWith("fchmodat", {0, 0, mode}), Errno(EPERM)) << name;
      EXPECT_EQ(CallWith("creat", {0, mode}), Errno(EPERM)) << name;
      EXPECT_EQ(CallWith("mknod", {0, mode}), Errno(EPERM)) << name;
      EXPECT_EQ(CallWith("mknodat", {0, 0, mode}), Errno(EPERM)) << name;
      EXPECT_EQ(CallWith("open", {0, O_CREAT | O_WRONLY, mode}), Errno(EPERM)) << name;
      EXPECT_EQ(CallWith("openat", {0, 0, O_CREAT | O_WRONLY, mode}), Errno(EPERM)) << name;
      EXPECT_EQ(CallWith("openat", {0, 0, O_TMPFILE | O_WRONLY, mode}), Errno(EPERM)) << name;
      // Without a file to be made the mode is whatever the register holds.
      EXPECT_EQ(CallWith("openat", {0, 0, O_RDONLY, mode}), kAllow) << name;
    }
    EXPECT_EQ(CallWith("chmod", {0, 01777}), kAllow) << name;
    EXPECT_EQ(CallWith("openat", {0, 0, O_CREAT | O_WRONLY, 0666}), kAllow) << name;
    EXPECT_EQ(Call("openat2"), Errno(ENOSYS)) << name;
  }
}

TEST_F(FilterTest, HugePagesAreNotToBeHad) {
  for (const char* name : {"strict", "default", "networked"}) {
    Compile(name);
    EXPECT_EQ(CallWith("mmap", {0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS}), kAllow) << name;
    EXPECT_EQ(CallWith("mmap", {0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB}), Errno(ENOMEM)) << name;
    EXPECT_EQ(CallWith("memfd_create", {0, MFD_CLOEXEC}), kAllow) << name;
    EXPECT_EQ(CallWith("memfd_create", {0, MFD_CLOEXEC | MFD_HUGETLB}), Errno(ENOSYS)) << name;
  }
  EXPECT_EQ(CallWith("shmget", {0, 4096, IPC_CREAT | SHM_HUGETLB}), Errno(ENOMEM));
}

TEST_F(FilterTest, LimitsAreSetOfTheOwnProcessOnly) {
  for (const char* name : {"strict", "default", "networked"}) {
    Compile(name);
    EXPECT_EQ(CallWith("prlimit64", {0, RLIMIT_NOFILE, 0x1000}), kAllow) << name;
    EXPECT_EQ(CallWith("prlimit64", {1, RLIMIT_NOFILE, 0, 0x1000}), kAllow) << name;
    EXPECT_EQ(CallWith("prlimit64", {1, RLIMIT_NOFILE, 0x1000}), Errno(EPERM)) << name;
  }
}

TEST_F(FilterTest, TheInitIsNotSlowedDown) {
  for (const char* name : {"strict", "default", "networked"}) {
    Compile(name);
    EXPECT_EQ(CallWith("sched_setaffinity", {0, 8, 0x1000}), kAllow) << name;
    EXPECT_EQ(CallWith("sched_setaffinity", {4242, 8, 0x1000}), kAllow) << name;
    for (const char* call : {"sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"}) {
      EXPECT_EQ(CallWith(call, {1, 8, 0x1000}), Errno(EPERM)) << name << ", " << call;
      EXPECT_EQ(CallWith(call, {1ull << 32 | 1, 8, 0x1000}), Errno(EPERM)) << name << ", " << call;
    }
    // By its number, and as one of the user's. setpriority(2), ioprio_set(2).
    for (const auto& [call, user] : {std::pair<const char*, uint64_t>("setpriority", PRIO_USER), {"ioprio_set", 3}}) {
      for (const uint64_t which : {0, 1, 2, 3}) EXPECT_EQ(CallWith(call, {which, 1, 19}), Errno(EPERM)) << name << ", " << call;
      EXPECT_EQ(CallWith(call, {user, 0, 19}), Errno(EPERM)) << name << ", " << call;
    }
  }
  Compile("default");
  EXPECT_EQ(CallWith("setpriority", {PRIO_PROCESS, 0, 19}), kAllow);
  EXPECT_EQ(CallWith("sched_setscheduler", {0, 3, 0x1000}), kAllow);
}

TEST_F(FilterTest, TheLimitOfCoreDumpsStaysUnlessSomeAreAskedFor) {
  for (const char* name : {"strict", "default", "networked"}) {
    Policy policy = BuiltinPolicy(name).value();
    Compile(policy);
    EXPECT_EQ(CallWith("setrlimit", {RLIMIT_CORE, 0x1000}), Errno(0)) << name;
    EXPECT_EQ(CallWith("setrlimit", {RLIMIT_NOFILE, 0x1000}), kAllow) << name;
    EXPECT_EQ(CallWith("prlimit64", {0, RLIMIT_CORE, 0x1000}), Errno(0)) << name;
    EXPECT_EQ(CallWith("prlimit64", {0, RLIMIT_CORE | 1ull << 32, 0x1000}), Errno(0)) << name;
    EXPECT_EQ(CallWith("prlimit64", {0, RLIMIT_CORE, 0x1000, 0x2000}), Errno(EINVAL)) << name;
    EXPECT_EQ(CallWith("prlimit64", {0, RLIMIT_CORE, 0, 0x2000}), kAllow) << name;
    policy.limits.core_bytes = 1 << 20;
    Compile(policy);
    EXPECT_EQ(CallWith("setrlimit", {RLIMIT_CORE, 0x1000}), kAllow) << name;
  }
}

TEST_F(FilterTest, ASetOfCpusIsNotWidened) {
  for (const char* name : {"strict", "default", "networked"}) {
    Policy policy = BuiltinPolicy(name).value();
    policy.limits.cpu_set = CpuSet(1);
    Compile(policy);
    EXPECT_EQ(Call("sched_setaffinity"), Errno(EPERM)) << name;
    EXPECT_EQ(Call("sched_getaffinity"), kAllow) << name;
    // Whatever a file says of it.
    policy.syscalls.push_back({.names = {"@threads"}, .args = {{.index = 0, .value = 0}}, .layer = 7});
    policy.syscalls.push_back({.names = {"sched_setaffinity"}, .action = SyscallAction::kErrno, .errno_value = ENOSYS, .layer = 7});
    Compile(policy);
    EXPECT_EQ(Call("sched_setaffinity"), Errno(EPERM)) << name;
    policy.syscalls.push_back({.names = {"sched_setaffinity"}, .action = SyscallAction::kKill, .layer = 8});
    Compile(policy);
    EXPECT_EQ(Call("sched_setaffinity"), kViolation) << name;
  }
  Compile("default");
  EXPECT_EQ(Call("sched_setaffinity"), kAllow);
}

TEST_F(FilterTest, NetworkedHasNoSocketThatReachesAnAbstractName) {
  Compile("networked");
  EXPECT_EQ(Call("socket", AF_UNIX, SOCK_STREAM), Errno(EACCES));
  EXPECT_EQ(Call("socketpair", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC), kAllow);
  EXPECT_EQ(Call("socketpair", AF_UNIX, SOCK_SEQPACKET), kAllow);
  EXPECT_EQ(Call("socketpair", AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC), Errno(EPERM));
  EXPECT_EQ(Call("socketpair", AF_UNIX, SOCK_RAW), Errno(EPERM));  // The kernel's AF_UNIX takes it for SOCK_DGRAM.
  EXPECT_EQ(Call("socket", AF_INET, SOCK_STREAM), kAllow);
}

TEST_F(FilterTest, TheInternetsSocketsAreThoseOfTcpAndUdp) {
  constexpr uint64_t kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  constexpr uint64_t kMptcp = 262;
  constexpr uint64_t kUdpLite = 136;
  constexpr uint64_t kHigh = 1ull << 32;  // The kernel takes ints.
  for (const char* name : {"default", "networked"}) {
    Compile(name);
    for (const uint64_t family : {AF_INET, AF_INET6}) {
      for (const uint64_t protocol : {uint64_t{0}, uint64_t{IPPROTO_TCP}}) EXPECT_EQ(CallWith("socket", {family, SOCK_STREAM | kFlags, protocol}), kAllow);
      for (const uint64_t protocol : {uint64_t{0}, uint64_t{IPPROTO_UDP}}) EXPECT_EQ(CallWith("socket", {family, SOCK_DGRAM | kFlags, protocol}), kAllow);
      EXPECT_EQ(CallWith("socket", {family | kHigh, SOCK_STREAM | kHigh, IPPROTO_TCP | kHigh}), kAllow);
      for (const uint64_t protocol : {kMptcp, kMptcp | kHigh, uint64_t{IPPROTO_SCTP}, uint64_t{IPPROTO_UDP}}) {
        EXPECT_EQ(CallWith("socket", {family, SOCK_STREAM | kFlags, protocol}), Errno(EPROTONOSUPPORT)) << name << " " << protocol;
      }
      for (const uint64_t protocol : {kUdpLite, uint64_t{IPPROTO_ICMP}, uint64_t{IPPROTO_ICMPV6}, uint64_t{IPPROTO_TCP}}) {
        EXPECT_EQ(CallWith("socket", {family, SOCK_DGRAM | kFlags, protocol}), Errno(EPROTONOSUPPORT)) << name << " " << protocol;
      }
      EXPECT_EQ(CallWith("socket", {family, SOCK_RAW | kFlags, IPPROTO_TCP}), Errno(EPERM)) << name;
      for (const uint64_t type : {SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET}) {
        EXPECT_EQ(CallWith("socket", {family, type | kFlags, 0}), Errno(ESOCKTNOSUPPORT)) << name << " " << type;
      }
    }
    // Families that differ from AF_INET in the bit by which AF_INET6 does, and in another.
    for (const uint64_t family : {AF_X25, AF_ROSE}) EXPECT_EQ(CallWith("socket", {family, SOCK_STREAM, 0}), Errno(EPERM)) << name;
  }
}

TEST_F(FilterTest, NumbersThatNobodyKnowsGiveEnosys) {
  for (const char* name : {"strict", "default", "networked"}) {
    Compile(name);
    EXPECT_EQ(CallNumber(100000), Errno(ENOSYS)) << name;
  }
}

TEST_F(FilterTest, ForeignArchitecturesAreViolations) {
  Compile("default");
  EXPECT_EQ(CallNumber(3, 0, 0, AUDIT_ARCH_I386), kViolation);
  if (seccomp_arch_native() == AUDIT_ARCH_X86_64) {
    EXPECT_EQ(CallNumber(0x40000000), kViolation);
  }
}

TEST_F(FilterTest, ANearerRuleReplacesTheBaseForThatCall) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.syscalls.push_back({.names = {"socket"}, .action = SyscallAction::kErrno, .errno_value = EAFNOSUPPORT, .layer = 7});
  policy.syscalls.push_back({.names = {"mount"}, .action = SyscallAction::kAllow, .layer = 7});
  Compile(policy);
  EXPECT_EQ(Call("socket", 1), Errno(EAFNOSUPPORT));
  EXPECT_EQ(Call("socket", 2), Errno(EAFNOSUPPORT));
  EXPECT_EQ(Call("mount"), kAllow);
  EXPECT_EQ(Call("umount2"), kViolation);
}

TEST_F(FilterTest, ARuleForACallCountsBeforeOneForItsGroupWhicheverStandsFirst) {
  Policy policy = BuiltinPolicy("default").value();
  const SyscallRule call = {.names = {"listen"}, .action = SyscallAction::kKill, .layer = 7};
  const SyscallRule group = {.names = {"@sockets"}, .action = SyscallAction::kAllow, .layer = 7};
  for (const auto& [first, second] : {std::pair(call, group), std::pair(group, call)}) {
    Policy both = policy;
    both.syscalls.push_back(first);
    both.syscalls.push_back(second);
    Compile(both);
    EXPECT_EQ(Call("listen"), kViolation);
    EXPECT_EQ(Call("bind"), kAllow);
  }
}

TEST_F(FilterTest, UnknownNamesAreErrorsThatNameTheRule) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.syscalls = {{.names = {"read"}}, {.names = {"raed"}}};
  EXPECT_EQ(CompileFilter(policy).status().message(), "syscalls[1]: unknown system call raed");
  policy.syscalls = {{.names = {"@nothing"}}};
  EXPECT_EQ(CompileFilter(policy).status().message(), "syscalls[0]: unknown system call group @nothing");
}

TEST(SyscallNameTest, NamesNumbersOfEveryArchitecture) {
  EXPECT_EQ(SyscallName(AUDIT_ARCH_X86_64, 165), "mount");
  EXPECT_EQ(SyscallName(AUDIT_ARCH_I386, 11), "execve");
  EXPECT_EQ(SyscallName(AUDIT_ARCH_X86_64, 99999), "unknown");
  EXPECT_EQ(ArchName(AUDIT_ARCH_X86_64, 0x40000001), "x32");
}

}  // namespace
}  // namespace brood
