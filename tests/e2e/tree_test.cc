// Nothing of a child is left: not when it ends, not when its owner dies, not after many launches.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

class TreeTest : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Policies, TreeTest, testing::Values("strict", "default", "none"),
                         [](const auto& param) { return param.param; });

std::string Token(const std::string& name) { return absl::StrCat("token-", name, "-", getpid()); }

TEST_P(TreeTest, ADaemonIsDeadWhenTheOutcomeIsGiven) {
  TemporaryDirectory directory;
  const std::string file = directory.path() + "/written";
  const std::string token = Token("daemon" + GetParam());
  const Ended run = RunProgram(GetParam(), {"leaves_daemon", file, token});
  EXPECT_TRUE(ProcessesNamed(token).empty());
  EXPECT_TRUE(run.outcome.ok()) << run.Text();
  EXPECT_EQ(run.out, "daemon is up\n");
  // It holds the pipes for 30 s.
  EXPECT_LT(run.outcome.usage.wall_time, absl::Seconds(10));
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_P(TreeTest, KillingTheOwnerKillsTheTree) {
  const std::string token = Token("owner" + GetParam());
  const pid_t owner = fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    // One child that sleeps, and one with a daemon in a session of its own.
    absl::StatusOr<Process> first = StartProgram(GetParam(), {"sleeps_forever", token});
    absl::StatusOr<Process> second = StartProgram(GetParam(), {"keeps_daemon", token});
    for (;;) pause();
  }
  EXPECT_TRUE(WaitFor([&] { return ProcessesNamed(token).size() == 3; }));
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  EXPECT_TRUE(WaitFor([&] { return ProcessesNamed(token).empty(); }));
}

// The fourth field of /proc/PID/stat. proc(5).
pid_t ParentOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t name_end = text.rfind(')');
  int parent = 0;
  char state = 0;
  if (name_end == std::string::npos || sscanf(text.c_str() + name_end + 1, " %c %d", &state, &parent) != 2) return 0;
  return parent;
}

std::string NameOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

// The guardian above one of the processes that have `token`; 0 if they are not there, or not yet below an init.
pid_t GuardianOf(const std::string& token) {
  for (const pid_t pid : ProcessesNamed(token)) {
    const pid_t guardian = ParentOf(ParentOf(pid));
    if (guardian > 1 && NameOf(guardian) == "brood-guardian") return guardian;
  }
  return 0;
}

// Limits that a cgroup enforces, where there is one.
void Limited(Policy& policy) {
  policy.default_limits.memory_bytes = 256 << 20;
  // Without a cgroup and a user namespace it would count all processes of the user, of other tests too. setrlimit(2).
  if (policy.namespaces.count(Layer::kUser) != 0) policy.default_limits.processes = 50;
}

// Cgroups that `owner` made.
// Another process's group that goes while we walk ends the walk, with an error: then what was found is not all.
std::vector<std::string> CgroupsOf(pid_t owner) {
  for (;;) {
    std::vector<std::string> found;
    std::error_code error;
    const auto options = std::filesystem::directory_options::skip_permission_denied;
    for (std::filesystem::recursive_directory_iterator it("/sys/fs/cgroup", options, error), end; !error && it != end;
         it.increment(error)) {
      if (absl::StartsWith(it->path().filename().string(), absl::StrCat("brood-child-", owner, "-"))) {
        found.push_back(it->path().string());
      }
    }
    if (error != std::errc::no_such_file_or_directory && error != std::errc::no_such_device) return found;
  }
}

TEST_P(TreeTest, AKilledGuardianTakesItsTreeWithIt) {
  const std::string token = Token("guardian" + GetParam());
  absl::StatusOr<Process> process = StartProgram(GetParam(), {"keeps_daemon", token}, {.policy = Limited});
  ASSERT_TRUE(process.ok()) << process.status();
  // The program, and its daemon.
  ASSERT_TRUE(WaitFor([&] { return ProcessesNamed(token).size() == 2; }));
  const pid_t guardian = GuardianOf(token);
  ASSERT_GT(guardian, 1);
  ASSERT_EQ(kill(guardian, SIGKILL), 0);
  const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(20));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->StatusWord(), "lost") << outcome->ToString();
  EXPECT_TRUE(outcome->enforced.empty()) << outcome->enforced.begin()->second;
  EXPECT_TRUE(ProcessesNamed(token).empty());
  EXPECT_TRUE(CgroupsOf(getpid()).empty()) << CgroupsOf(getpid())[0];
}

TEST_P(TreeTest, NothingIsLeftWhenOwnerAndGuardianAreKilledAtOnce) {
  const std::string token = Token("both" + GetParam());
  // Under `none` the child is of this test's process group. If nobody outside watches over that, the guardian's end while the
  // owner is stopped is a hangup for all of the group: setpgid(2), "orphaned process group".
  const sighandler_t before = signal(SIGHUP, SIG_IGN);
  const pid_t owner = fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    absl::StatusOr<Process> process = StartProgram(GetParam(), {"keeps_daemon", token}, {.policy = Limited});
    for (;;) pause();
  }
  EXPECT_TRUE(WaitFor([&] { return ProcessesNamed(token).size() == 2; }));
  const pid_t guardian = GuardianOf(token);
  EXPECT_GT(guardian, 1);
  // Stopped first, so that neither sees the other's end.
  if (guardian > 1) kill(guardian, SIGSTOP);
  kill(owner, SIGSTOP);
  if (guardian > 1) kill(guardian, SIGKILL);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  EXPECT_TRUE(WaitFor([&] { return ProcessesNamed(token).empty(); }));
  signal(SIGHUP, before);
  // What no process could remove is removed by the next that makes a cgroup, and the live ones' stay.
  absl::StatusOr<Process> live = StartProgram(GetParam(), {"sleeps_forever", token}, {.policy = Limited});
  ASSERT_TRUE(live.ok()) << live.status();
  ASSERT_TRUE(WaitFor([&] { return !ProcessesNamed(token).empty(); }));
  const std::vector<std::string> mine = CgroupsOf(getpid());
  const pid_t next = fork();
  ASSERT_GE(next, 0);
  if (next == 0) {
    // A process sweeps once, and this one is a copy of one that has.
    execl("/proc/self/exe", "tree_test", "--gtest_filter=SweepTest.*", "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr);
    _exit(127);
  }
  int status = 0;
  ASSERT_EQ(waitpid(next, &status, 0), next);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(CgroupsOf(owner).empty()) << CgroupsOf(owner)[0];
  EXPECT_EQ(CgroupsOf(getpid()), mine);
  EXPECT_TRUE(live->IsAlive());
}

// Run by the test above in a process of its own.
TEST(SweepTest, DISABLED_OneLaunch) {
  EXPECT_TRUE(RunProgram("strict", {"does_nothing"}, {.policy = Limited}).outcome.ok());
}

TEST_P(TreeTest, DestroyingARunningProcessKillsItsTree) {
  const std::string token = Token("destroyed" + GetParam());
  {
    absl::StatusOr<Process> process = StartProgram(GetParam(), {"sleeps_forever", token});
    ASSERT_TRUE(process.ok()) << process.status();
    EXPECT_TRUE(WaitFor([&] { return !ProcessesNamed(token).empty(); }));
  }
  EXPECT_TRUE(ProcessesNamed(token).empty());
}

size_t CountEntries(const std::string& path) {
  size_t count = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) ++count;
  return count;
}

size_t CountCgroups() {
  size_t count = 0;
  std::error_code error;
  const auto options = std::filesystem::directory_options::skip_permission_denied;
  for (std::filesystem::recursive_directory_iterator it("/sys/fs/cgroup", options, error), end; !error && it != end;
       it.increment(error)) {
    // Others on this machine make groups meanwhile, and keep some with their sandboxes; ours have our number.
    if (absl::StartsWith(it->path().filename().string(), absl::StrCat("brood-child-", getpid(), "-")) && it->is_directory(error)) ++count;
  }
  return count;
}

size_t CountLines(const std::string& path) {
  std::ifstream file(path);
  return static_cast<size_t>(std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
}

// Children of this process, ended or not.
size_t CountChildren() {
  std::ifstream file(absl::StrCat("/proc/self/task/", getpid(), "/children"));
  size_t count = 0;
  pid_t pid = 0;
  while (file >> pid) ++count;
  return count;
}

TEST_P(TreeTest, TwoHundredLaunchesLeakNothing) {
  RunProgram(GetParam(), {"does_nothing"});  // What is made once and kept.
  const size_t fds = CountEntries("/proc/self/fd");
  const size_t cgroups = CountCgroups();
  const size_t mounts = CountLines("/proc/self/mountinfo");
  const size_t children = CountChildren();
  const size_t temporary = CountEntries("/tmp");
  for (int i = 0; i < 190; ++i) {
    ASSERT_TRUE(RunProgram(GetParam(), {"does_nothing"}).outcome.ok()) << "launch " << i;
  }
  for (int i = 0; i < 10; ++i) {
    // Failed ones too.
    const Ended run = RunProgram(GetParam(), {"does_nothing"},
                                 {.options = [](LaunchOptions& options) { options.argv = {"/nowhere/to/be/found"}; }});
    EXPECT_EQ(run.outcome.StatusWord(), "setup_failed") << run.Text();
  }
  EXPECT_EQ(CountEntries("/proc/self/fd"), fds);
  EXPECT_EQ(CountLines("/proc/self/mountinfo"), mounts);
  EXPECT_EQ(CountChildren(), children);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  // Tests beside this one make directories there too, but not by the hundred.
  EXPECT_LT(CountEntries("/tmp"), temporary + 50);
  EXPECT_TRUE(WaitFor([&] { return CountCgroups() <= cgroups; })) << CountCgroups() << " and " << cgroups;
}

}  // namespace
}  // namespace brood
