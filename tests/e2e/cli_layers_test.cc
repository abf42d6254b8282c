// `brood run` with layers that a policy file asks for and no built-in policy has.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

class TimeNamespaceTest : public LayersTest {};
INSTANTIATE_TEST_SUITE_P(Policies, TimeNamespaceTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

constexpr char kWithTime[] = "\"namespaces\": [\"user\", \"pid\", \"mount\", \"net\", \"ipc\", \"uts\", \"cgroup\", \"time\"]";
constexpr long long kSlack = 60;  // For a machine that has other things to do.

struct ClockTimes {
  long long monotonic = -1, boottime = -1, uptime = -1;
};

ClockTimes TimesOf(const PlainRun& run) {
  ClockTimes times;
  EXPECT_EQ(sscanf(run.out.c_str(), "%lld %lld %lld", &times.monotonic, &times.boottime, &times.uptime), 3) << run.out << run.err;
  return times;
}

TEST_P(TimeNamespaceTest, HowLongTheMachineRunsIsNotSeen) {
  const ClockTimes outside = TimesOf(RunPlain({ProgramPath("prints_clocks")}));
  if (outside.monotonic < 2 * kSlack) GTEST_SKIP() << "the machine has only just started";
  const ClockTimes inside = TimesOf(Run(kWithTime, {"prints_clocks"}));
  EXPECT_LT(inside.monotonic, kSlack);
  EXPECT_LT(inside.boottime, kSlack);
  EXPECT_LT(inside.uptime, kSlack);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"time\":\"time namespace, ")) << FileContent(Result());
}

TEST_P(TimeNamespaceTest, TheClocksBeginWhereThePolicySays) {
  const ClockTimes inside =
      TimesOf(Run(absl::StrCat(kWithTime, ", \"clocks\": {\"monotonic\": \"1000h\", \"boottime\": 7000000}"), {"prints_clocks"}));
  EXPECT_GE(inside.monotonic, 3600000);
  EXPECT_LT(inside.monotonic, 3600000 + kSlack);
  EXPECT_GE(inside.boottime, 7000000);
  EXPECT_LT(inside.boottime, 7000000 + kSlack);
}

// Limits and times are those of the guardian's clock, whatever the child's shows.
TEST_P(TimeNamespaceTest, TheWallTimeIsThatOfTheMachine) {
  for (const char* clocks : {"\"0s\"", "\"800000h\""}) {
    const std::string fields = absl::StrCat(kWithTime, ", \"clocks\": {\"monotonic\": ", clocks, "}");
    EXPECT_EQ(Run(fields, {"sleeps_forever"}, {"--wall-time", "300ms"}).code, 124);
    double wall = -1;
    const std::string result = FileContent(Result());
    const size_t at = result.find("\"wall_s\":");
    ASSERT_NE(at, std::string::npos) << result;
    ASSERT_EQ(sscanf(result.c_str() + at, "\"wall_s\":%lf", &wall), 1);
    EXPECT_GE(wall, 0.3) << result;
    EXPECT_LT(wall, kSlack) << result;
    ASSERT_EQ(Run(fields, {"prints_clocks"}).code, 0);
    const std::string ended = FileContent(Result());
    ASSERT_EQ(sscanf(ended.c_str() + ended.find("\"wall_s\":"), "\"wall_s\":%lf", &wall), 1);
    EXPECT_GT(wall, 0) << ended;
    EXPECT_LT(wall, kSlack) << ended;
  }
}

TEST_P(TimeNamespaceTest, ClocksNeedIt) {
  const PlainRun run = Run("\"clocks\": {\"monotonic\": \"1s\"}", {"does_nothing"});
  EXPECT_EQ(run.code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "add \"time\" to namespaces")) << run.err;
  const PlainRun bad = Run(absl::StrCat(kWithTime, ", \"clocks\": {\"boottime\": \"900000h\"}"), {"does_nothing"});
  EXPECT_EQ(bad.code, 125);
  EXPECT_TRUE(absl::StrContains(bad.err, "field \"clocks\": boottime: at most 876000h")) << bad.err;
}

TEST_P(TimeNamespaceTest, IsExplained) {
  const PlainRun run = Brood({"policy", "explain", With(absl::StrCat(kWithTime, ", \"clocks\": {\"boottime\": \"1h\"}"))[1]});
  EXPECT_TRUE(absl::StrContains(run.out, "clocks that begin anew: monotonic at 0, boottime at 1h")) << run.out;
}

class IdsTest : public LayersTest {
 protected:
  // What the script prints, in a shell that has `fields`; or what brood says.
  std::string Script(const std::string& fields, const std::string& script) {
    std::vector<std::string> args = {"run"};
    for (const std::string& option : With(fields)) args.push_back(option);
    args.insert(args.end(), {"--", "sh", "-c", script});
    const PlainRun run = Brood(args);
    return run.out + run.err;
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, IdsTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

constexpr char kChangesIds[] = "\"syscalls\": [{\"names\": [\"@identity-change\"], \"action\": \"allow\"}]";
constexpr char kManyIds[] = "\"ids\": {\"uid\": 0, \"gid\": 0, \"count\": 65536}, \"capabilities\": [\"chown\", \"setgid\", \"setuid\"]";
// A file that belongs to 33, and a program that becomes 33, has no rights from then on, and gets none back.
constexpr char kService[] =
    "id -u; id -g; touch /tmp/a && chown 33:34 /tmp/a && stat -c %u:%g /tmp/a; "
    "setpriv --reuid=33 --regid=34 --clear-groups sh -c 'id -u; id -G; grep CapEff /proc/self/status | cut -f2; chown 0 /tmp/a 2>/dev/null || echo kept'";
constexpr char kServed[] = "0\n0\n33:34\n33\n34\n0000000000000000\nkept\n";

TEST_P(IdsTest, TheOwnIdIsTheOneThatThePolicySays) {
  EXPECT_EQ(Script("\"ids\": {\"uid\": 0, \"gid\": 7}", "id -u; id -g; id -G; grep CapEff /proc/self/status | cut -f2"),
            "0\n7\n7\n0000000000000000\n");
  EXPECT_EQ(Script("\"ids\": {\"uid\": 4711}", "id -un; id -g"), "brood\n1000\n");
}

TEST_P(IdsTest, AServiceBeginsAsRootAndBecomesAnother) {
  if (!IsRoot()) GTEST_SKIP() << "nobody has sub-ids: see SubIdsAreThoseOfTheUser";
  EXPECT_EQ(Script(absl::StrCat(kManyIds, ", ", kChangesIds), kService), kServed);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "65536 ids inside")) << FileContent(Result());
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "empty but for chown, setgid, setuid in its user namespace")) << FileContent(Result());
}

// In a mount namespace where /etc gives nobody a range, which the machine's own does not.
TEST_P(IdsTest, SubIdsAreThoseOfTheUser) {
  if (!IsRoot()) GTEST_SKIP() << "takes root to give a user sub-ids";
  if (access("/usr/bin/newuidmap", X_OK) != 0) GTEST_SKIP() << "needs newuidmap";
  TemporaryDirectory directory;
  ASSERT_EQ(mkdir((directory.path() + "/mem").c_str(), 0755), 0);
  std::filesystem::copy_file(BroodPath(), directory.path() + "/brood");
  ASSERT_EQ(chmod((directory.path() + "/brood").c_str(), 0755), 0);
  Write(directory.path() + "/policy.json", absl::StrCat("{\"extends\": \"", GetParam(), "\", ", kManyIds, ", ", kChangesIds, "}"));
  Write(directory.path() + "/service", kService);
  ASSERT_EQ(mkdir((directory.path() + "/given").c_str(), 0777), 0);
  ASSERT_EQ(chmod((directory.path() + "/given").c_str(), 0777), 0);
  const PlainRun run = RunPlain(
      {"unshare", "--mount", "--propagation", "private", "sh", "-c",
       "cd $0 && mount -t tmpfs mem mem && mkdir mem/up mem/work && mount -t overlay etc -o lowerdir=/etc,upperdir=mem/up,workdir=mem/work /etc && "
       "echo nobody:3000000:65536 >/etc/subuid && echo nobody:4000000:70000 >/etc/subgid && "
       "exec setpriv --reuid=65534 --regid=65534 --groups=12345 ./brood run --policy policy.json --rw given --result given/result -- "
       "sh -c \"$(cat service); touch $0/given/own $0/given/lent && chown 33:34 $0/given/lent\"",
       directory.path()});
  EXPECT_EQ(run.out, kServed) << run.err;
  EXPECT_EQ(run.code, 0) << run.err;
  struct stat status = {};
  ASSERT_EQ(stat((directory.path() + "/given/own").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 65534u);
  ASSERT_EQ(stat((directory.path() + "/given/lent").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 3000000u + 32);  // The 33rd of the others.
  EXPECT_EQ(status.st_gid, 4000000u + 33);
  const std::string result = FileContent(directory.path() + "/given/result");
  EXPECT_TRUE(absl::StrContains(result, "65536 ids inside by newuidmap")) << result;
  EXPECT_TRUE(absl::StrContains(result, "\"kept_groups\":[]")) << result;
  // Of each id, so that a tree of several has more.
  EXPECT_TRUE(absl::StrContains(result, "\"processes\":\"weaker: ")) << result;
}

TEST_P(IdsTest, WithoutSubIdsTheLaunchIsRefusedWithTheRemedy) {
  if (IsRoot()) GTEST_SKIP() << "root has ids of its own";
  if (absl::StrContains(FileContent("/etc/subuid"), "nobody:")) GTEST_SKIP() << "nobody has sub-ids here";
  const std::string told = Script(kManyIds, "echo ran");
  EXPECT_FALSE(absl::StrContains(told, "ran\n")) << told;
  EXPECT_TRUE(absl::StrContains(told, "usermod --add-subuids") || absl::StrContains(told, "apt-get install uidmap")) << told;
}

TEST_P(IdsTest, NoOtherCapabilityIsKept) {
  EXPECT_EQ(Script("\"capabilities\": [\"chown\"]", "grep -E '^Cap' /proc/self/status | cut -f2 | sort -u"), "0000000000000001\n");
  EXPECT_EQ(Script("\"capabilities\": [\"kill\", \"net_bind_service\"], \"ids\": {\"uid\": 0}", "grep -E '^Cap(Eff|Bnd)' /proc/self/status | cut -f2 | sort -u"),
            "0000000000000420\n");
}

TEST_P(IdsTest, ACapabilityIsForTheOwnIdsAlone) {
  const std::string script = "umask 777; echo own >/tmp/a; cat /tmp/a; cat /shown/shadow";
  constexpr char kShown[] = "\"files\": [{\"path\": \"/etc\", \"at\": \"/shown\"}]";
  const std::string with = Script(absl::StrCat(kShown, ", \"capabilities\": [\"dac_override\", \"fowner\"]"), script);
  EXPECT_TRUE(absl::StartsWith(with, "own\n")) << with;
  EXPECT_TRUE(absl::EndsWith(with, "/shown/shadow: Permission denied\n")) << with;
  const std::string without = Script(kShown, script);
  EXPECT_FALSE(absl::StrContains(without, "own\n")) << "or the test proves nothing: " << without;
  EXPECT_TRUE(absl::EndsWith(without, "/shown/shadow: Permission denied\n")) << without;
}

TEST_P(IdsTest, WhatWouldUndoTheSandboxCannotBeKept) {
  for (const char* name : {"sys_admin", "sys_ptrace", "net_admin", "sys_resource", "mknod", "setfcap", "CHOWN"}) {
    const std::string told = Script(absl::StrCat("\"capabilities\": [\"", name, "\"]"), "echo ran");
    EXPECT_TRUE(absl::StrContains(told, absl::StrCat("\"", name, "\" is none that a program can keep"))) << told;
    EXPECT_FALSE(absl::StrContains(told, "ran\n")) << told;
  }
}

TEST_P(IdsTest, OnesThatThereCannotBeAreRefused) {
  EXPECT_TRUE(absl::StrContains(Script("\"ids\": {\"uid\": 5, \"count\": 5}", ""), "field \"ids\": uid and gid must be below the count, 5"));
  EXPECT_TRUE(absl::StrContains(Script("\"ids\": {\"count\": 65537}", ""), "field \"ids\": count is 1 to 65536"));
  EXPECT_TRUE(absl::StrContains(Script("\"ids\": {\"uid\": 4294967296}", ""), "field \"ids\": uid and gid are at most 2147483647"));
  EXPECT_TRUE(absl::StrContains(Script("\"ids\": {\"uid\": 1}, \"namespaces\": [\"pid\", \"mount\", \"net\", \"uts\"]", ""), "need the user namespace"));
}

TEST_P(IdsTest, AreExplained) {
  const PlainRun run = Brood({"policy", "explain", With(kManyIds)[1]});
  EXPECT_TRUE(absl::StrContains(run.out, "as user 0, group 0, of the ids from 0 to 65535")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, "no capabilities but chown, setgid, setuid over its own ids")) << run.out;
}

class OverlayTest : public LayersTest {
 protected:
  void SetUp() override {
    lower_ = directory_.path() + "/lower";
    ASSERT_EQ(mkdir(lower_.c_str(), 0755), 0);
    ASSERT_EQ(mkdir((lower_ + "/folder").c_str(), 0755), 0);
    Write(lower_ + "/file", "as it was");
    Write(lower_ + "/gone", "as it was");
    Write(lower_ + "/folder/below", "as it was");
  }
  // A shell in a sandbox that shows `rule` of the directory.
  PlainRun Script(const std::string& rule, const std::string& script) {
    return Brood({"run", "--policy", GetParam(), "--overlay", rule, "--result", Result(), "--", "sh", "-c", script});
  }
  // What is in the directory, outside.
  std::string Outside() const { return RunPlain({"sh", "-c", "cd $0 && grep -r . . | sort; stat -c '%n %a %u' * .", lower_}).out; }

  std::string lower_;
};
INSTANTIATE_TEST_SUITE_P(Policies, OverlayTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(OverlayTest, WhatIsChangedStaysInMemory) {
  const std::string before = Outside();
  for (int i = 0; i < 2; ++i) {  // Nor does the next child see it.
    const PlainRun run = Script(lower_, "cd " + lower_ + " && cat file && echo changed >file && rm gone && echo new >made && rm -r folder && mkdir folder && "
                                        "echo x >folder/other && mv file moved && chmod 700 . && ls . folder && cat moved");
    EXPECT_EQ(run.out, "as it was.:\nfolder\nmade\nmoved\n\nfolder:\nother\nchanged\n") << run.err;
    EXPECT_EQ(run.code, 0) << run.err;
    EXPECT_EQ(Outside(), before);
  }
}

TEST_P(OverlayTest, IsBounded) {
  const PlainRun run = Script(lower_ + ":/view:1M", "head -c 900000 /dev/zero >/view/fits && echo fits; head -c 2000000 /dev/zero >/view/large || wc -c </view/fits");
  EXPECT_EQ(run.out, "fits\n900000\n") << run.err;
  EXPECT_TRUE(absl::StrContains(run.err, "No space left on device")) << run.err;
}

TEST_P(OverlayTest, ShowsNothingElse) {
  const PlainRun run = Script(lower_ + ":/view", "ls /view; ls " + directory_.path() + " 2>/dev/null; grep -c ' / / ' /proc/self/mountinfo; "
                                                 "ls /lower /upper /work /view/../work 2>/dev/null; cat /proc/self/mountinfo | grep -c tmpfs");
  const PlainRun without = Brood({"run", "--policy", GetParam(), "--", "sh", "-c", "cat /proc/self/mountinfo | grep -c tmpfs"});
  EXPECT_EQ(run.out, absl::StrCat("file\nfolder\ngone\n1\n", without.out)) << run.err;
}

// A link in the directory leads to where it leads inside.
TEST_P(OverlayTest, ALinkInItLeadsNowhere) {
  Write(directory_.path() + "/secret", "secret");
  ASSERT_EQ(symlink((directory_.path() + "/secret").c_str(), (lower_ + "/link").c_str()), 0);
  ASSERT_EQ(symlink("../secret", (lower_ + "/up").c_str()), 0);
  const PlainRun run = Script(lower_, "cd " + lower_ + "; cat link up; echo planted >link");
  EXPECT_EQ(run.out, "") << run.err;
  EXPECT_EQ(FileContent(directory_.path() + "/secret"), "secret");
}

TEST_P(OverlayTest, ASetIdBitIsNotHonoured) {
  const PlainRun run = Script(lower_, "grep ' " + lower_ + " ' /proc/self/mountinfo | cut -d' ' -f6");
  EXPECT_EQ(run.out, "rw,nosuid,nodev,relatime\n") << run.err;
}

TEST_P(OverlayTest, MayHoldOtherMounts) {
  const PlainRun run = Brood({"run", "--policy", GetParam(), "--overlay", lower_ + ":/view", "--tmpfs", "/view/folder/memory", "--ro", lower_ + ":/view/plain", "--", "sh",
                              "-c", "cat /view/plain/file && echo x >/view/folder/memory/x && echo >/view/plain/file"});
  EXPECT_EQ(run.out, "as it was") << run.err;
  EXPECT_TRUE(absl::StrContains(run.err, "Read-only")) << run.err;
}

TEST_P(OverlayTest, WhatThereCannotBeIsRefused) {
  const PlainRun file = Script(lower_ + "/file", "echo ran");
  EXPECT_EQ(file.code, 125);
  EXPECT_TRUE(absl::StrContains(file.err, "only of a directory there can be an overlay")) << file.err;
  EXPECT_TRUE(absl::StrContains(Script(lower_ + ":/", "echo ran").err, "an overlay at / is not possible"));
  EXPECT_TRUE(absl::StrContains(Script(lower_ + "/missing", "echo ran").err, "missing"));
  const PlainRun both = Run(absl::StrCat("\"files\": [{\"overlay\": \"", lower_, "\", \"access\": \"ro\"}]"), {"does_nothing"});
  EXPECT_TRUE(absl::StrContains(both.err, "a read-only overlay of one directory is what \"path\" shows")) << both.err;
}

TEST_P(OverlayTest, IsExplained) {
  const PlainRun run = Brood({"policy", "explain", With(absl::StrCat("\"files\": [{\"overlay\": \"", lower_, "\", \"at\": \"/view\", \"size\": \"1M\"}]"))[1]});
  EXPECT_TRUE(absl::StrContains(run.out, "changes in memory")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, lower_ + " at /view (1M)")) << run.out;
}

class SharesTest : public LayersTest {};
INSTANTIATE_TEST_SUITE_P(Policies, SharesTest, testing::Values("strict"), [](const auto& param) { return param.param; });

double NumberAfterKey(const std::string& text, const std::string& key) {
  const size_t at = text.find(key);
  double value = -1;
  EXPECT_TRUE(at != std::string::npos && sscanf(text.c_str() + at + key.size(), "%lf", &value) == 1) << text;
  return value;
}

TEST_P(SharesTest, ASpinnerHasNoMoreThanItsCpus) {
  const int code = RunCode({"--policy", GetParam(), "--cpus", "0.2", "--wall-time", "3s", "--result", Result()}, {"spins_forever"});
  if (code == 125) GTEST_SKIP() << "no cgroup for CPUs: see WithoutAGroupTheyAreRefusedWithTheRemedy";
  ASSERT_EQ(code, 124);
  const std::string result = FileContent(Result());
  const double cpu = NumberAfterKey(result, "\"cpu_s\":");
  EXPECT_GT(cpu, 0);
  // A period more than its share, at most.
  EXPECT_LE(cpu, 0.2 * NumberAfterKey(result, "\"wall_s\":") + 0.1) << result;
  EXPECT_TRUE(absl::StrContains(result, ": 200/1000 of a CPU\"")) << result;
}

TEST_P(SharesTest, TheGroupHasWhatWasAskedFor) {
  const std::string show = "for c in cpu blkio; do d=/sys/fs/cgroup/$c$(grep \":$c:\" /proc/self/cgroup | cut -d: -f3); cd $d && "
                           "cat cpu.shares cpu.cfs_quota_us blkio.throttle.read_bps_device 2>/dev/null; done; true";
  const PlainRun run = Brood({"run", "--policy", "none", "--cpu-weight", "50", "--cpus", "1.5", "--io-rate", "3M", "--allow-weaker", "io", "--result", Result(), "--", "sh", "-c", show});
  if (run.code == 125) GTEST_SKIP() << "no cgroup for CPUs: see WithoutAGroupTheyAreRefusedWithTheRemedy";
  const std::string result = FileContent(Result());
  if (!absl::StrContains(result, "\"cpu\":\"cgroup v1")) GTEST_SKIP() << "of version 1; that of version 2 is looked at by Cgroup2Test";
  EXPECT_TRUE(absl::StartsWith(run.out, "512\n150000\n")) << run.out << run.err;
  EXPECT_TRUE(absl::StrContains(run.out, ":0 3145728\n") || !absl::StrContains(result, "\"io\":\"weaker: cgroup v1 blkio")) << run.out << result;
}

TEST_P(SharesTest, WithoutAGroupTheyAreRefusedWithTheRemedy) {
  if (RunCode({"--policy", GetParam(), "--cpus", "1"}, {"does_nothing"}) == 0) GTEST_SKIP() << "there is one";
  for (const char* option : {"--cpus", "--cpu-weight"}) {
    const PlainRun run = Brood(RunArgs({"--policy", GetParam(), option, "1"}, {"does_nothing"}));
    EXPECT_EQ(run.code, 125);
    EXPECT_TRUE(absl::StrContains(run.err, "limit cpu cannot be enforced here")) << run.err;
    EXPECT_TRUE(absl::StrContains(run.err, "--allow-weaker cpu")) << run.err;
    EXPECT_EQ(RunCode({"--policy", GetParam(), option, "1", "--allow-weaker", "cpu", "--result", Result()}, {"does_nothing"}), 0);
    EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"cpu\":\"weaker: absent, ")) << FileContent(Result());
  }
}

TEST_P(SharesTest, RatesOfVersion1AreWeakerByName) {
  const PlainRun run = Brood(RunArgs({"--policy", GetParam(), "--io-rate", "1M"}, {"does_nothing"}));
  if (run.code == 0) GTEST_SKIP() << "this machine has version 2";
  EXPECT_EQ(run.code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "--allow-weaker io")) << run.err;
  EXPECT_EQ(RunCode({"--policy", GetParam(), "--io-rate", "1M", "--allow-weaker", "io", "--result", Result()}, {"does_nothing"}), 0);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"io\":\"weaker: ")) << FileContent(Result());
}

// Which file the weight is in depends on what schedules the disks, and most kernels have none.
TEST_P(SharesTest, AWeightOfDisksIsTheGroupsOrItsAbsenceIsNamed) {
  const std::string show = "for c in blkio io; do d=/sys/fs/cgroup/$c$(grep \":$c:\" /proc/self/cgroup | cut -d: -f3); cat $d/$c.weight $d/$c.bfq.weight 2>/dev/null; done; "
                           "d=/sys/fs/cgroup$(grep ^0:: /proc/self/cgroup | cut -d: -f3); cat $d/io.weight $d/io.bfq.weight 2>/dev/null; true";
  const std::vector<std::string> args = {"run", "--policy", "none", "--io-weight", "200", "--result", Result()};
  const auto run = [&](std::vector<std::string> options) {
    options.insert(options.begin(), args.begin(), args.end());
    options.insert(options.end(), {"--", "sh", "-c", show});
    return Brood(options);
  };
  const PlainRun kept = run({});
  if (kept.code == 0) {
    EXPECT_TRUE(absl::StrContains(kept.out, "200\n")) << kept.out;
    EXPECT_TRUE(absl::StrContains(FileContent(Result()), "weight 200\"")) << FileContent(Result());
    return;
  }
  EXPECT_EQ(kept.code, 125);
  EXPECT_EQ(kept.out, "");
  EXPECT_TRUE(absl::StrContains(kept.err, "limit io cannot be enforced here")) << kept.err;
  EXPECT_TRUE(absl::StrContains(kept.err, "--allow-weaker io")) << kept.err;
  EXPECT_EQ(run({"--allow-weaker", "io"}).code, 0);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"io\":\"weaker: absent, ")) << FileContent(Result());
}

TEST_P(SharesTest, DirectReadsAreHeldBack) {
  const std::string file = directory_.path() + "/file";
  Write(file, std::string(4 << 20, 'x'));
  const std::vector<std::string> read = {"dd", "if=" + file, "iflag=direct", "bs=256k", "of=/dev/null", "status=none"};
  if (RunPlain({"sh", "-c", "sync " + file + " && dd if=" + file + " iflag=direct bs=256k of=/dev/null"}).code != 0) GTEST_SKIP() << "no direct reads here";
  std::vector<std::string> args = {"run", "--policy", "none", "--io-rate", "1M", "--allow-weaker", "io", "--result", Result(), "--"};
  args.insert(args.end(), read.begin(), read.end());
  ASSERT_EQ(Brood(args).code, 0);
  const std::string result = FileContent(Result());
  if (absl::StrContains(result, "\"io\":\"weaker: absent")) GTEST_SKIP() << "no cgroup for disks";
  EXPECT_GT(NumberAfterKey(result, "\"wall_s\":"), 2) << result;
}

TEST_P(SharesTest, BadOnesNameWhatIsExpected) {
  for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{
           {"--cpus", "0"}, {"--cpus", "1.2345"}, {"--cpus", "-1"}, {"--cpus", "1."}, {"--cpu-weight", "0"}, {"--io-weight", "10001"}, {"--io-rate", "0"}}) {
    const PlainRun run = Brood(RunArgs({option, value}, {"does_nothing"}));
    EXPECT_EQ(run.code, 125) << option << value;
    EXPECT_TRUE(absl::StrContains(run.err, option)) << run.err;
  }
  EXPECT_TRUE(absl::StrContains(Run("\"limits\": {\"cpus\": \"x\"}", {"does_nothing"}).err, "field \"limits\": cpus: cpus \"x\": write a number"));
  EXPECT_TRUE(absl::StrContains(Run("\"limits\": {\"cpu_weight\": 0}", {"does_nothing"}).err, "cpu_weight: expected 1 to 10000"));
}

class DiskTest : public LayersTest {
 protected:
  PlainRun Script(std::vector<std::string> options, const std::string& script) {
    options.insert(options.begin(), {"run", "--policy", GetParam(), "--result", Result()});
    options.insert(options.end(), {"--", "sh", "-c", script});
    return Brood(options);
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, DiskTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

// As much as there is room for, everywhere: how many bytes that is.
constexpr char kFill[] = "for d in /tmp /dev/shm /more /view; do i=0; while [ -d $d ] && head -c 200000 /dev/zero >$d/$i 2>/dev/null; do i=$((i + 1)); done; done; "
                         "cat /tmp/[0-9]* /dev/shm/[0-9]* /more/[0-9]* /view/[0-9]* 2>/dev/null | wc -c";

TEST_P(DiskTest, AllFilesTogetherAreBounded) {
  const std::string lower = directory_.path() + "/lower";
  ASSERT_EQ(mkdir(lower.c_str(), 0755), 0);
  const auto bytes = [&](const std::string& limit) {
    const PlainRun run = Script({"--disk", limit, "--tmpfs", "/more:100M", "--overlay", lower + ":/view:500K"}, kFill);
    EXPECT_EQ(run.code, 0) << run.err;
    return std::stoll(run.out + " ");
  };
  const long long two = bytes("2M");
  EXPECT_LE(two, 2 << 20);
  EXPECT_GT(two, 1500000);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), " bytes in memory, and nothing else can be written\"")) << FileContent(Result());
  const long long eight = bytes("8M");
  EXPECT_LE(eight, 8 << 20);
  EXPECT_GT(eight, 6 << 20);  // But for the overlay, which has 500K.
}

TEST_P(DiskTest, AWritableDirectoryOfTheHostHasNoBoundAndIsRefused) {
  const std::vector<std::string> options = {"--disk", "2M", "--rw", directory_.path()};
  const PlainRun run = Script(options, "echo ran");
  EXPECT_EQ(run.code, 125);
  EXPECT_EQ(run.out, "");
  EXPECT_TRUE(absl::StrContains(run.err, directory_.path() + " is writable on the host; show it by --overlay")) << run.err;
  std::vector<std::string> weaker = options;
  weaker.insert(weaker.end(), {"--allow-weaker", "disk"});
  const PlainRun each = Script(weaker, "head -c 3000000 /dev/zero >" + directory_.path() + "/large; wc -c <" + directory_.path() + "/large");
  EXPECT_EQ(each.out, "2097152\n") << each.err;
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"disk\":\"weaker: ")) << FileContent(Result());
}

TEST_P(DiskTest, WithoutOwnMountsIsRefused) {
  const PlainRun run = Brood({"run", "--policy", "none", "--disk", "1M", "--", "true"});
  EXPECT_EQ(run.code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "limit disk cannot be enforced here")) << run.err;
  EXPECT_TRUE(absl::StrContains(Script({"--disk", "5000"}, "true").err, "less than a page for each of")) << GetParam();
}

class RlimitsTest : public LayersTest {};
INSTANTIATE_TEST_SUITE_P(Policies, RlimitsTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

// What the kernel says of a process of the tree: soft and hard limit.
TEST_P(RlimitsTest, EachProcessHasThose) {
  constexpr char kShow[] = "sh -c \"grep -E 'Max (stack|locked|pending|address)' /proc/self/limits\" | sed 's/  */ /g'";
  const PlainRun run = Brood({"run", "--policy", GetParam(), "--rlimit", "stack=2M", "--rlimit", "memlock=0", "--rlimit", "sigpending=5", "--rlimit", "as=1G",
                              "--result", Result(), "--", "sh", "-c", kShow});
  EXPECT_EQ(run.out,
            "Max stack size 2097152 2097152 bytes \nMax locked memory 0 0 bytes \nMax address space 1073741824 1073741824 bytes \n"
            "Max pending signals 5 5 signals \n")
      << run.err;
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"rlimits\":\"setrlimit: as 1073741824, memlock 0, sigpending 5, stack 2097152\"")) << FileContent(Result());
}

TEST_P(RlimitsTest, AFileSaysThemTooAndTheNearerCounts) {
  const std::vector<std::string> options = With("\"limits\": {\"rlimits\": [\"stack=2M\", \"memlock=4096\"]}", {"--rlimit", "stack=1M"});
  std::vector<std::string> args = {"run"};
  args.insert(args.end(), options.begin(), options.end());
  args.insert(args.end(), {"--", "sh", "-c", "grep -E 'Max (stack|locked)' /proc/self/limits | sed 's/  */ /g'"});
  EXPECT_EQ(Brood(args).out, "Max stack size 1048576 1048576 bytes \nMax locked memory 4096 4096 bytes \n");
  EXPECT_TRUE(absl::StrContains(Brood({"policy", "explain", options[3]}).out, "rlimit memlock 4096, rlimit stack 2097152"));
}

TEST_P(RlimitsTest, BadOnesAreNamed) {
  const PlainRun unknown = Brood({"run", "--policy", GetParam(), "--rlimit", "nofile=5", "--", "true"});
  EXPECT_EQ(unknown.code, 125);
  EXPECT_TRUE(absl::StrContains(unknown.err, "--rlimit: rlimit \"nofile=5\": write NAME=VALUE")) << unknown.err;
  const PlainRun twice = Run("\"limits\": {\"rlimits\": [\"stack=2M\", \"stack=1M\"]}", {"does_nothing"});
  EXPECT_TRUE(absl::StrContains(twice.err, "field \"limits.rlimits[1]\": \"stack\" is there twice")) << twice.err;
}

}  // namespace
}  // namespace brood
