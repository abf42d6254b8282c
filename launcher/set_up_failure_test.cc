// Every step of the set-up is made to fail, by a filter that the test puts around the process that launches: nothing of it is
// in the product. The program must not run, the step and the errno must be told, and nothing may be left.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/process.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

// Which calls fail: those of `number`, with `(args[argument] & mask) == value`, or the opposite.
struct Fault {
  const char* name;
  long number;
  int error;
  const char* step;
  int argument = -1;  // -1: all of them.
  uint32_t mask = ~uint32_t{0};
  uint32_t value = 0;
  bool differs = false;
  const char* policy = "strict";
};

bool Inject(const Fault& fault) {
  std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(fault.number), 1, 0),
                                     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  if (fault.argument >= 0) {
    const auto offset = static_cast<uint32_t>(offsetof(seccomp_data, args) + static_cast<size_t>(fault.argument) * 8);
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
    filter.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, fault.mask));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, fault.value, static_cast<uint8_t>(fault.differs ? 0 : 1),
                              static_cast<uint8_t>(fault.differs ? 1 : 0)));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(fault.error)));
  const sock_fprog program = {static_cast<uint16_t>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

std::string Mounts() {
  std::ifstream file("/proc/self/mountinfo");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

int OpenDescriptors() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

std::vector<std::string> GroupsOf(pid_t owner) {
  const Machine::Cgroups& where = ThisMachine().cgroups;
  std::vector<std::string> found;
  for (const std::string* parent : {&where.unified, &where.memory, &where.pids, &where.cpuacct}) {
    if (parent->empty()) continue;
    for (const auto& entry : std::filesystem::directory_iterator(*parent)) {
      if (absl::StrContains(entry.path().string(), absl::StrCat("brood-child-", owner, "-"))) found.push_back(entry.path());
    }
  }
  return found;
}

CpuSet OwnCpus() {
  cpu_set_t own;
  sched_getaffinity(0, sizeof(own), &own);
  CpuSet cpus;
  for (size_t cpu = 0; cpu < cpus.size() && cpu < CPU_SETSIZE; ++cpu) cpus[cpu] = CPU_ISSET(cpu, &own);
  return cpus;
}

class SetUpFailureTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    policy_ = BuiltinPolicy("strict").value();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // What became of a launch of `argv` in a process of its own where `fault` happens: "outcome" or "step|errno|detail".
  std::string Launch(const Fault* fault, const std::vector<std::string>& argv) {
    const absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy_);
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    if (!compiled.ok()) return "";
    int report[2];
    EXPECT_EQ(pipe2(report, O_CLOEXEC), 0);
    const pid_t launcher = fork();
    if (launcher == 0) {
      close(report[0]);
      LaunchOptions options;
      options.argv = argv;
      options.policy = *compiled;
      options.stdin_spec = options.stdout_spec = options.stderr_spec = Stdio::Null();
      if (fault != nullptr && !Inject(*fault)) _exit(3);
      const int before = OpenDescriptors();
      std::string text = Try(options);
      if (OpenDescriptors() != before) absl::StrAppend(&text, "\nleft descriptors open");
      int status = 0;
      if (waitpid(-1, &status, WNOHANG | __WALL) != -1 || errno != ECHILD) absl::StrAppend(&text, "\nleft a child");
      if (write(report[1], text.data(), text.size()) < 0) _exit(4);
      _exit(0);
    }
    close(report[1]);
    std::string text;
    char buffer[1024];
    for (ssize_t n; (n = read(report[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
    close(report[0]);
    int status = 0;
    EXPECT_EQ(waitpid(launcher, &status, 0), launcher);
    EXPECT_EQ(status, 0);
    for (const std::string& group : GroupsOf(launcher)) absl::StrAppend(&text, "\nleft ", group);
    return text;
  }

  std::string directory_;
  Policy policy_;

 private:
  static std::string Try(const LaunchOptions& options) {
    absl::StatusOr<Process> process = Process::Launch(options);
    if (!process.ok()) return absl::StrCat("not launched: ", process.status().message());
    const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(10));
    if (!outcome.ok()) return outcome.status().ToString();
    if (const auto* failed = std::get_if<SetupFailed>(&outcome->ending)) {
      return absl::StrCat(failed->step, "|", failed->error_number, "|", failed->detail);
    }
    return outcome->ToString();
  }
};

class SetUpStepTest : public SetUpFailureTest, public testing::WithParamInterface<Fault> {};

constexpr uint32_t kUserNamespace = CLONE_NEWUSER;

constexpr Fault kFaults[] = {
    {"Subreaper", SYS_prctl, EINVAL, "tree", 0, ~0u, PR_SET_CHILD_SUBREAPER},
    {"CloseRange", SYS_close_range, EMFILE, "descriptors"},
    {"Namespaces", SYS_clone, EPERM, "namespaces", 0, kUserNamespace, kUserNamespace},
    {"NamespaceLimit", SYS_clone, ENOSPC, "namespaces", 0, kUserNamespace, kUserNamespace},
    {"Cgroup", SYS_write, EBUSY, "cgroup", 2, ~0u, 1},
    {"CgroupNamespace", SYS_unshare, ENOMEM, "cgroup namespace"},
    {"TimeNamespace", SYS_unshare, ENOSPC, "time namespace", 0, CLONE_NEWTIME, CLONE_NEWTIME},
    {"TimeNamespaceEntered", SYS_setns, EUSERS, "time namespace"},
    {"GuardiansPlace", SYS_chdir, EACCES, "guardian"},
    {"IdMaps", SYS_write, EPERM, "user namespace", 2, ~0u, sizeof("1000 1610612736 1")},  // With its newline.
    {"Hostname", SYS_sethostname, EPERM, "hostname"},
    {"LoopbackSocket", SYS_socket, EMFILE, "network", 0, ~0u, AF_INET, false, "default"},
    {"LoopbackUp", SYS_ioctl, EPERM, "network", 1, ~0u, 0x8914, false, "default"},
    {"Source", SYS_openat2, EACCES, "mount"},
    {"SourceTree", SYS_open_tree, EPERM, "mount"},
    {"Attributes", SYS_mount_setattr, EINVAL, "mount"},
    {"OverlaysLayers", SYS_umount2, EINVAL, "mount"},
    {"Groups", SYS_setgroups, ENOMEM, "ids"},
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
    {"BoundingSet", SYS_prctl, ENOMEM, "capabilities", 0, ~0u, PR_CAPBSET_DROP},
    {"SecureBits", SYS_prctl, EINVAL, "capabilities", 0, ~0u, PR_SET_SECUREBITS},
    {"Ambient", SYS_prctl, EACCES, "capabilities", 0, ~0u, PR_CAP_AMBIENT},
    {"Capabilities", SYS_capset, EPERM, "capabilities"},
    {"KeptCapability", SYS_prctl, EPERM, "capabilities", 1, ~0u, PR_CAP_AMBIENT_RAISE},
    {"NoNewPrivs", SYS_prctl, EINVAL, "no_new_privs", 0, ~0u, PR_SET_NO_NEW_PRIVS},
    {"Dumpable", SYS_prctl, EINVAL, "capabilities", 0, ~0u, PR_SET_DUMPABLE},
    {"Session", SYS_setsid, EPERM, "session"},
    {"Fork", SYS_clone, EAGAIN, "fork", 0, CLONE_VFORK, CLONE_VFORK},
    {"LandlockRuleset", SYS_landlock_create_ruleset, ENOMEM, "landlock", 1, ~0u, 0, true},
    {"LandlockRule", SYS_landlock_add_rule, ENOMEM, "landlock"},
    {"LandlockDomain", SYS_landlock_restrict_self, E2BIG, "landlock"},
    {"Limits", SYS_prlimit64, EPERM, "limits", 2, ~0u, 0, true},
    {"Cpus", SYS_sched_setaffinity, EINVAL, "limits"},
    {"Filter", SYS_seccomp, EINVAL, "seccomp", 0, ~0u, SECCOMP_SET_MODE_FILTER},
    {"Exec", SYS_execve, ENOMEM, "exec"},
};

INSTANTIATE_TEST_SUITE_P(Every, SetUpStepTest, testing::ValuesIn(kFaults), [](const auto& info) { return info.param.name; });

TEST_P(SetUpStepTest, ThatFailsEndsTheLaunchAndIsTold) {
  const Fault& fault = GetParam();
  policy_ = BuiltinPolicy(fault.policy).value();
  policy_.files.push_back({.source = directory_, .destination = directory_, .access = FileRule::Access::kReadWrite});
  if (std::string_view(fault.name) == "KeptCapability") policy_.capabilities = {"chown"};
  if (std::string_view(fault.name) == "Cpus") policy_.limits.cpu_set = OwnCpus();
  if (std::string_view(fault.name) == "OverlaysLayers") policy_.files.push_back({.kind = FileRule::Kind::kOverlay, .source = directory_, .destination = "/view"});
  if (std::string_view(fault.step) == "time namespace") policy_.namespaces.insert(Layer::kTime);
  const std::vector<std::string> argv = {"sh", "-c", absl::StrCat("echo ran > ", directory_, "/ran")};
  const bool landlock = ThisMachine().landlock_abi > 1;
  if (std::string_view(fault.step) == "landlock" && !landlock) GTEST_SKIP() << "needs Landlock";
  if (std::string_view(fault.name) == "IdMaps" && !ThisMachine().can_map_any_id) GTEST_SKIP() << "needs an ownerless id, by whose length the call is told";
  if (std::string_view(fault.name) == "Groups" && !ThisMachine().can_drop_groups) GTEST_SKIP() << "needs the right to drop groups";
  if (std::string_view(fault.step) == "cgroup" && ThisMachine().cgroups.pids.empty()) GTEST_SKIP() << "needs cgroups of version 1";
  const std::string mounts = Mounts();
  ASSERT_EQ(Launch(nullptr, argv), "exited with code 0");
  ASSERT_TRUE(std::filesystem::remove(directory_ + "/ran"));
  const std::string told = Launch(&fault, argv);
  EXPECT_TRUE(absl::StartsWith(told, absl::StrCat(fault.step, "|", fault.error, "|"))) << told;
  EXPECT_FALSE(absl::StrContains(told, "\nleft")) << told;
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/ran"));
  EXPECT_EQ(Mounts(), mounts);
}

// A call that says it has succeeded and has done nothing: what is read back tells. SECCOMP_RET_ERRNO with 0 is that.
constexpr Fault kLies[] = {
    {"CgroupNamespace", SYS_unshare, 0, "namespace cgroup: expected an own one"},
    {"TimeNamespace", SYS_setns, 0, "namespace time: expected an own one"},
    {"Attributes", SYS_mount_setattr, 0, "mount at /"},
    {"OldRoot", SYS_umount2, 0, "mount at /"},
    {"BoundingSet", SYS_prctl, 0, "CapBnd: expected 0000000000000000", 0, ~0u, PR_CAPBSET_DROP},
    {"Capabilities", SYS_capset, 0, "CapPrm: expected 0000000000000000"},
    {"Limits", SYS_prlimit64, 0, "resource limit ", 2, ~0u, 0, true},
    {"LandlockDomain", SYS_landlock_restrict_self, 0, "landlock: expected"},
    {"Filter", SYS_seccomp, 0, "seccomp: expected", 0, ~0u, SECCOMP_SET_MODE_FILTER},
};

class SetUpLieTest : public SetUpFailureTest, public testing::WithParamInterface<Fault> {};

INSTANTIATE_TEST_SUITE_P(Every, SetUpLieTest, testing::ValuesIn(kLies), [](const auto& info) { return info.param.name; });

TEST_P(SetUpLieTest, ThatNothingWasDoneIsReadBack) {
  const Fault& fault = GetParam();
  if (absl::StartsWith(fault.step, "landlock") && ThisMachine().landlock_abi < 6) GTEST_SKIP() << "needs Landlock ABI 6";
  policy_.files.push_back({.source = directory_, .destination = directory_, .access = FileRule::Access::kReadWrite});
  if (fault.number == SYS_setns) policy_.namespaces.insert(Layer::kTime);
  const std::string told = Launch(&fault, {"sh", "-c", absl::StrCat("echo ran > ", directory_, "/ran")});
  EXPECT_TRUE(absl::StartsWith(told, absl::StrCat("read_back|0|", fault.step))) << told;
  EXPECT_FALSE(absl::StrContains(told, "\nleft")) << told;
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/ran"));
}

// The calls of the set-up, each refused with errnos that some code takes for harmless or not.
TEST_F(SetUpFailureTest, WhateverIsRefusedAProgramRunsConfinedOrNotAtAll) {
  const std::string program = std::filesystem::absolute("tests/programs/bin/is_confined");
  policy_.files.push_back({.source = program, .destination = "/is_confined"});
  ASSERT_EQ(Launch(nullptr, {"/is_confined"}), "exited with code 0");
  int refused = 0;
  for (const long number :
       {SYS_socketpair, SYS_clone, SYS_clone3, SYS_unshare, SYS_prctl, SYS_capset, SYS_setresuid, SYS_setresgid, SYS_setgroups,
        SYS_setsid, SYS_sethostname, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_open_tree, SYS_move_mount, SYS_fsopen,
        SYS_fsconfig, SYS_fsmount, SYS_mount_setattr, SYS_openat2, SYS_mkdirat, SYS_symlinkat, SYS_fchdir, SYS_chdir, SYS_statx,
        SYS_fcntl, SYS_dup2, SYS_dup3, SYS_close_range, SYS_prlimit64, SYS_landlock_create_ruleset, SYS_landlock_add_rule,
        SYS_landlock_restrict_self, SYS_seccomp, SYS_execve, SYS_pipe2, SYS_getppid}) {
    for (const int error : {EPERM, EINVAL, ENOSYS, ENOENT, EBUSY}) {
      const Fault fault = {"", number, error, ""};
      const std::string told = Launch(&fault, {"/is_confined"});
      // 40 and more: what it found that should not be.
      EXPECT_FALSE(absl::StartsWith(told, "exited with code 4")) << number << ", " << strerror(error) << ": " << told;
      EXPECT_FALSE(absl::StrContains(told, "\nleft")) << number << ", " << strerror(error) << ": " << told;
      refused += absl::StartsWith(told, "exited with code 0") ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace brood
