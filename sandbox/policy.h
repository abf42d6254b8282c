// What a child may do, as data.
//
//   BROOD_ASSIGN_OR_RETURN(Policy policy, BuiltinPolicy("strict"));
//   policy.files.push_back({.kind = FileRule::Kind::kBind, .source = "/data/in", .destination = "/data/in"});
//   policy.limits.memory_bytes = 256 << 20;
//
// Plain values, no behaviour: a policy is compiled for this machine by sandbox/plan.h. People write the same thing as
// JSON (docs/policy.md); its FlatBuffers schema is serialization/policy.fbs.
#ifndef BROOD_SANDBOX_POLICY_H_
#define BROOD_SANDBOX_POLICY_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "sandbox/layer.h"
#include "sandbox/process_attributes.h"

namespace brood {

// One thing that the child sees in its file system. A later rule for the same destination replaces an earlier one.
struct FileRule {
  enum class Kind {
    kBind,
    kTmpfs,
    kOverlay,  // What is at the source, to be changed at will: changes are kept in memory, and gone with the child.
    kMerged,   // What is at the source and in `layers` as one directory, to be read.
    kSymlink,  // Made in the child's own root, as are the others: a link to `text`.
    kDirectory,
    kFile,     // With the content `text`.
  };
  enum class Access {
    kReadOnly,
    kReadWrite,
    kDevice,  // kBind only: a device, or a directory with nothing but devices, to be used as such.
  };

  Kind kind = Kind::kBind;
  std::string source;       // Absolute path of this machine; empty for kTmpfs and what is made.
  std::string destination;  // Absolute path inside.
  Access access = Access::kReadOnly;
  uint64_t size_bytes = 0;  // kTmpfs and kOverlay only; 0 stands for 64 MiB.
  // kOverlay only: a directory of this machine in which changes are kept instead, and found again by the next child that has
  // it. Absolute; empty: they are kept in memory.
  std::string changes;
  bool optional = false;    // kBind only: left out where this machine has no such source. Else that is an error.
  std::vector<std::string> layers;  // kOverlay and kMerged: further directories, below the source, from top to bottom.
  std::string text;                 // kSymlink and kFile only; no zero byte in it.
  // kTmpfs (without it 01777), kDirectory (0755) and kFile (0444) only: permissions, without set-id bits.
  std::optional<uint32_t> mode;
  // Nothing there is executed, nor mapped to be: of what is shown and of kTmpfs. Takes a mount namespace.
  bool no_exec = false;
};

// How many `layers` an overlay can have: an option of a mount has at most 255 bytes. fsconfig(2)
inline constexpr size_t kMaxLayers = 11;

enum class NetworkMode {
  kNone,      // A network namespace without any interface up.
  kLoopback,  // Its own loopback interface only.
  kHost,      // The network of this machine.
  kAllow,     // Its own loopback interface, and connections to the listed destinations, which the guardian makes.
};

struct Network {
  NetworkMode mode = NetworkMode::kNone;
  std::vector<std::string> to;  // kAllow only: see sandbox/destination.h.
};

enum class SyscallAction {
  kAllow,
  kErrno,  // The call fails with `errno_value`.
  kKill,   // A violation: reported with its arguments, then the tree is killed.
  kLog,    // Allowed, and written to the kernel's audit log. seccomp(2), SECCOMP_RET_LOG.
  kNotify,  // Allowed, and counted in the outcome with the arguments of the first. No decision: those can change meanwhile.
};

// Compares one argument of a system call, as an unsigned number of 64 bits, or of its low 32 bits only. For an argument that
// the kernel takes as an int, 32 is the width: it does not look at the rest.
struct ArgumentRule {
  enum class Op { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual, kMaskedEqual };
  unsigned index = 0;  // 0 to 5.
  Op op = Op::kEqual;
  uint64_t value = 0;
  uint64_t mask = ~uint64_t{0};  // kMaskedEqual only.
  unsigned width = 64;           // Or 32.
};

struct SyscallRule {
  std::vector<std::string> names;  // System calls ("read") or groups ("@timers").
  // All must hold. Of several rules for one call the first that holds counts, and that without args if none does, wherever
  // it stands.
  std::vector<ArgumentRule> args;
  SyscallAction action = SyscallAction::kAllow;
  int errno_value = 0;  // kErrno only.
  // How near the file is that the rule came from: 0 for a built-in, 1 for what extends it. For each system call only
  // the rules of the highest layer that names it, directly or through a group, count.
  unsigned layer = 0;
};

// A filter of system calls that somebody else has made: what the kernel takes, by which a call is allowed only if the policy's own
// filter, and each other one, allows it too. Where several answer, the strictest answer counts. seccomp(2)
struct BpfFile {
  std::string path;     // Where it came from, for messages.
  std::string program;  // Instructions of eight bytes, struct sock_filter as this machine has it.
};

// Numbers of CPUs.
using CpuSet = std::bitset<1024>;

// A limit that is not set is not enforced.
struct Limits {
  std::optional<uint64_t> memory_bytes;     // The whole tree, swap and private tmpfs included.
  std::optional<uint64_t> processes;        // Processes and threads of the whole tree.
  std::optional<absl::Duration> cpu_time;   // The whole tree.
  std::optional<absl::Duration> wall_time;  // From the start of the target.
  std::optional<uint64_t> output_bytes;     // stdout and stderr together.
  std::optional<uint64_t> file_size_bytes;  // Each file.
  std::optional<uint64_t> open_files;       // Descriptors of each process.
  std::optional<uint64_t> core_bytes;       // Core dump size.
  std::optional<uint64_t> cpus_milli;       // CPU time of the whole tree for each second, in milliseconds: 1500 is one and a half CPUs.
  std::optional<uint64_t> cpu_weight;       // The whole tree's share where there is too little: 1 to 10000, others have 100.
  std::optional<uint64_t> io_weight;        // The same of disks.
  std::optional<uint64_t> disk_bytes;       // All files that the tree has written, together. Needs the mount namespace.
  std::optional<uint64_t> io_rate_bytes;    // A second, of the whole tree: read from, and as much written to, each disk.
  std::optional<CpuSet> cpu_set;            // Those that the whole tree may run on.
  // Resource limits of each process that none of the above stands for, by the names of ParseRlimit(): {"stack", 64 << 20}.
  std::map<std::string, uint64_t> rlimits;
  // Once the wall time is over the program gets SIGTERM, and so long to end by itself. Without it the tree is killed at once.
  std::optional<absl::Duration> grace;
};

// Landlock: what the kernel refuses of files, TCP and signals, by whatever descriptor or path a process comes to them.
enum class LandlockUse {
  kNone,
  kAvailable,  // As much of it as the machine has.
  kRequired,   // All that this policy makes use of, or the launch fails.
};

// What a program may have its CPU guess: where guesses can be observed, it reads by them what it must not. See
// sandbox/plan_speculation.h.
enum class SpeculationControl {
  kAllow,     // All that the kernel allows, where its system call filter would have some of it turned off, too.
  kKernel,    // As this kernel has it for any process with such a filter.
  kMitigate,  // No store bypass, and no indirect branches that others have trained, for good; or the launch fails.
};

// What the clocks show when the child starts, in a time namespace: neither tells how long the machine has been running.
struct Clocks {
  absl::Duration monotonic = absl::ZeroDuration();  // CLOCK_MONOTONIC
  absl::Duration boottime = absl::ZeroDuration();   // CLOCK_BOOTTIME
};
inline constexpr absl::Duration kMaxClock = absl::Hours(24 * 365 * 100);  // The kernel takes 146 years. time_namespaces(7)

// The ids inside of a user namespace: the program's own, and others that files and processes there can have. Which ids of the
// machine they are the policy does not say: none that owns something, or those that the caller was given. subuid(5)
struct Ids {
  uint32_t uid = 1000;
  uint32_t gid = 1000;
  uint32_t count = 1;  // 1: the own ones alone. More: those from 0 to before this.
};
inline constexpr uint64_t kMaxWeight = 10000;
inline constexpr uint64_t kMaxCpusMilli = 1'000'000'000;
inline constexpr uint32_t kMaxIds = 65536;
inline constexpr size_t kMaxGroups = 32;
inline constexpr uint32_t kMaxId = 0x7fffffff;  // Some programs take higher ones for negative numbers.

// What of the own /proc can be written, where the kernel lets its owner.
enum class ProcAccess {
  kReadOnly,
  kReadWrite,  // The directories of its processes, by which one maps the ids of a user namespace. Not what is the machine's.
};

enum class EnvironmentBase {
  kMinimal,  // PATH, HOME=/tmp, LANG and TERM only.
  kInherit,  // The caller's.
  kEmpty,
};

struct Policy {
  std::string name;  // The built-in it is or extends, or its file.

  // Which of user, pid, mount, net, ipc, uts, cgroup, time get their own namespace. Empty: none.
  LayerSet namespaces;
  Ids ids;  // Others than these need the user namespace.
  // Capabilities over the own ids that the program keeps, by sandbox/capabilities.h: "chown", "setuid". Need the user namespace.
  std::vector<std::string> capabilities;
  // Supplementary groups of this machine that the program has, by number. Need drop_privileges. Of a caller that is not root, those
  // that it has itself: the kernel takes none of them away.
  std::vector<uint32_t> groups;
  // Drop all other capabilities and set no_new_privs. On in every built-in but `none`.
  bool drop_privileges = false;
  LandlockUse landlock = LandlockUse::kNone;  // Needs drop_privileges.
  SpeculationControl speculation = SpeculationControl::kKernel;
  // Once all is set up, asks the kernel for it and compares; a difference fails the launch. Needs minimal_system.
  bool read_back = false;
  std::vector<FileRule> files;
  // Adds the synthetic parts: /proc of the own pid namespace, minimal /dev. Needs the mount namespace.
  bool minimal_system = false;
  ProcAccess proc = ProcAccess::kReadOnly;  // kReadWrite needs minimal_system.
  Network network;
  Clocks clocks;  // Other than zero: needs the time namespace.
  bool filter_syscalls = false;  // False: no filter at all, `syscalls` must be empty.
  std::vector<SyscallRule> syscalls;
  // What happens to a known system call that no rule names. Unknown numbers always give ENOSYS.
  SyscallAction unlisted = SyscallAction::kKill;
  int unlisted_errno = 0;
  std::vector<BpfFile> bpf_files;  // Filters besides. Need drop_privileges.
  ProcessAttributes process;
  // What a security module of Linux runs programs under: a profile of AppArmor, or a context of SELinux (sandbox/label.h). Empty:
  // whatever that module does by itself. Functions are not executed, and are refused with it.
  std::string label;
  EnvironmentBase environment = EnvironmentBase::kMinimal;
  std::string hostname;  // Empty: "brood" where there is a uts namespace.

  Limits limits;          // Asked for by somebody: enforced or the launch fails.
  Limits default_limits;  // Brought by a built-in: the strongest form that the machine has. `limits` wins.
  LayerSet allow_weaker;  // Layers whose weaker form, or absence, is accepted.
};

// Whether the kernel takes it for a host name. Errors: InvalidArgument, what was expected. sethostname(2).
absl::Status CheckHostname(std::string_view name);

// "strict", "default", "networked" or "none". Errors: NotFound.
absl::StatusOr<Policy> BuiltinPolicy(std::string_view name);

// The JSON text of a built-in policy as it stands in the tree. Errors: NotFound.
absl::StatusOr<std::string_view> BuiltinPolicyText(std::string_view name);

// Names of the built-in policies, in the order in which they get weaker.
std::vector<std::string_view> BuiltinPolicyNames();

// Lays file rules over a base's. One replaces the base's for the same place; one that shows a directory also replaces the
// optional read-only ones below it: /etc as a whole, for the single files of /etc that a built-in policy shows.
void LayFiles(std::vector<FileRule> nearer, std::vector<FileRule>& files);

// "64M", "1G", "4096": powers of 1024, a bare number is bytes. Errors: InvalidArgument, also for what does not fit.
absl::StatusOr<uint64_t> ParseSize(std::string_view text);

// "0.5", "2": CPUs, in thousandths. At least a hundredth, which is as little as the kernel divides.
absl::StatusOr<uint64_t> ParseCpus(std::string_view text);

// "0-1,3": numbers of CPUs, and ranges of them. At least one.
absl::StatusOr<CpuSet> ParseCpuSet(std::string_view text);

// "stack=64M": one of as, data, stack, memlock, sigpending, msgqueue, nice, rtprio, rttime, in the units of setrlimit(2).
absl::StatusOr<std::pair<std::string, uint64_t>> ParseRlimit(std::string_view text);

// The shortest text that reads back as the same.
std::string CpuSetText(const CpuSet& cpus);

// "500ms", "10s", "2m", "1h", a bare number is seconds; fractions are allowed. Must be positive.
absl::StatusOr<absl::Duration> ParseTime(std::string_view text);

// The file form of a network mode: "none", "loopback", "host", "allow:10.0.0.5:443,unix:/run/a.sock".
absl::StatusOr<Network> ParseNetwork(std::string_view text);

}  // namespace brood

#endif  // BROOD_SANDBOX_POLICY_H_
