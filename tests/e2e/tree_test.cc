// Nothing of a child is left: not when it ends, not when its owner dies, not after many launches.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

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
    // One child that sleeps, and one whose daemon has left it.
    absl::StatusOr<Process> first = StartProgram(GetParam(), {"sleeps_forever", token});
    absl::StatusOr<Process> second = StartProgram(GetParam(), {"fork_bomb", "3", token});
    for (;;) pause();
  }
  EXPECT_TRUE(WaitFor([&] { return !ProcessesNamed(token).empty(); }));
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  EXPECT_TRUE(WaitFor([&] { return ProcessesNamed(token).empty(); }));
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
    // Others on this machine may make groups meanwhile; those of brood have its name.
    if (absl::StrContains(it->path().filename().string(), "brood") && it->is_directory(error)) ++count;
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
