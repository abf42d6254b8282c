// `brood doctor` where a layer is missing: each lack is made, in namespaces or by a filter of the test's own, and the doctor
// must name why, and the setting or command that ends it.
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <functional>
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

// What a command writes to standard output, after `prepare` in its process.
std::string OutputOf(const std::vector<std::string>& words, const std::function<void()>& prepare) {
  int out[2];
  EXPECT_EQ(pipe(out), 0);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(out[1], 1);
    prepare();
    execvp(argv[0], argv.data());
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

void Load(sock_filter* filter, size_t length) {
  const sock_fprog program = {static_cast<uint16_t>(length), filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) _exit(3);
}

// The doctor, or `words`, where a filter gives `error` for `number`, if one of the bits of `some_of` is set in its first
// argument; always for 0.
std::string DoctorWithout(long number, uint32_t some_of, int error, std::vector<std::string> words = {BroodPath(), "doctor"}) {
  return OutputOf(words, [&] {
    sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 3),
                            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
                            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, some_of, 0, 1),
                            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
                            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    sock_filter always[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1),
                            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
                            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    some_of != 0 ? Load(filter, std::size(filter)) : Load(always, std::size(always));
  });
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

// As distributions forbid them: the kernel refuses, and their setting tells why. This kernel has no such setting, so that a file
// stands in for it; what refuses is a filter.
std::string DoctorWhereTheSettingSays(const std::string& setting, const std::string& value) {
  return DoctorWithout(SYS_clone, CLONE_NEWUSER, EPERM,
                       {"unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                        absl::StrCat("mount -t tmpfs none /proc/sys/kernel && echo ", value, " > /proc/sys/kernel/", setting, " && exec \"$0\" doctor"),
                        BroodPath()});
}

TEST(DoctorTest, UbuntusRestrictionOfUserNamespacesIsItsSettingOrAProfile) {
  const std::string table = DoctorWhereTheSettingSays("apparmor_restrict_unprivileged_userns", "1");
  ExpectNamed(table, "user", {" no ", "kernel.apparmor_restrict_unprivileged_userns is 1, as Ubuntu has it", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
                              "/etc/apparmor.d/brood", "userns,"});
  const std::string open = DoctorWhereTheSettingSays("apparmor_restrict_unprivileged_userns", "0");
  EXPECT_FALSE(absl::StrContains(open, "apparmor_restrict")) << open;
}

TEST(DoctorTest, DebiansSettingOfUserNamespacesIsNamed) {
  const std::string table = DoctorWhereTheSettingSays("unprivileged_userns_clone", "0");
  ExpectNamed(table, "user", {" no ", "kernel.unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1", "/etc/sysctl.d"});
  const std::string open = DoctorWhereTheSettingSays("unprivileged_userns_clone", "1");
  EXPECT_FALSE(absl::StrContains(open, "unprivileged_userns_clone")) << open;
}

// What Docker's default profile refuses to a container without capabilities, of all that a sandbox is made of: clone with
// namespaces, and clone3 as if there were none, since its flags are in memory.
TEST(DoctorTest, DockersDefaultProfileIsTheOptionThatRunsWithoutIt) {
  const std::string brood = BroodPath();
  const std::string table = OutputOf({brood, "doctor"}, [] {
    std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    for (const long number : {SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick,
                              SYS_move_mount, SYS_open_tree, SYS_mount_setattr, SYS_bpf, SYS_perf_event_open, SYS_sethostname, SYS_keyctl}) {
      filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
      filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    }
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3));
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kNamespaces, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    Load(filter.data(), filter.size());
  });
  for (const std::string_view layer : {"user", "pid", "mount", "net", "ipc", "uts", "cgroup"}) {
    ExpectNamed(table, layer, {" no ", "seccomp filter", "as Docker's default profile does", "docker run --security-opt seccomp=unconfined"});
  }
  ExpectNamed(table, "no_new_privs", {" yes "});
  ExpectNamed(table, "seccomp", {" yes "});
}

// In the real one: namespaces can be made there, cgroups not.
TEST(DoctorTest, BazelsOwnSandboxIsNamedWhereItIsInTheWay) {
  const std::string sandbox = "/usr/share/bazel/linux-sandbox";
  if (access(sandbox.c_str(), X_OK) != 0) GTEST_SKIP() << "there is no " << sandbox << " here";
  TemporaryDirectory directory;
  // As Bazel names it: OUTPUT_BASE/sandbox/linux-sandbox/NUMBER/execroot/WORKSPACE.
  const std::string execroot = directory.path() + "/sandbox/linux-sandbox/1/execroot/main";
  std::filesystem::create_directories(execroot);
  for (std::filesystem::path path = execroot; path != directory.path(); path = path.parent_path()) chmod(path.c_str(), 0755);
  const std::vector<std::string> inside = {sandbox, "-W", execroot, "-w", "/tmp", "--", BroodPath()};
  const auto run = [&inside](std::vector<std::string> args) {
    args.insert(args.begin(), inside.begin(), inside.end());
    return RunPlain(args);
  };
  const std::string table = run({"doctor"}).out;
  ExpectNamed(table, "user", {" yes "});
  ExpectNamed(table, "memory", {" weaker ", "brood runs inside Bazel's sandbox", "tag the target \"no-sandbox\""});
  const PlainRun strict = run({"run", "--policy", "strict", "--", "echo", "inside"});
  EXPECT_EQ(strict.out, "inside\n") << strict.err;
  const PlainRun limited = run({"run", "--memory", "64M", "--", "echo", "ran"});
  EXPECT_EQ(limited.code, 125);
  EXPECT_EQ(limited.out, "");
  EXPECT_TRUE(absl::StrContains(limited.err, "--allow-weaker memory")) << limited.err;
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

TEST(DoctorTest, AProcThatIsNotMountedIsToBeMounted) {
  const std::string table = DoctorAfter("mount -t tmpfs none /proc");
  for (const std::string_view layer : {"user", "mount", "time", "memory"}) ExpectNamed(table, layer, {"no procfs is mounted at /proc", "mount -t proc proc /proc"});
}

TEST(DoctorTest, AProcThatIsReadOnlyIsToBeWritable) {
  ExpectNamed(DoctorAfter("mount -o remount,bind,ro /proc"), "user", {" no ", "/proc is mounted read-only", "bwrap --bind /proc /proc", "not as root, bwrap --proc /proc"});
}

// As after unshare(1) without --mount-proc: under a process's number is another's.
TEST(DoctorTest, AProcOfAnotherPidNamespaceIsToldWithARemedyThatWorks) {
  const auto in_another = [](const std::string& option, const std::string& command) {
    return RunPlain({"unshare", "--user", "--map-root-user", "--pid", "--fork", option, "sh", "-c", absl::StrCat("timeout 20 '", BroodPath(), "' ", command)});
  };
  ExpectNamed(in_another("--mount", "doctor").out, "user", {" no ", "/proc is of another pid namespace", "unshare --mount-proc"});
  const PlainRun run = in_another("--mount", "run -- echo ran");
  EXPECT_EQ(run.code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "of another pid namespace; mount one of this (unshare --mount-proc")) << run.err;
  const PlainRun serve = in_another("--mount", "serve --socket /tmp/brood-foreign-proc");
  EXPECT_EQ(serve.code, 125);
  EXPECT_TRUE(absl::StrContains(serve.err, "would not know whose child asks")) << serve.err;
  const PlainRun own = in_another("--mount-proc", "run -- echo ran");
  EXPECT_EQ(own.out, "ran\n") << own.err;
}

// Where calls are refused that it tries, and others are violations.
TEST(DoctorTest, IsNotEndedInASandboxOfBroodsOwn) {
  const PlainRun inside = RunPlain({BroodPath(), "run", "--policy", "default", "--ro", absl::StrCat(BroodPath(), ":/b"), "--", "/b", "doctor"});
  for (const std::string_view layer : {"user", "time", "mount"}) ExpectNamed(inside.out, layer, {" no ", "/proc is mounted read-only"});
  EXPECT_EQ(inside.code, 1) << inside.out << inside.err;
}

// What `brood run` says there is the same, and is true.
TEST(DoctorTest, WhoRunsInAProcThatIsReadOnlyIsToldOfARemedyThatWorks) {
  const std::string run = absl::StrCat(" '", BroodPath(), "' run --result - -- echo ran");
  const PlainRun read_only = RunPlain({"sh", "-c", absl::StrCat("bwrap --ro-bind / / ", run)});
  if (absl::StrContains(read_only.err, "bwrap: ")) GTEST_SKIP() << "bubblewrap does not run here: " << read_only.err;
  EXPECT_EQ(read_only.code, 125);
  EXPECT_TRUE(absl::StrContains(read_only.err, "mount one that can be written (bwrap --bind /proc /proc, ")) << read_only.err;
  std::vector<std::string> remedies = {absl::StrCat("bwrap --ro-bind / / --bind /proc /proc ", run)};
  if (!IsRoot()) remedies.push_back(absl::StrCat("bwrap --ro-bind / / --proc /proc --unshare-pid ", run));
  if (IsRoot()) remedies.push_back(absl::StrCat("bwrap --ro-bind / / sh -c \"mount -o remount,bind,rw /proc && ", run, "\""));
  for (const std::string& remedy : remedies) {
    const PlainRun writable = RunPlain({"sh", "-c", remedy});
    EXPECT_TRUE(absl::StrContains(writable.out, "ran\n")) << remedy << writable.out << writable.err;
  }
}

// As after unshare(1) without --map-root-user.
TEST(DoctorTest, IdsWithoutAMappingAreToldAsSuch) {
  const std::string table = RunPlain({"unshare", "--user", BroodPath(), "doctor"}).out;
  for (const std::string_view layer : {"user", "mount", "net"}) ExpectNamed(table, layer, {" no ", "no mapping in the user namespace", "--map-root-user"});
}

TEST(DoctorTest, NoCgroupToWriteToIsTheDelegationOfOne) {
  if (!IsRoot()) GTEST_SKIP() << "needs root, to be a user without cgroups";
  const std::string table = RunPlain({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BroodPath(), "doctor"}).out;
  const std::string line = LineOf("memory", table);
  EXPECT_TRUE(absl::StrContains(line, "systemd-run --user --scope -p Delegate=yes") || absl::StrContains(line, "chown")) << line;
  ExpectNamed(table, "memory", {" weaker "});
}

// Of root's, for whom no user is missing. Each remedy is run as it is told.
TEST(DoctorTest, CgroupsThatAreReadOnlyOrMissingAreToldWithARemedyThatWorks) {
  if (!IsRoot()) GTEST_SKIP() << "needs root, to mount";
  const std::string before = LineOf("memory", RunPlain({BroodPath(), "doctor"}).out);
  if (!absl::StrContains(before, " yes ")) GTEST_SKIP() << "root has no cgroups here: " << before;
  const std::pair<std::string, std::string> cases[] = {
      {"for m in $(awk '$5 ~ /cgroup/ {print $5}' /proc/self/mountinfo); do mount -o remount,bind,ro $m; done", "mounted read-only"},
      {"umount -l /sys/fs/cgroup", "no cgroup file system is mounted"}};
  for (const auto& [lack, told] : cases) {
    const auto with = [&](const std::string& more) {
      return RunPlain({"unshare", "--mount", "--propagation", "private", "sh", "-c", absl::StrCat(lack, "; ", more, "exec \"$0\" doctor"), BroodPath()}).out;
    };
    const std::string line = LineOf("memory", with(""));
    EXPECT_TRUE(absl::StrContains(line, " weaker ") && absl::StrContains(line, told)) << line;
    const size_t begin = line.find("as root: ") + 9;
    const size_t end = line.find("; or docker", begin);
    const std::string mended = LineOf("memory", with(absl::StrCat(line.substr(begin, end == std::string::npos ? end : end - begin), " || exit; ")));
    EXPECT_TRUE(absl::StrContains(mended, " yes ")) << line << mended;
  }
}

// Who is root in a user namespace of its own is another for the one who would give it a cgroup.
TEST(DoctorTest, TheOwnerOfADelegatedCgroupIsNamedAsOutside) {
  if (!IsRoot()) GTEST_SKIP() << "needs root, to be a user without cgroups";
  // Where it was built only root may come.
  char directory[] = "/tmp/brood-doctor-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  ASSERT_EQ(chmod(directory, 0755), 0);
  const std::string brood = absl::StrCat(directory, "/brood");
  std::filesystem::copy_file(std::filesystem::canonical(BroodPath()), brood);
  const std::string line = LineOf("memory", RunPlain({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "--user",
                                                      "--map-root-user", brood, "doctor"}).out);
  std::filesystem::remove_all(directory);
  EXPECT_TRUE(absl::StrContains(line, "chown -R 65534 ")) << line;
}

TEST(DoctorTest, TheJsonHasWhyAndRemedyOfEveryLayer) {
  const std::string json =
      RunPlain({"unshare", "--user", "--map-root-user", "sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" doctor --json", BroodPath()}).out;
  EXPECT_TRUE(absl::StrContains(json, "{\"layer\":\"user\",\"here\":\"no\",\"by_what\":\"\",\"why\":\"user.max_user_namespaces is 0\",\"remedy\":\"sysctl -w ")) << json;
  size_t layers = 0;
  for (size_t at = 0; (at = json.find("\"why\":", at)) != std::string::npos; ++at) ++layers;
  EXPECT_EQ(layers, kAllLayers.size());
}

}  // namespace
}  // namespace brood
