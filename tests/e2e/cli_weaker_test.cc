// `brood run` where the machine or the caller lacks something: refused, or weaker by name, and told as it is.
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

TEST(CliWeakerTest, MemoryThatAGroupOfVersion1AboveLacksIsNotTheLimitOfTheChild) {
  std::ifstream groups("/proc/self/cgroup");
  std::string own;
  for (std::string line; std::getline(groups, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() == 3 && fields[1] == "memory") own = absl::StrCat("/sys/fs/cgroup/memory", fields[2]);
  }
  if (own.empty()) GTEST_SKIP() << "needs the memory controller of cgroup v1";
  const std::string tight = absl::StrCat(own, "/brood-e2e-tight-", getpid());
  if (mkdir(tight.c_str(), 0755) != 0) GTEST_SKIP() << "cannot make a group in " << own;
  Write(tight + "/memory.limit_in_bytes", absl::StrCat(64 << 20));
  TemporaryDirectory directory;
  const std::string result = directory.path() + "/result";
  const auto run = [&](const std::string& limit) {
    std::vector<std::string> args = RunArgs({"--memory", limit, "--result", result}, {"memory_bomb", "300"});
    args.insert(args.begin(), {"sh", "-c", absl::StrCat("echo $$ > ", tight, "/cgroup.procs && exec \"$@\""), "sh", BroodPath()});
    EXPECT_EQ(RunPlain(args).code, 137);
    return FileContent(result);
  };
  const std::string above = run("512M");
  EXPECT_TRUE(absl::StrContains(above, "\"status\":\"signaled\"")) << above;
  EXPECT_TRUE(absl::StrContains(above, "\"limits_hit\":[]")) << above;
  const std::string its_own = run("24M");
  EXPECT_TRUE(absl::StrContains(its_own, "\"status\":\"memory\"")) << its_own;
  EXPECT_EQ(rmdir(tight.c_str()), 0);
}

TEST(CliWeakerTest, LimitsOfTheTreeAreEnforcedByCgroupsOrRefusedUnlessAllowedWeaker) {
  const std::vector<std::array<std::string, 3>> limits = {{"memory", "--memory", "64M"}, {"cpu_time", "--cpu-time", "9s"}};
  for (const auto& [layer, option, value] : limits) {
    TemporaryDirectory directory;
    const std::string result = directory.path() + "/result.json";
    const PlainRun run = Brood({"run", option, value, "--result", result, "--", "true"});
    if (run.code == 0) {
      EXPECT_TRUE(absl::StrContains(FileContent(result), absl::StrCat("\"", layer, "\":\"cgroup"))) << FileContent(result);
    } else {
      EXPECT_EQ(run.code, 125);
      EXPECT_TRUE(absl::StrContains(run.err, "--allow-weaker " + layer)) << run.err;
    }
    EXPECT_EQ(Brood({"run", option, value, "--allow-weaker", layer, "--", "true"}).code, 0);
  }
}

constexpr char kAllNamespaces[] = "user,pid,mount,net,ipc,uts,cgroup";

// Brood as a caller that may make no namespace: without capabilities, where user namespaces are forbidden.
PlainRun BroodWithoutNamespaces(std::vector<std::string> args) {
  args.insert(args.begin(), {"unshare", "--user", "--map-root-user", "sh", "-c",
                             "echo 0 > /proc/sys/user/max_user_namespaces && "
                             "exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"",
                             "sh", BroodPath()});
  return RunPlain(args);
}

bool HasLandlock() { return syscall(SYS_landlock_create_ruleset, nullptr, 0, 1u) > 1; }

TEST(CliWeakerTest, WithoutNamespacesTheFilesOfThePolicyAreThoseOfLandlock) {
  if (!HasLandlock()) GTEST_SKIP() << "needs Landlock";
  TemporaryDirectory directory;
  const std::string file = directory.path() + "/file";
  const std::string result = directory.path() + "/result";
  Write(file, "content");
  const auto run = [&](std::vector<std::string> options, const std::string& script) {
    options.insert(options.begin(), {"run", "--allow-weaker", kAllNamespaces, "--result", result});
    options.insert(options.end(), {"--", "sh", "-c", script});
    return BroodWithoutNamespaces(options);
  };
  const std::string none = directory.path() + "/none.json";
  Write(none, R"({"extends": "default", "landlock": "none"})");
  const std::string read = absl::StrCat("cat ", file);
  EXPECT_EQ(run({"-p", none}, read).out, "content");
  const PlainRun hidden = run({}, read);
  EXPECT_EQ(hidden.out, "");
  EXPECT_TRUE(absl::StrContains(hidden.err, "Permission denied")) << hidden.err;
  EXPECT_EQ(run({"--ro", file}, read).out, "content");
  EXPECT_TRUE(absl::StrContains(run({"--ro", file}, absl::StrCat("echo x > ", file)).err, "Permission denied"));
  EXPECT_EQ(run({"--rw", directory.path()}, absl::StrCat("echo more > ", directory.path(), "/new && mv ", directory.path(), "/new ", file)).code, 0);
  EXPECT_EQ(FileContent(file), "more\n");
  EXPECT_EQ(run({}, "ls /home || ls /root || ls /proc/1/fd || ls /sys || ls /tmp").out, "");
  EXPECT_EQ(run({}, "head -c 4 /dev/zero | wc -c && echo x > /dev/null && ls /usr > /dev/null && read name < /proc/self/status").code, 0);
  EXPECT_TRUE(absl::StrContains(FileContent(result), "\"net\":\"weaker: TCP refused by Landlock")) << FileContent(result);
  const PlainRun elsewhere = run({"--ro", file + ":/elsewhere"}, "true");
  EXPECT_EQ(elsewhere.code, 125);
  EXPECT_TRUE(absl::StrContains(elsewhere.err, "without a mount namespace a file is at its own path only")) << elsewhere.err;
}

TEST(CliWeakerTest, WithoutAMountNamespaceADeviceIsAtItsPlaceAndNothingIsMade) {
  if (!HasLandlock()) GTEST_SKIP() << "by Landlock alone";
  const std::string script = "echo x 2>/dev/null >/dev/full || echo used; echo x 2>/dev/null >/dev/tty0 || echo not";
  const PlainRun run = BroodWithoutNamespaces({"run", "--allow-weaker", kAllNamespaces, "--device", "/dev/full", "--", "sh", "-c", script});
  EXPECT_EQ(run.out, "used\nnot\n") << run.err;
  const std::vector<std::vector<std::string>> made = {
      {"--symlink", "/usr:/link"}, {"--dir", "/made"}, {"--overlay-ro", "/usr:/both", "--overlay-below", "/bin:/both"}};
  for (const std::vector<std::string>& options : made) {
    std::vector<std::string> args = {"run", "--allow-weaker", kAllNamespaces};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"--", "true"});
    const PlainRun refused = BroodWithoutNamespaces(args);
    EXPECT_EQ(refused.code, 125) << options[0];
    EXPECT_TRUE(absl::StrContains(refused.err, "without a mount namespace there is none")) << refused.err;
  }
  const PlainRun elsewhere = BroodWithoutNamespaces({"run", "--allow-weaker", kAllNamespaces, "--device", "/dev/full:/given", "--", "true"});
  EXPECT_TRUE(absl::StrContains(elsewhere.err, "without a mount namespace a file is at its own path only")) << elsewhere.err;
}

TEST(CliWeakerTest, MissingNamespacesFailTheLaunchUnlessTheirAbsenceIsAccepted) {
  const std::string ids = ProgramPath("prints_ids");
  for (const char* some : {"memory", "user", "user,pid,net,ipc,uts,cgroup"}) {
    const PlainRun run = BroodWithoutNamespaces({"run", "--allow-weaker", some, "--", ids});
    EXPECT_EQ(run.code, 125) << some << run.out << run.err;
    EXPECT_EQ(run.out, "") << some;
    EXPECT_TRUE(absl::StrContains(run.err, "--allow-weaker user,")) << some << run.err;
  }
  TemporaryDirectory directory;
  const std::string result = directory.path() + "/result";
  const PlainRun run =
      BroodWithoutNamespaces({"run", "--allow-weaker", kAllNamespaces, "--ro", ids, "--result", result, "--", ids});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(absl::StrContains(run.out, "CapEff:\t0000000000000000")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, "NoNewPrivs:\t1")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, "Seccomp:\t2")) << run.out;
  const std::string told = FileContent(result);
  for (const std::string_view layer : absl::StrSplit(kAllNamespaces, ',')) {
    std::string_view by = "absent, ";
    if (HasLandlock() && layer == "mount") by = "by Landlock, ";
    if (HasLandlock() && layer == "net") by = "TCP refused by Landlock, ";
    EXPECT_TRUE(absl::StrContains(told, absl::StrCat("\"", layer, "\":\"weaker: ", by))) << layer << told;
  }
  EXPECT_TRUE(absl::StrContains(told, "\"tree\":\"subreaper\"")) << told;
  const std::string mounts = ProgramPath("mounts_tmpfs");
  const PlainRun attack = BroodWithoutNamespaces({"run", "--allow-weaker", kAllNamespaces, "--ro", mounts, "--", mounts});
  EXPECT_EQ(attack.code, 159) << attack.out << attack.err;
}

// Which caller that is, and that it is root all the same. user_namespaces(7), CAP_SETFCAP.
TEST(CliWeakerTest, RootWithoutCapabilitiesIsToldThatItHasNoUserNamespace) {
  const auto run = [](std::vector<std::string> args) {
    args.insert(args.begin(), {"unshare", "--user", "--map-root-user", "setpriv", "--bounding-set=-all", BroodPath()});
    return RunPlain(args);
  };
  const PlainRun refused = run({"run", "true"});
  EXPECT_EQ(refused.code, 125) << refused.err;
  EXPECT_TRUE(absl::StrContains(refused.err, "--allow-weaker user,")) << refused.err;
  const PlainRun doctor = run({"doctor"});
  EXPECT_TRUE(absl::StrContains(doctor.out, "give root CAP_SETFCAP")) << doctor.out;
  const std::string ids = ProgramPath("prints_ids");
  const PlainRun accepted = run({"run", "--allow-weaker", kAllNamespaces, "--ro", ids, "--", ids});
  EXPECT_EQ(accepted.code, 0) << accepted.err;
  EXPECT_TRUE(absl::StrContains(accepted.out, "CapBnd:\t0000000000000000")) << accepted.out;
}

// A policy without user namespace, for callers with all capabilities, without CAP_SETPCAP, and without any.
TEST(CliWeakerTest, TheReportOnCapabilitiesIsWhatTheChildHas) {
  TemporaryDirectory directory;
  const std::string policy = directory.path() + "/p.json";
  std::ofstream(policy) << R"({"extends": null, "drop_privileges": true, "network": {"mode": "host"}, "unlisted": "allow"})";
  for (const char* bounding : {"+chown", "-setpcap", "-all"}) {
    const std::string result = directory.path() + "/result";
    const PlainRun run = RunPlain({"unshare", "--user", "--map-root-user", "setpriv", absl::StrCat("--bounding-set=", bounding),
                                   BroodPath(), "run", "-p", policy, "--result", result, "--", "grep", "CapBnd", "/proc/self/status"});
    EXPECT_EQ(run.code, 0) << bounding << run.err;
    const bool empty = absl::StrContains(run.out, "CapBnd:\t0000000000000000");
    EXPECT_EQ(empty, std::string_view(bounding) != "-setpcap") << bounding << run.out;
    EXPECT_EQ(absl::StrContains(FileContent(result), "\"capabilities\":\"all capability sets empty\""), empty)
        << bounding << FileContent(result);
  }
  // Root's own id is exchanged for one that owns nothing, and the right to empty the set goes with it.
  if (!IsRoot()) return;
  const PlainRun run = Brood({"run", "-p", policy, "--", "grep", "CapBnd", "/proc/self/status"});
  EXPECT_TRUE(absl::StrContains(run.out, "CapBnd:\t0000000000000000")) << run.out << run.err;
}

TEST(CliWeakerTest, NamespacesThatCanBeMadeAreMadeThoughTheirAbsenceIsAccepted) {
  TemporaryDirectory directory;
  const std::string result = directory.path() + "/result";
  EXPECT_EQ(RunCode({"--allow-weaker", kAllNamespaces, "--result", result}, {"does_nothing"}), 0);
  EXPECT_FALSE(absl::StrContains(FileContent(result), "weaker: absent")) << FileContent(result);
}

}  // namespace
}  // namespace brood
