// Preloads that do to their process what none should: an error that names them, or children as any.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bootstrap/target.h"
#include "forkserver/status_text.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"

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

TEST(HostilePreloadTest, WhatCannotBePutBackIsAnErrorThatNamesItAndSaysWhat) {
  struct Case {
    const char* preload;
    const char* says;
    bool needs_root = false;
  };
  for (const Case& one : {Case{"LoadClosesEverything", ": run: the server exited with code 0 while it did that"},
                          Case{"LoadPutsAnotherSocketThere", ": run: the server has closed its socket, or a preload has put another file there"},
                          Case{"LoadExecutes", ": run: the server exited with code 0 while it did that"},
                          Case{"LoadLowersHardLimit", ": limits: it has lowered a hard limit of resources", true},
                          Case{"LoadGivesUpPrivileges", ": rights: it has changed the ids, capabilities, no_new_privs"},
                          Case{"LoadWantsAnotherPidNamespace", ": rights: it has changed", true},
                          Case{"LoadLeavesProcesses", ": processes: it left 2 process(es) running, which were killed: "}}) {
    if (one.needs_root && geteuid() != 0) continue;
    const Context context(StartMethod::kForkServer, {.preload = {one.preload}, .preload_timeout = absl::Minutes(1)});
    const absl::Status status = context.StartServer();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("preload ", one.preload, one.says))) << status;
  }
}

}  // namespace
}  // namespace brood
