// What only a machine with cgroup v2 controllers can show. tests/guest runs it in a guest that has them, from each place
// that a caller can have there, and names the place in BROOD_TEST_PLACE.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

std::string FileText(const std::string& path) {
  std::ifstream file(path);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

std::string Place() {
  const char* place = getenv("BROOD_TEST_PLACE");
  return place != nullptr ? place : "";
}

// The directory of this process's own group.
std::string OwnGroup() {
  const std::string path(absl::StripSuffix(absl::StripPrefix(FileText("/proc/self/cgroup"), "0::"), "\n"));
  return path == "/" ? "/sys/fs/cgroup" : "/sys/fs/cgroup" + path;
}

std::string Parent(const std::string& group) { return fs::path(group).parent_path().string(); }

size_t CountGroups(const std::string& parent) {
  size_t count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent)) count += entry.is_directory() ? 1 : 0;
  return count;
}

Tweaks Asking(const std::function<void(Limits&)>& limit) {
  return {.policy = [limit](Policy& policy) { limit(policy.limits); }};
}

// A limit that was asked for, and a program that says which group it is in.
Tweaks ShowingItsGroup() {
  Tweaks tweaks = Asking([](Limits& limits) { limits.processes = 20; });
  tweaks.options = [](LaunchOptions& options) { options.argv = {"/bin/cat", "/proc/self/cgroup"}; };
  return tweaks;
}

class Cgroup2Test : public testing::Test {
 protected:
  void SetUp() override {
    if (Place().empty()) GTEST_SKIP() << "needs cgroup v2 with all controllers; run tools/test guest";
  }
  static bool Limited() { return Place() != "undelegated" && Place() != "alone" && Place() != "threaded"; }
};

// Those that hold where the caller can make groups.
class LimitedCgroup2Test : public Cgroup2Test {
 protected:
  void SetUp() override {
    Cgroup2Test::SetUp();
    if (!IsSkipped() && !Limited()) GTEST_SKIP() << "the caller can make no groups in the place " << Place();
  }
};

TEST_F(LimitedCgroup2Test, AChildRunsInAGroupOfItsOwn) {
  const Ended run = RunProgram("none", {"does_nothing"}, ShowingItsGroup());
  EXPECT_TRUE(absl::StrContains(run.out, absl::StrCat("/brood-child-", getpid(), "-"))) << run.Text();
}

TEST_F(LimitedCgroup2Test, AChildSeesItsGroupAsTheRoot) {
  const Ended run = RunProgram("default", {"does_nothing"}, ShowingItsGroup());
  EXPECT_EQ(run.out, "0::/\n") << run.Text();
}

TEST_F(LimitedCgroup2Test, TheMemoryLimitIsNotEvadedBySwap) {
  ASSERT_TRUE(absl::StrContains(FileText("/proc/swaps"), "/dev/")) << "the guest should have swap";
  for (const char* policy : {"strict", "default", "none"}) {
    const Ended run = RunProgram(policy, {"memory_bomb", "400"}, Asking([](Limits& l) { l.memory_bytes = 48 << 20; }));
    EXPECT_FALSE(SaysItWorked(run)) << policy << run.Text();
    EXPECT_EQ(run.outcome.StatusWord(), "memory") << policy << run.Text();
    EXPECT_EQ(run.outcome.enforced.at(Layer::kMemory), "cgroup v2 memory") << policy;
    // memory.peak is there since Linux 5.19.
    EXPECT_GT(run.outcome.usage.memory_peak_bytes, uint64_t{24} << 20) << policy;
    EXPECT_LE(run.outcome.usage.memory_peak_bytes, uint64_t{48} << 20) << policy;
  }
}

TEST_F(LimitedCgroup2Test, MemoryOfTheWholeTreeIsOneLimit) {
  const Ended run =
      RunProgram("none", {"memory_bomb_spread", "12", "32"}, Asking([](Limits& l) { l.memory_bytes = 96 << 20; }));
  EXPECT_EQ(run.outcome.StatusWord(), "memory") << run.Text();
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
}

TEST_F(LimitedCgroup2Test, ARefusedForkIsALimitHitThatEndsNothing) {
  const Ended run = RunProgram("none", {"fork_bomb", "100", absl::StrCat("token-cgroup2-", getpid())},
                               Asking([](Limits& limits) { limits.processes = 10; }));
  EXPECT_TRUE(absl::StrContains(run.out, "refused: fork")) << run.Text();
  EXPECT_EQ(run.outcome.limits_hit, std::vector<Layer>{Layer::kProcesses}) << run.Text();
}

TEST_F(LimitedCgroup2Test, CpuTimeIsCountedByTheGroup) {
  const Ended run = RunProgram("none", {"spins_forever"}, Asking([](Limits& l) { l.cpu_time = absl::Seconds(1); }));
  EXPECT_EQ(run.outcome.StatusWord(), "cpu") << run.Text();
  EXPECT_EQ(run.outcome.enforced.at(Layer::kCpuTime), "cgroup accounting and RLIMIT_CPU");
}

TEST_F(LimitedCgroup2Test, CpusAndDisksAreSharedAsWasAskedFor) {
  Tweaks tweaks = Asking([](Limits& limits) {
    limits.cpus_milli = 200;
    limits.cpu_weight = 50;
    limits.io_rate_bytes = 3 << 20;
  });
  tweaks.options = [](LaunchOptions& options) {
    options.argv = {"/bin/sh", "-c", "cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup) && cat cpu.max cpu.weight io.max"};
  };
  const Ended run = RunProgram("none", {"does_nothing"}, tweaks);
  EXPECT_TRUE(absl::StartsWith(run.out, "20000 100000\n50\n")) << run.Text();
  EXPECT_TRUE(absl::StrContains(run.out, " rbps=3145728 wbps=3145728 ")) << run.Text();
  EXPECT_EQ(run.outcome.enforced.at(Layer::kCpu), "cgroup v2 cpu: 200/1000 of a CPU, weight 50");
}

// What goes through the page cache is written by the kernel's threads, on the group's account. Documentation/admin-guide/cgroup-v2.rst,
// "Writeback"
TEST_F(LimitedCgroup2Test, WritesAndReadsAreHeldBackThroughThePageCacheToo) {
  TemporaryDirectory directory;
  const std::string file = directory.path() + "/file";
  // Writeback is on the account of the group that had a file first, for a while.
  const std::string other = directory.path() + "/other";
  const auto seconds = [&](const std::string& what, bool limited) {
    Tweaks tweaks = Asking([&](Limits& limits) {
      if (limited) limits.io_rate_bytes = 1 << 20;
    });
    tweaks.options = [&](LaunchOptions& options) { options.argv = {"/bin/sh", "-c", absl::StrCat("dd bs=1M count=6 ", what)}; };
    const Ended run = RunProgram("none", {"does_nothing"}, tweaks);
    EXPECT_EQ(run.outcome.StatusWord(), "ok") << what << run.Text();
    return absl::ToDoubleSeconds(run.outcome.usage.wall_time);
  };
  for (const std::string what : {"if=/dev/zero conv=fsync of=", "if=/dev/zero oflag=direct of=", "iflag=direct of=/dev/null if="}) {
    const double free = seconds(what + other, false);
    const double held_back = seconds(what + file, true);
    EXPECT_GE(held_back, 4.0) << what;  // Of the first second nothing is held back.
    EXPECT_LT(free, held_back / 2) << what;
  }
}

TEST_F(LimitedCgroup2Test, CpusAreThoseOfTheGroupWhereThereIsNoFilter) {
  Tweaks tweaks = Asking([](Limits& limits) { limits.cpu_set = CpuSet(1); });
  tweaks.options = [](LaunchOptions& options) {
    options.argv = {"/bin/sh", "-c", "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/cpuset.cpus; taskset -c 0-1 grep Cpus_allowed_list /proc/self/status"};
  };
  const Ended run = RunProgram("none", {"does_nothing"}, tweaks);
  EXPECT_EQ(run.out, "0\nCpus_allowed_list:\t0\n") << run.Text();
  EXPECT_EQ(run.outcome.enforced.at(Layer::kCpu), "cgroup v2 cpuset: CPUs 0");
}

TEST_F(LimitedCgroup2Test, NoGroupIsLeftByLaunchesThatFailOrAreDestroyed) {
  const Tweaks good = ShowingItsGroup();
  const Ended run = RunProgram("none", {"does_nothing"}, good);
  // "0::/delegated/brood-17-0\n"
  const std::string parent = Parent(absl::StrCat("/sys/fs/cgroup", absl::StripPrefix(run.out, "0::")));
  const size_t groups = CountGroups(parent);
  for (int i = 0; i < 10; ++i) {
    Tweaks bad = ShowingItsGroup();
    bad.options = [](LaunchOptions& options) { options.argv = {"/nowhere/to/be/found"}; };
    EXPECT_EQ(RunProgram("default", {"does_nothing"}, bad).outcome.StatusWord(), "setup_failed");
    // Fails before there is a guardian, which would remove the group.
    bad.options = [](LaunchOptions& options) { options.stdin_spec = Stdio::Path("/nowhere/to/be/found"); };
    EXPECT_FALSE(StartProgram("default", {"does_nothing"}, bad).ok());
    Tweaks limited = Asking([](Limits& limits) { limits.processes = 20; });
    absl::StatusOr<Process> destroyed = StartProgram("none", {"ignores_all_signals", "x"}, limited);
    EXPECT_TRUE(destroyed.ok()) << destroyed.status();
  }
  EXPECT_EQ(CountGroups(parent), groups);
}

TEST_F(LimitedCgroup2Test, MemoryThatAGroupAboveLacksIsNotTheLimitOfTheChild) {
  if (Place() != "tight") GTEST_SKIP() << "needs a limit above: the place \"tight\"";
  const Ended run = RunProgram("none", {"memory_bomb", "300"}, Asking([](Limits& l) { l.memory_bytes = 512 << 20; }));
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  EXPECT_NE(run.outcome.StatusWord(), "memory") << run.Text();
  EXPECT_NE(run.outcome.StatusWord(), "ok") << run.Text();
}

TEST_F(Cgroup2Test, ALimitThatCannotBeEnforcedFailsWithWhatToChange) {
  if (Limited()) GTEST_SKIP() << "limits can be enforced in the place " << Place();
  const absl::StatusOr<Process> process =
      StartProgram("default", {"does_nothing"}, Asking([](Limits& limits) { limits.memory_bytes = 64 << 20; }));
  EXPECT_EQ(process.status().code(), absl::StatusCode::kFailedPrecondition);
  const char* reason = Place() == "alone"      ? "holds processes itself"
                       : Place() == "threaded" ? "is of type \"threaded\""
                                               : "no cgroup is delegated to this user";
  EXPECT_TRUE(absl::StrContains(process.status().message(), reason)) << process.status();
  EXPECT_TRUE(absl::StrContains(process.status().message(), "docs/cgroups.md")) << process.status();
}

TEST_F(Cgroup2Test, TheLibraryLeavesItsCallerAndTheGroupOfItAsTheyAre) {
  const std::string before = FileText("/proc/self/cgroup");
  RunProgram("strict", {"does_nothing"});
  EXPECT_EQ(FileText("/proc/self/cgroup"), before);
  // pids alone could be enabled beside processes: it makes a threaded domain of the group.
  if (OwnGroup() != "/sys/fs/cgroup") {
    EXPECT_EQ(FileText(OwnGroup() + "/cgroup.subtree_control"), "");
  }
}

// `brood run` as systemd-run --user --scope -p Delegate=yes starts it: alone in a group of the user's.
TEST_F(Cgroup2Test, TheCommandMakesRoomInAGroupThatItHasForItself) {
  if (Place() != "delegated") GTEST_SKIP() << "needs to make a group for the command: the place \"delegated\"";
  const std::string group = Parent(OwnGroup()) + "/command";
  ASSERT_EQ(mkdir(group.c_str(), 0755), 0);
  const std::string brood = getenv("BROOD_TEST_CLI");
  const std::string enter = absl::StrCat("echo $$ > ", group, "/cgroup.procs && exec ", brood, " run -p none ");
  // Twice: the first leaves the group as it was.
  for (int i = 0; i < 2; ++i) {
    const PlainRun shown = RunPlain({"sh", "-c", enter + "--memory 64M -- cat /proc/self/cgroup"});
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_TRUE(absl::StrContains(shown.out, "/delegated/command/brood-")) << shown.out;
    EXPECT_EQ(CountGroups(group), 0u);
    EXPECT_EQ(FileText(group + "/cgroup.subtree_control"), "");
  }
  const PlainRun bomb = RunPlain({"sh", "-c", absl::StrCat(enter, "--memory 64M -- ", ProgramPath("memory_bomb"), " 400")});
  EXPECT_EQ(bomb.code, 137) << bomb.err;
  EXPECT_EQ(rmdir(group.c_str()), 0) << "nothing may be left in it";
}

}  // namespace
}  // namespace brood
