// `brood doctor` where a layer is missing: each lack is made, in namespaces or by a filter of the test's own, and the doctor
// must name why, and the setting or command that ends it.
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

// The line of `layer` in the doctor's table, or all of it if there is none.
std::string LineOf(std::string_view layer, const std::string& table) {
  for (const std::string_view line : absl::StrSplit(table, '\n')) {
    if (absl::StartsWith(line, absl::StrCat(layer, " "))) return std::string(line);
  }
  return table;
}

void ExpectNamed(const std::string& table, std::string_view layer, const std::vector<std::string_view>& words) {
  const std::string line = LineOf(layer, table);
  for (const std::string_view word : words) EXPECT_TRUE(absl::StrContains(line, word)) << "no " << word << " in " << line;
}

// The doctor in a user namespace of its own, after `script`.
std::string DoctorAfter(const std::string& script) {
  return RunPlain({"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", absl::StrCat(script, " && exec \"$0\" doctor"), BroodPath()}).out;
}

// The doctor where a filter gives `error` for `number`, if the bits of `mask` are all set, or some for `mask` 0, in its first argument.
std::string DoctorWithout(long number, uint32_t some_of, int error) {
  int out[2];
  EXPECT_EQ(pipe(out), 0);
  const std::string brood = BroodPath();
  const pid_t pid = fork();
  if (pid == 0) {
    const sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 3),
                                  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
                                  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, some_of, 0, 1),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_filter always[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program = {static_cast<uint16_t>(some_of != 0 ? std::size(filter) : std::size(always)),
                                const_cast<sock_filter*>(some_of != 0 ? filter : always)};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) _exit(3);
    dup2(out[1], 1);
    execl(brood.c_str(), "brood", "doctor", nullptr);
    _exit(4);
  }
  close(out[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(out[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(out[0]);
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return text;
}

constexpr uint32_t kNamespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

TEST(DoctorTest, NoMoreUserNamespacesAreTheSettingOfTheirNumber) {
  const std::string table = DoctorAfter("echo 0 > /proc/sys/user/max_user_namespaces");
  ExpectNamed(table, "user", {" no ", "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces="});
}

TEST(DoctorTest, NoMoreNamespacesOfAKindAreTheSettingOfTheirNumber) {
  for (const auto& [layer, setting] : std::vector<std::pair<std::string, std::string>>{
           {"pid", "max_pid_namespaces"}, {"net", "max_net_namespaces"}, {"ipc", "max_ipc_namespaces"}, {"uts", "max_uts_namespaces"}, {"cgroup", "max_cgroup_namespaces"}}) {
    const std::string table = DoctorAfter(absl::StrCat("echo 0 > /proc/sys/user/", setting));
    ExpectNamed(table, layer, {" no ", absl::StrCat("user.", setting, " is"), absl::StrCat("sysctl -w user.", setting, "=")});
  }
}

TEST(DoctorTest, AContainersFilterIsTheOptionThatRunsWithoutIt) {
  const std::string table = DoctorWithout(SYS_clone, kNamespaces, EPERM);
  for (const std::string_view layer : {"user", "pid", "net"}) {
    ExpectNamed(table, layer, {" no ", "seccomp", "docker run --security-opt seccomp=unconfined"});
  }
}

TEST(DoctorTest, ALandlockThatIsSwitchedOffIsTheKernelParameter) {
  ExpectNamed(DoctorWithout(SYS_landlock_create_ruleset, 0, EOPNOTSUPP), "landlock", {" no ", "not switched on", "lsm=landlock,"});
}

TEST(DoctorTest, ALandlockThatIsMissingIsTheKernelOrTheFilterThatHidesIt) {
  ExpectNamed(DoctorWithout(SYS_landlock_create_ruleset, 0, ENOSYS), "landlock", {" no ", "filter", "CONFIG_SECURITY_LANDLOCK"});
}

TEST(DoctorTest, AProcThatIsCoveredIsTheOptionThatUncoversIt) {
  const std::string table = DoctorAfter("mount -t tmpfs none /proc/sys");
  ExpectNamed(table, "mount", {" no ", "/proc", "systempaths=unconfined"});
}

TEST(DoctorTest, NoCgroupToWriteToIsTheDelegationOfOne) {
  if (!IsRoot()) GTEST_SKIP() << "needs root, to be a user without cgroups";
  const std::string table = RunPlain({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BroodPath(), "doctor"}).out;
  const std::string line = LineOf("memory", table);
  EXPECT_TRUE(absl::StrContains(line, "systemd-run --user --scope -p Delegate=yes") || absl::StrContains(line, "chown")) << line;
  ExpectNamed(table, "memory", {" weaker "});
}

TEST(DoctorTest, TheJsonHasWhyAndRemedyOfEveryLayer) {
  const std::string json =
      RunPlain({"unshare", "--user", "--map-root-user", "sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" doctor --json", BroodPath()}).out;
  EXPECT_TRUE(absl::StrContains(json, "{\"layer\":\"user\",\"here\":\"no\",\"by_what\":\"\",\"why\":\"user.max_user_namespaces is 0\",\"remedy\":\"sysctl -w ")) << json;
  size_t layers = 0;
  for (size_t at = 0; (at = json.find("\"why\":", at)) != std::string::npos; ++at) ++layers;
  EXPECT_EQ(layers, 20u);
}

}  // namespace
}  // namespace brood
