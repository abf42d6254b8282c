// Every step of the set-up made to fail: what the tests of own and of kept sandboxes share.
#ifndef BROOD_LAUNCHER_SET_UP_FAULTS_H_
#define BROOD_LAUNCHER_SET_UP_FAULTS_H_

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "launcher/process.h"
#include "sandbox/policy.h"

namespace brood {

// Which calls fail: those of `number`, with `(args[argument] & mask) == value`, or the opposite.
struct Fault {
  const char* name = "";
  long number = -1;  // -1: none, the request is what fails.
  int error = 0;
  const char* step = "";
  int argument = -1;  // -1: all of them.
  uint32_t mask = ~uint32_t{0};
  uint32_t value = 0;
  bool differs = false;
  const char* policy = "strict";
  // What the step is there for, if not for every launch; the file or directory is one that is there.
  void (*wants)(Policy& policy, const std::string& directory) = nullptr;
  void (*asks)(LaunchOptions& options, const std::string& file) = nullptr;
  // The same, and it fails by itself.
  void (*fails)(LaunchOptions& options, const std::string& file) = nullptr;
};

inline void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

// Around the calling process, and all it starts.
bool Inject(const Fault& fault);

CpuSet OwnCpus();

inline constexpr uint32_t kUserNamespace = CLONE_NEWUSER;
inline constexpr uint32_t kRecursive = AT_RECURSIVE;
inline constexpr uint32_t kCopiedBytes = 12345;  // Nothing else is written in one piece of that size.

inline void WantTimeNamespace(Policy& policy, const std::string&) { policy.namespaces.insert(Layer::kTime); }
inline constexpr uint32_t kSetMdwe = 65;  // PR_SET_MDWE, which older headers lack.
inline void WantAttributes(Policy& policy, const std::string&) {
  policy.process = {.nice = 19, .oom_score_adj = 1000, .umask = 077, .personality = {"uname26"}, .deny_write_execute = true};
}
inline void WantGroups(Policy& policy, const std::string&) { policy.groups = {4242}; }
void WantFurtherFilter(Policy& policy, const std::string& directory);
inline void CopyIn(LaunchOptions& options, const std::string& file) { options.copy_in = {{.source = file, .destination = "/tmp/below/in"}}; }

inline void WantLink(Policy& policy, const std::string&) {
  policy.files.push_back({.kind = FileRule::Kind::kSymlink, .destination = "/link", .text = "/usr"});
}
inline void WantFile(Policy& policy, const std::string&) {
  policy.files.push_back({.kind = FileRule::Kind::kFile, .destination = "/given", .text = std::string(kCopiedBytes, 'x')});
}

inline constexpr Fault kFaults[] = {
    {"Subreaper", SYS_prctl, EINVAL, "tree", 0, ~0u, PR_SET_CHILD_SUBREAPER},
    {"CloseRange", SYS_close_range, EMFILE, "descriptors"},
    {"Namespaces", SYS_clone, EPERM, "namespaces", 0, kUserNamespace, kUserNamespace},
    {"NamespaceLimit", SYS_clone, ENOSPC, "namespaces", 0, kUserNamespace, kUserNamespace},
    {"Cgroup", SYS_write, EBUSY, "cgroup", 2, ~0u, 1},
    {"CgroupNamespace", SYS_unshare, ENOMEM, "cgroup namespace"},
    {.name = "TimeNamespace", .number = SYS_unshare, .error = ENOSPC, .step = "time namespace", .argument = 0, .mask = CLONE_NEWTIME, .value = CLONE_NEWTIME, .wants = WantTimeNamespace},
    {.name = "TimeNamespaceEntered", .number = SYS_setns, .error = EUSERS, .step = "time namespace", .wants = WantTimeNamespace},
    {"GuardiansPlace", SYS_chdir, EACCES, "guardian"},
    {"IdMaps", SYS_write, EPERM, "user namespace", 2, ~0u, sizeof("1000 1610612736 1")},  // With its newline.
    {"Hostname", SYS_sethostname, EPERM, "hostname"},
    {"LoopbackSocket", SYS_socket, EMFILE, "network", 0, ~0u, AF_INET, false, "default"},
    {"LoopbackUp", SYS_ioctl, EPERM, "network", 1, ~0u, SIOCSIFFLAGS, false, "default"},
    {"Source", SYS_openat2, EACCES, "mount"},
    {"SourceTree", SYS_open_tree, EPERM, "mount"},
    {"Attributes", SYS_mount_setattr, EINVAL, "mount"},
    {.name = "OverlaysLayers", .number = SYS_umount2, .error = EINVAL, .step = "mount",
     .wants = [](Policy& policy, const std::string& directory) { policy.files.push_back({.kind = FileRule::Kind::kOverlay, .source = directory, .destination = "/view"}); }},
    {.name = "LinkOfThePolicy", .number = SYS_symlinkat, .error = EEXIST, .step = "mount", .wants = WantLink},
    {.name = "FileOfThePolicy", .number = SYS_write, .error = ENOSPC, .step = "mount", .argument = 2, .mask = ~0u, .value = kCopiedBytes, .wants = WantFile},
    {.name = "OverlayOfTwo", .number = SYS_fsconfig, .error = EINVAL, .step = "mount", .argument = 1, .mask = ~0u, .value = FSCONFIG_SET_FLAG,
     .wants = [](Policy& policy, const std::string& directory) {
       policy.files.push_back({.kind = FileRule::Kind::kMerged, .source = directory, .destination = "/view", .layers = {"/usr/share"}});
     }},
    {.name = "Device", .number = SYS_landlock_add_rule, .error = EINVAL, .step = "landlock",
     .wants = [](Policy& policy, const std::string&) {
       policy.files.push_back({.source = "/dev/full", .destination = "/dev/given", .access = FileRule::Access::kDevice});
     }},
    {.name = "ProcOfTheMachine", .number = SYS_open_tree, .error = EPERM, .step = "mount", .argument = 2, .mask = kRecursive, .value = 0, .policy = "default",
     .wants = [](Policy& policy, const std::string&) { policy.proc = ProcAccess::kReadWrite; }},
    {"Groups", SYS_setgroups, ENOMEM, "ids"},
    {.name = "ChosenGroups", .number = SYS_setgroups, .error = ENOMEM, .step = "ids", .wants = WantGroups},
    {"Gid", SYS_setresgid, EINVAL, "ids"},
    {"Uid", SYS_setresuid, EAGAIN, "ids"},
    {"Private", SYS_mount, EPERM, "mount"},
    {"FileSystem", SYS_fsopen, ENODEV, "mount"},
    {"FileSystemOption", SYS_fsconfig, EINVAL, "mount"},
    {"FileSystemMount", SYS_fsmount, EPERM, "mount"},
    {"MoveMount", SYS_move_mount, EINVAL, "mount"},
    {"MountPoint", SYS_mkdirat, ENOSPC, "mount"},
    {"Link", SYS_symlinkat, EROFS, "mount"},
    {"NewRoot", SYS_fchdir, EACCES, "pivot_root"},
    {"PivotRoot", SYS_pivot_root, EINVAL, "pivot_root"},
    {"OldRoot", SYS_umount2, EBUSY, "pivot_root"},
    {.name = "CopyInOfNoSpace", .number = SYS_write, .error = ENOSPC, .step = "copy-in", .argument = 2, .mask = ~0u, .value = kCopiedBytes, .asks = CopyIn},
    {.name = "CopyInOntoAFile", .number = -1, .error = EEXIST, .step = "copy-in",
     .fails = [](LaunchOptions& options, const std::string& file) { options.copy_in = {{file, "/tmp/in"}, {file, "/tmp/in"}}; }},
    {.name = "CopyOutOfADevice", .number = -1, .error = EXDEV, .step = "copy-out",
     .fails = [](LaunchOptions& options, const std::string& file) { options.copy_out = {{.source = "/dev/zero", .destination = file}}; }},
    {"BoundingSet", SYS_prctl, ENOMEM, "capabilities", 0, ~0u, PR_CAPBSET_DROP},
    {"SecureBits", SYS_prctl, EINVAL, "capabilities", 0, ~0u, PR_SET_SECUREBITS},
    {"Ambient", SYS_prctl, EACCES, "capabilities", 0, ~0u, PR_CAP_AMBIENT},
    {"Capabilities", SYS_capset, EPERM, "capabilities"},
    {.name = "KeptCapability", .number = SYS_prctl, .error = EPERM, .step = "capabilities", .argument = 1, .mask = ~0u, .value = PR_CAP_AMBIENT_RAISE,
     .wants = [](Policy& policy, const std::string&) { policy.capabilities = {"chown"}; }},
    {.name = "Speculation", .number = SYS_prctl, .error = EPERM, .step = "speculation", .argument = 0, .mask = ~0u, .value = PR_SET_SPECULATION_CTRL,
     .wants = [](Policy& policy, const std::string&) {
       policy.speculation = SpeculationControl::kMitigate;
       policy.allow_weaker.insert(Layer::kSpeculation);
     }},
    {"NoNewPrivs", SYS_prctl, EINVAL, "no_new_privs", 0, ~0u, PR_SET_NO_NEW_PRIVS},
    {"Dumpable", SYS_prctl, EINVAL, "capabilities", 0, ~0u, PR_SET_DUMPABLE},
    {"Session", SYS_setsid, EPERM, "session"},
    {.name = "CurrentDirectory", .number = -1, .error = ENOENT, .step = "cwd", .fails = [](LaunchOptions& options, const std::string&) { options.cwd = "/nowhere"; }},
    {"Fork", SYS_clone, EAGAIN, "fork", 0, CLONE_VFORK, CLONE_VFORK},
    {"LandlockRuleset", SYS_landlock_create_ruleset, ENOMEM, "landlock", 1, ~0u, 0, true},
    {"LandlockRule", SYS_landlock_add_rule, ENOMEM, "landlock"},
    {"LandlockDomain", SYS_landlock_restrict_self, E2BIG, "landlock"},
    {"Limits", SYS_prlimit64, EPERM, "limits", 2, ~0u, 0, true},
    {.name = "Cpus", .number = SYS_sched_setaffinity, .error = EINVAL, .step = "limits", .wants = [](Policy& policy, const std::string&) { policy.limits.cpu_set = OwnCpus(); }},
    {.name = "Nice", .number = SYS_setpriority, .error = EPERM, .step = "attributes", .wants = WantAttributes},
    {.name = "OomScoreAdj", .number = SYS_write, .error = EACCES, .step = "attributes", .argument = 2, .mask = ~0u, .value = sizeof("1000") - 1, .wants = WantAttributes},
    {.name = "Personality", .number = SYS_personality, .error = EINVAL, .step = "attributes", .argument = 0, .mask = ~0u, .value = ~0u, .differs = true, .wants = WantAttributes},
    {.name = "WriteExecute", .number = SYS_prctl, .error = EINVAL, .step = "attributes", .argument = 0, .mask = ~0u, .value = kSetMdwe, .wants = WantAttributes},
    {.name = "FurtherFilter", .number = SYS_seccomp, .error = ENOMEM, .step = "seccomp", .argument = 0, .mask = ~0u, .value = SECCOMP_SET_MODE_FILTER, .wants = WantFurtherFilter},
    {"Filter", SYS_seccomp, EINVAL, "seccomp", 0, ~0u, SECCOMP_SET_MODE_FILTER},
    {"Exec", SYS_execve, ENOMEM, "exec"},
    {.name = "Terminal", .number = SYS_ioctl, .error = EPERM, .step = "terminal", .argument = 1, .mask = ~0u, .value = TIOCSCTTY,
     .asks = [](LaunchOptions& options, const std::string&) {
       options.terminal.emplace();
       options.stderr_spec = Stdio::Merge();
     }},
};

// What a fault needs of the machine and has not; empty: nothing.
std::string LacksFor(const Fault& fault);

enum class Harm { kNone, kDone };

// "step|errno|detail", or how it ended otherwise.
std::string TextOf(const Outcome& outcome);
std::string LaunchInItsOwn(const LaunchOptions& options);

using Launcher = std::function<std::string(const LaunchOptions&)>;

// Launches by a process of their own, around which a fault may be.
class SetUpFailureTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // What became of it, and what it has left behind.
  std::string Launch(const Fault& fault, Harm harm, const std::vector<std::string>& argv, const Launcher& by = LaunchInItsOwn);

  // Of a program that leaves a file: runs without the fault, and with it does not, but tells what `expects` says.
  void ExpectEndsTheLaunch(const Fault& fault, const std::string& expects, const Launcher& by = LaunchInItsOwn);

  std::string directory_;
  Policy policy_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_SET_UP_FAULTS_H_
