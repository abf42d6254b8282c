// Attacks on brood itself that take more than one launch, or a hostile caller: what an earlier job left in a directory
// that it could write to must not lead set-up out of it.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cli/probe/run_command.h"
#include "gtest/gtest.h"
#include "tests/escape/playground.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

probe::CommandEnd RunIt(std::vector<std::string> argv, std::function<void()> prepare = [] {}) {
  absl::StatusOr<probe::CommandEnd> end = probe::RunCommand({.argv = std::move(argv), .prepare = std::move(prepare)});
  EXPECT_TRUE(end.ok()) << end.status();
  EXPECT_FALSE(end.ok() && end->timed_out);
  return end.ok() ? *std::move(end) : probe::CommandEnd{};
}

probe::CommandEnd Brood(std::vector<std::string> options, std::vector<std::string> program) {
  options.insert(options.begin(), {BroodProgram(), "run"});
  options.emplace_back("--");
  options.insert(options.end(), program.begin(), program.end());
  return RunIt(std::move(options));
}

// work/ is lent to jobs, outside/ is nobody's business. Both may be written to by everybody, so that modes protect neither.
class BroodTest : public testing::TestWithParam<std::string> {
 protected:
  BroodTest() {
    char pattern[] = "/tmp/brood-escape-XXXXXX";
    EXPECT_NE(mkdtemp(pattern), nullptr);
    base_ = pattern;
    chmod(pattern, 0755);
    for (const std::string& path : {Work(), Outside()}) {
      mkdir(path.c_str(), 0777);
      chmod(path.c_str(), 0777);
    }
    std::ofstream(Outside() + "/secret") << "the secret";
  }
  ~BroodTest() override {
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }

  std::string Work() const { return base_ + "/work"; }
  std::string Outside() const { return base_ + "/outside"; }

  // That there is the secret in it, and nothing else.
  void ExpectOutsideUntouched() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(Outside())) names.push_back(entry.path().filename().string());
    EXPECT_EQ(names, std::vector<std::string>{"secret"});
    std::ifstream file(Outside() + "/secret");
    std::string text;
    std::getline(file, text);
    EXPECT_EQ(text, "the secret");
  }

 private:
  std::string base_;
};

INSTANTIATE_TEST_SUITE_P(Policies, BroodTest, testing::Values("strict", "default", "networked"),
                         [](const auto& param) { return param.param; });

TEST_P(BroodTest, AJobPlantsWhatItLikesInADirectoryThatItMayWriteTo) {
  const probe::CommandEnd planted =
      Brood({"--policy", GetParam(), "--rw", Work()}, {"ln", "-s", Outside(), Work() + "/link"});
  EXPECT_EQ(planted.code, 0) << planted.err;
  EXPECT_EQ(fs::read_symlink(Work() + "/link"), Outside());
}

// CVE-2026-87766 of bubblewrap: set-up makes the places of mounts, and follows a link that an earlier job has planted.
TEST_P(BroodTest, SetUpDoesNotFollowAPlantedLinkToThePlaceOfAMount) {
  fs::create_symlink(Outside(), Work() + "/link");
  std::ofstream(Work() + "/file") << "shown";
  const std::vector<std::vector<std::string>> ways = {
      {"--tmpfs", Work() + "/link"},
      {"--tmpfs", Work() + "/link/made"},
      {"--ro", absl::StrCat(Work(), "/file:", Work(), "/link/made")},
      {"--rw", absl::StrCat(Work(), ":", Work(), "/link/made")},
      {"--ro", absl::StrCat(Work(), "/file:", Work(), "/link/secret")},
  };
  for (const std::vector<std::string>& way : ways) {
    std::vector<std::string> options = {"--policy", GetParam(), "--rw", Work()};
    options.insert(options.end(), way.begin(), way.end());
    const probe::CommandEnd end = Brood(options, {"sh", "-c", absl::StrCat("cat ", Work(), "/link/secret; echo ran")});
    EXPECT_FALSE(absl::StrContains(end.out, "the secret")) << way[1] << end.out;
    ExpectOutsideUntouched();
  }
}

TEST_P(BroodTest, APlantedLinkLeadsNowhereInside) {
  fs::create_symlink(Outside() + "/secret", Work() + "/link");
  const probe::CommandEnd end = Brood({"--policy", GetParam(), "--rw", Work()},
                                      {"sh", "-c", absl::StrCat("cat ", Work(), "/link; (echo x > ", Work(), "/link); echo ran")});
  EXPECT_EQ(end.out, "ran\n") << end.err;
  ExpectOutsideUntouched();
}

// CVE-2021-30465 of runc: a directory on the way to what is shown is swapped for a link, between look and mount.
TEST_P(BroodTest, ASwapOfADirectoryAndALinkNeverShowsWhatWasNotAskedFor) {
  const std::string asked = Work() + "/a/b";
  fs::create_directories(asked);
  fs::create_symlink(Outside(), Work() + "/other");
  const pid_t swapper = fork();
  ASSERT_GE(swapper, 0);
  if (swapper == 0) {
    const std::string a = asked;
    const std::string b = Work() + "/other";
    for (;;) syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  }
  int shown = 0;
  int refused = 0;
  for (int i = 0; i < 30; ++i) {
    // By another name inside, where only what was mounted can be.
    const probe::CommandEnd end =
        Brood({"--policy", GetParam(), "--ro", absl::StrCat(Work(), ":/shown")}, {"sh", "-c", "cat /shown/a/b/secret; echo ran"});
    EXPECT_FALSE(absl::StrContains(end.out, "the secret")) << end.out;
    ++(absl::StrContains(end.out, "ran") ? shown : refused);
  }
  kill(swapper, SIGKILL);
  waitpid(swapper, nullptr, 0);
  EXPECT_EQ(shown, 30) << refused << " were refused, though the directory that was asked for is the same all the time";
  ExpectOutsideUntouched();
}

// One launch of a batch learns nothing of another, of the same user and at the same time.
TEST_P(BroodTest, TwoRunsShareNothing) {
  const std::string ready = Work() + "/ready";
  const pid_t other = fork();
  ASSERT_GE(other, 0);
  if (other == 0) {
    const std::string leave =
        absl::StrCat("echo the secret > /tmp/s; echo the secret > /dev/shm/s; echo > ", ready, "; exec sh -c 'sleep 60; :' the-secret");
    const std::vector<std::string> words = {BroodProgram(), "run",  "--policy", GetParam(), "--rw",
                                            Work(),         "--",   "sh",       "-c",       leave};
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!fs::exists(ready) && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(2));
  EXPECT_TRUE(fs::exists(ready));
  const std::string look =
      "cat /tmp/s /dev/shm/s /proc/[0-9]*/cmdline; for i in 1 2 3 4 5 6 7 8; do cat /proc/$i/root/tmp/s; done; echo ran";
  const probe::CommandEnd end = Brood({"--policy", GetParam()}, {"sh", "-c", look});
  EXPECT_TRUE(absl::StrContains(end.out, "ran")) << end.err;
  EXPECT_FALSE(absl::StrContains(end.out, "the secret")) << end.out;
  EXPECT_FALSE(absl::StrContains(end.out, "the-secret")) << end.out;
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
}

// /proc/PID/... and pids are another namespace's; a process group is not: kill(0, ...) reaches those outside who are in it.
bool BystanderSurvives(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t leader = fork();
  if (leader == 0) {
    setpgid(0, 0);
    const pid_t bystander = fork();
    if (bystander == 0) {
      for (;;) pause();
    }
    const pid_t runner = fork();
    if (runner == 0) {
      execv(argv[0], argv.data());
      _exit(127);
    }
    // Ours to ignore, since we are in the group too.
    signal(SIGTERM, SIG_IGN);
    waitpid(runner, nullptr, 0);
    kill(bystander, SIGKILL);
    int status = 0;
    waitpid(bystander, &status, 0);
    // Of two the first that was sent is the one it ends by. signal(7).
    _exit(WTERMSIG(status) == SIGKILL ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(leader, &status, 0), leader);
  return status == 0;
}

TEST_P(BroodTest, TheCallersProcessGroupIsNotTheChilds) {
  const std::string attack = "sleep 0.1; kill -TERM 0";
  EXPECT_FALSE(BystanderSurvives({"/bin/sh", "-c", attack}));
  EXPECT_TRUE(BystanderSurvives({BroodProgram(), "run", "--policy", GetParam(), "--", "sh", "-c", attack}));
}

TEST_P(BroodTest, AFloodOfOutputTakesNoMemoryOfBroods) {
  const pid_t runner = fork();
  if (runner == 0) {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    execl(BroodProgram().c_str(), "brood", "run", "--policy", GetParam().c_str(), "--output", "1G", "--", "head", "-c", "256M", "/dev/zero", nullptr);
    _exit(127);
  }
  int status = 0;
  rusage usage = {};
  ASSERT_EQ(wait4(runner, &status, 0, &usage), runner);
  EXPECT_EQ(status, 0);
  EXPECT_LT(usage.ru_maxrss, 64 << 10) << "KiB, of the largest of brood, its guardian and the program";
}

TEST_P(BroodTest, AChildWithoutDescriptorsIsEndedAndToldOf) {
  const probe::CommandEnd end =
      Brood({"--policy", GetParam(), "--wall-time", "300ms"}, {"sh", "-c", "ulimit -n 0; echo begun; while :; do :; done"});
  EXPECT_EQ(end.out, "begun\n");
  EXPECT_EQ(end.code, 124) << end.err;
}

TEST_P(BroodTest, ADeepTreeInTmpDelaysNoEnd) {
  // Its path is a hundred times longer than any that a system call takes.
  const probe::CommandEnd end = Brood({"--policy", GetParam(), "--cwd", "/tmp"},
                                      {"perl", "-e", "for (1 .. 2000) { mkdir 'd' x 200 and chdir 'd' x 200 or die $!; } print 'made';"});
  EXPECT_EQ(end.out, "made") << end.err;
  EXPECT_EQ(end.code, 0);
}

TEST_P(BroodTest, AMountBelowAReadOnlyDirectoryIsReadOnlyToo) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to mount something below";
  const std::string below = Work() + "/below";
  mkdir(below.c_str(), 0777);
  ASSERT_EQ(mount("tmpfs", below.c_str(), "tmpfs", 0, "mode=1777"), 0);
  const std::string write = absl::StrCat("echo written > ", below, "/file; echo ran");
  EXPECT_EQ(Brood({"--policy", GetParam(), "--ro", Work()}, {"sh", "-c", write}).out, "ran\n");
  EXPECT_FALSE(fs::exists(below + "/file"));
  EXPECT_EQ(Brood({"--policy", "none"}, {"sh", "-c", write}).out, "ran\n");
  EXPECT_TRUE(fs::exists(below + "/file"));
  umount2(below.c_str(), MNT_DETACH);
}

TEST_P(BroodTest, APathThatIsTooLongIsOneClearError) {
  const probe::CommandEnd end = Brood({"--policy", GetParam(), "--ro", "/" + std::string(5000, 'a')}, {"echo", "ran"});
  EXPECT_EQ(end.code, 125);
  EXPECT_EQ(end.out, "");
  EXPECT_TRUE(absl::StrContains(end.err, "ENAMETOOLONG") || absl::StrContains(end.err, "too long")) << end.err;
}

TEST_P(BroodTest, InsideItselfItRunsNothingUnconfined) {
  const std::string directory = fs::path(BroodProgram()).parent_path().string();
  for (const std::string inner : {"strict", "default", "networked"}) {
    const probe::CommandEnd end = Brood({"--policy", GetParam(), "--ro", directory}, {BroodProgram(), "run", "--policy", inner, "--", "echo", "ran"});
    // Told by the inner one, or a violation of the outer one's.
    EXPECT_TRUE(end.code == 125 || end.code == 159) << end.code;
    EXPECT_EQ(end.out, "");
    EXPECT_NE(end.err, "");
  }
}

TEST_P(BroodTest, WordsOfTheProgramAreNotOptions) {
  for (const char* name : {"--net=host", "--policy", "-p", "@file"}) {
    const probe::CommandEnd end = Brood({"--policy", GetParam()}, {name, "none"});
    EXPECT_EQ(end.code, 127) << name << end.err;
  }
  const probe::CommandEnd end = Brood({"--policy", GetParam()}, {"echo", "--policy", "none", "--", "--net", "host"});
  EXPECT_EQ(end.out, "--policy none -- --net host\n") << end.err;
}

// A file name is what the job likes: none may be taken for something else on the way.
TEST_P(BroodTest, OddNamesAreShownAsTheyAre) {
  for (const std::string name : {"-rf", "with blank", "line\nfeed", "back\\slash", "col:on", "\xff\xfe", "$(true)"}) {
    const std::string path = Work() + "/" + name;
    std::ofstream(path) << "odd";
    const probe::CommandEnd end = Brood({"--policy", GetParam(), "--ro", path}, {"cat", path});
    EXPECT_EQ(end.out, "odd") << name << ": " << end.err;
  }
}

TEST(SetIdTest, ASetUserIdBroodRefusesToRun) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to make one";
  const std::string path = "/tmp/set-id-brood";
  fs::copy_file(BroodProgram(), path, fs::copy_options::overwrite_existing);
  for (const mode_t mode : {04755, 02755}) {
    // Else its group would be a stranger's, and the bit without effect.
    ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const probe::CommandEnd end = RunIt({path, "run", "--policy", "none", "id"}, [] {
      if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) _exit(1);
    });
    EXPECT_EQ(end.code, 125) << end.out;
    EXPECT_TRUE(absl::StrContains(end.err, "set-user-id")) << end.err;
    EXPECT_EQ(end.out, "");
  }
  unlink(path.c_str());
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) { return brood::TestsInPlayground(argc, argv); }
