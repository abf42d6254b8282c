// Preloads that do to their process what none should: an error that names them, or children as any.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bootstrap/target.h"
#include "forkserver/status_text.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

// --- preloads: one behaviour each ---

void LoadClosesStreams() { syscall(SYS_close_range, 0, 2, 0); }
BROOD_TARGET(LoadClosesStreams);

void LoadClosesEverything() { syscall(SYS_close_range, 0, UINT_MAX, 0); }
BROOD_TARGET(LoadClosesEverything);

void LoadPutsAnotherSocketThere() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0) dup2(pair[0], 3);  // The server's own.
}
BROOD_TARGET(LoadPutsAnotherSocketThere);

std::string FileNamed(const char* name) { return absl::StrCat(getenv("TEST_TMPDIR") != nullptr ? getenv("TEST_TMPDIR") : "/tmp", "/", name); }
bool Exists(const char* name) { return access(FileNamed(name).c_str(), F_OK) == 0; }
void Touch(const char* name) { close(open(FileNamed(name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); }

// Of the second time on; then ends once there is a file "ended".
void LoadClosesItsSocketTheSecondTime() {
  if (!Exists("loaded")) return Touch("loaded");
  syscall(SYS_close_range, 3, UINT_MAX, 0);  // Whatever number it has.
  Touch("closed");
  while (!Exists("ended")) usleep(100);  // A preload has no other way to hear of it than to look.
  _exit(7);
}
BROOD_TARGET(LoadClosesItsSocketTheSecondTime);

BROOD_TARGET(ServerAbove);

int AwaitEnd(const UniqueFd& go) {
  char byte;
  return static_cast<int>(read(go.get(), &byte, 1));
}
BROOD_TARGET(AwaitEnd);

void LoadsNothing() {}
BROOD_TARGET(LoadsNothing);

void LoadExecutes() { execl("/bin/true", "true", nullptr); }
BROOD_TARGET(LoadExecutes);

void LoadChangesSurroundings() {
  if (chdir("/") != 0) abort();
  umask(0);
  setpriority(PRIO_PROCESS, 0, 12);
  setenv("BROOD_TEST", "of the preload", 1);
  unsetenv("PATH");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "other", 0, 0, 0);
  signal(SIGCHLD, SIG_IGN);
  setsid();
}
BROOD_TARGET(LoadChangesSurroundings);

// What a child that was born in a sandbox could not put back by itself, or does not know.
void LoadChangesPriorities() {
  umask(0777);
  setpriority(PRIO_PROCESS, 0, 12);
  prctl(PR_SET_TIMERSLACK, 1'000'000, 0, 0, 0);
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
  std::ofstream("/proc/self/oom_score_adj") << "400";
  std::ofstream("/proc/self/coredump_filter") << "0x7f";
  sched_param none = {};
  sched_setscheduler(0, SCHED_BATCH, &none);
}
BROOD_TARGET(LoadChangesPriorities);

std::string Priorities() {
  return absl::StrCat("nice ", getpriority(PRIO_PROCESS, 0), " policy ", sched_getscheduler(0), " slack ", prctl(PR_GET_TIMERSLACK), " huge ",
                      prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), " memory error ", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), " oom ",
                      Read("/proc/self/oom_score_adj"), " core ", Read("/proc/self/coredump_filter"));
}
BROOD_TARGET(Priorities);

void LoadChangesRoot() {
  if (chroot("/usr") != 0) abort();
}
BROOD_TARGET(LoadChangesRoot);

void LoadLowersLimits() {
  for (const auto& [resource, soft] : {std::pair{RLIMIT_NOFILE, 100}, {RLIMIT_FSIZE, 0}, {RLIMIT_CORE, 0}, {RLIMIT_STACK, 1 << 20}}) {
    rlimit limit = {};
    getrlimit(resource, &limit);
    limit.rlim_cur = static_cast<rlim_t>(soft);
    setrlimit(resource, &limit);
  }
}
BROOD_TARGET(LoadLowersLimits);

void LoadLowersHardLimit() {
  const rlimit limit = {50, 50};
  setrlimit(RLIMIT_NOFILE, &limit);
  if (setresuid(65534, 65534, 65534) != 0) abort();  // Who may raise it again.
}
BROOD_TARGET(LoadLowersHardLimit);

void LoadLeavesProcesses() {
  for (int i = 0; i < 3; ++i) {
    const pid_t pid = fork();
    if (pid == 0 && i == 0) _exit(0);
    while (pid == 0) pause();
    siginfo_t ended = {};
    if (i == 0) waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT);  // It has ended, and nobody reaps it.
  }
}
BROOD_TARGET(LoadLeavesProcesses);

// A process, and one whose parent has ended: both have the streams of this one.
void StartProcesses() {
  if (fork() == 0) {
    while (true) pause();
  }
  const pid_t between = fork();
  if (between == 0) {
    const pid_t below = fork();
    while (below == 0) pause();
    _exit(0);
  }
  waitpid(between, nullptr, 0);
}

void LoadLeavesAnOrphan() {
  const pid_t between = fork();
  if (between == 0) {
    const pid_t below = fork();
    while (below == 0) pause();
    _exit(0);
  }
  waitpid(between, nullptr, 0);
}
BROOD_TARGET(LoadLeavesAnOrphan);

void LoadThrowsBesideProcesses() {
  StartProcesses();
  throw std::runtime_error("no");
}
BROOD_TARGET(LoadThrowsBesideProcesses);

void LoadExitsBesideProcesses() {
  StartProcesses();
  _exit(3);
}
BROOD_TARGET(LoadExitsBesideProcesses);

void LoadHangsBesideProcesses() {
  StartProcesses();
  (void)!write(1, "x", 1);
  while (true) pause();
}
BROOD_TARGET(LoadHangsBesideProcesses);

void LoadLeavesAThreadBesideProcesses() {
  std::thread([] { StartProcesses(); }).join();
  std::thread([] {
    while (true) pause();
  }).detach();
}
BROOD_TARGET(LoadLeavesAThreadBesideProcesses);

void LoadGivesUpPrivileges() { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
BROOD_TARGET(LoadGivesUpPrivileges);

void LoadWantsAnotherPidNamespace() { (void)unshare(CLONE_NEWPID); }
BROOD_TARGET(LoadWantsAnotherPidNamespace);

// What a child has, as far as a preload can have changed it.
std::string Surroundings() {
  char cwd[4096];
  const char* const variable = getenv("BROOD_TEST");
  const char* const path = getenv("PATH");
  std::string text = absl::StrCat("cwd ", getcwd(cwd, sizeof(cwd)), " variable ", variable != nullptr ? variable : "-", " path ",
                                  path != nullptr ? path : "-", " nice ", getpriority(PRIO_PROCESS, 0), " session ", getsid(0), "\n");
  const std::string status = internal::ReadStatusText().value();
  for (const char* field : {"Umask", "Uid", "NoNewPrivs", "SigBlk", "SigIgn", "SigCgt"}) {
    absl::StrAppend(&text, field, " ", internal::StatusField(status, field), "\n");
  }
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit = {};
    getrlimit(static_cast<__rlimit_resource>(resource), &limit);
    absl::StrAppend(&text, resource, " ", limit.rlim_cur, " ", limit.rlim_max, "\n");
  }
  return text;
}
BROOD_TARGET(Surroundings);

TEST(HostilePreloadTest, WhatItDoesToTheServersStreamsSignalsAndLimitsNoChildSees) {
  const std::string spawned = Context(StartMethod::kSpawn).Call(Surroundings).value();
  for (const char* name : {"LoadClosesStreams", "LoadChangesSurroundings", "LoadLowersLimits"}) {
    const Context context(StartMethod::kForkServer, {.preload = {name}});
    EXPECT_EQ(context.Call(Square, 7), absl::StatusOr<int>(49)) << name;
    EXPECT_EQ(context.Call(Surroundings), absl::StatusOr<std::string>(spawned)) << name;
  }
}

TEST(HostilePreloadTest, WhatItDoesToPrioritiesNoChildSeesWhateverItsSandbox) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may raise a priority again";
  const auto compiled = CompilePolicy(BuiltinPolicy("default").value());
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  for (const LaunchOptions& options : {LaunchOptions(), LaunchOptions{.policy = *compiled}}) {
    const std::string before = Context(StartMethod::kForkServer).Call(options, Priorities).value();
    const absl::StatusOr<std::string> server = Context(StartMethod::kForkServer, {.preload = {"LoadChangesPriorities"}}).Call(options, Priorities);
    EXPECT_EQ(server, absl::StatusOr<std::string>(before));
    const ContextOptions with_template = {.preload = {"LoadChangesPriorities"}, .templates = {{.name = "more", .preload = {"LoadsNothing"}}}};
    EXPECT_EQ(Context(StartMethod::kForkServer, with_template).Call(options, Priorities), absl::StatusOr<std::string>(before));
  }
}

TEST(HostilePreloadTest, APriorityThatItMayNotRaiseAgainIsAnError) {
  EXPECT_EQ(InFork([]() -> std::string {
              const rlimit none = {};
              if (setrlimit(RLIMIT_NICE, &none) != 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)) return "not another user";
              prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
              const absl::Status status = Context(StartMethod::kForkServer, {.preload = {"LoadChangesPriorities"}}).StartServer();
              return absl::StrContains(status.message(), "preload LoadChangesPriorities: surroundings: put back what it has changed: have the caller's "
                                                         "scheduling and nice value: EPERM")
                         ? ""
                         : status.ToString();
            }),
            "");
}

TEST(HostilePreloadTest, WhatCannotBePutBackIsAnErrorThatNamesItAndSaysWhat) {
  struct Case {
    const char* preload;
    const char* says;
    bool needs_root = false;
  };
  for (const Case& one : {Case{"LoadClosesEverything", ": run: the server exited with code 121, as it does where a preload has closed, or replaced, descriptors"},
                          Case{"LoadPutsAnotherSocketThere", ": run: the server exited with code 121, as it does where a preload has closed, or replaced, descriptors"},
                          Case{"LoadExecutes", ": run: the server exited with code 0 while it did that"},
                          Case{"LoadLowersHardLimit", ": limits: it has lowered a hard limit of resources", true},
                          Case{"LoadGivesUpPrivileges", ": rights: it has changed the ids, capabilities, no_new_privs"},
                          Case{"LoadWantsAnotherPidNamespace", ": rights: it has changed", true},
                          Case{"LoadChangesRoot", ": rights: find /proc/self: ENOENT (No such file or directory); it has changed the root", true},
                          Case{"LoadLeavesProcesses", ": processes: it left 2 process(es) running, which were killed: "},
                          Case{"LoadLeavesAnOrphan", ": processes: it left 1 process(es) running, which were killed: "}}) {
    if (one.needs_root && geteuid() != 0) continue;
    const Context context(StartMethod::kForkServer, {.preload = {one.preload}, .preload_timeout = absl::Minutes(1)});
    const absl::Status status = context.StartServer();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("preload ", one.preload, one.says))) << status;
  }
}

// Whether nobody has the other end any more, soon.
bool EndsSoon(int reader) {
  char bytes[64];
  for (;;) {
    pollfd polled = {reader, POLLIN, 0};
    if (poll(&polled, 1, 20'000) != 1) return false;
    if (read(reader, bytes, sizeof(bytes)) <= 0) return true;
  }
}

class PreloadProcessesTest : public testing::TestWithParam<bool> {
 protected:
  static ContextOptions Options(const char* preload) {
    ContextOptions options = {.preload_timeout = absl::Seconds(2)};
    if (GetParam()) {
      options.templates = {{.name = "template", .preload = {preload}}};
    } else {
      options.preload = {preload};
    }
    return options;
  }
};

TEST_P(PreloadProcessesTest, HoweverAPreloadFailsNothingThatItHasStartedGoesOn) {
  for (const char* name : {"LoadThrowsBesideProcesses", "LoadExitsBesideProcesses", "LoadHangsBesideProcesses", "LoadLeavesAThreadBesideProcesses"}) {
    Ends pipe = MakePipe();
    const pid_t owner = fork();
    if (owner == 0) {
      dup2(pipe.writer.get(), 1);
      pipe.writer.reset();
      if (Context(StartMethod::kForkServer, Options(name)).StartServer().ok()) _exit(1);
      close(1);
      _exit(EndsSoon(pipe.reader.get()) ? 0 : 2);
    }
    pipe.writer.reset();
    int status = -1;
    ASSERT_EQ(waitpid(owner, &status, 0), owner);
    EXPECT_EQ(status, 0) << name;
  }
}

TEST_P(PreloadProcessesTest, AKilledOwnerLeavesNothingThatAPreloadHasStarted) {
  Ends pipe = MakePipe();
  const pid_t owner = fork();
  if (owner == 0) {
    dup2(pipe.writer.get(), 1);
    (void)Context(StartMethod::kForkServer, Options("LoadHangsBesideProcesses")).StartServer();
    _exit(0);
  }
  pipe.writer.reset();
  char byte;
  ASSERT_EQ(read(pipe.reader.get(), &byte, 1), 1);
  ASSERT_EQ(kill(owner, SIGKILL), 0);
  ASSERT_EQ(waitpid(owner, nullptr, 0), owner);
  EXPECT_TRUE(EndsSoon(pipe.reader.get()));
}

INSTANTIATE_TEST_SUITE_P(All, PreloadProcessesTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& info) { return info.param ? "InATemplate" : "InTheServer"; });

// The supervisor of both tells the end of the one and waits for the other: where it did so first, the other could not end before it
// was killed. A machine that is slow may be too slow for that once.
TEST(HostilePreloadTest, ChildrenThatLiveDoNotWaitForAServerThatHasClosedItsSocket) {
  std::string why;
  for (int attempt = 0; attempt < 20 && !absl::StrContains(why, "exited with code 7"); ++attempt) {
    for (const char* name : {"loaded", "closed", "ended"}) unlink(FileNamed(name).c_str());
    std::vector<std::string> preload(static_cast<size_t>(attempt + 1), "LoadsNothing");  // A server of its own.
    preload.push_back("LoadClosesItsSocketTheSecondTime");
    const Context context(StartMethod::kForkServer, {.preload = preload});
    Ends pipe = MakePipe();
    Process child = context.Start(AwaitEnd, pipe.reader).value();
    const int server = context.Call(ServerAbove).value();
    ASSERT_GT(server, 0);
    ASSERT_EQ(kill(server, SIGKILL), 0);
    // Keepers go on until the supervisor has seen that.
    std::atomic<bool> failed = false;
    std::thread next([&] {
      absl::StatusOr<int> square;
      do {
        square = context.Call(Square, 7);
      } while (square.ok());
      why = square.status().message();
      failed = true;
    });
    while (!Exists("closed") && !failed) usleep(100);  // As above.
    pipe.writer.reset();
    EXPECT_EQ(child.Result<int>().value_or(-1), 0);
    Touch("ended");
    next.join();
  }
  EXPECT_TRUE(absl::StrContains(why, "exited with code 7")) << why;
}

}  // namespace
}  // namespace brood
