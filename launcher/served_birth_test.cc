// What a child has from its birth: the same, whatever bore it, of the caller as it is at the start.
#include <fcntl.h>
#include <grp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bootstrap/target.h"
#include "forkserver/status_text.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"

// A sanitizer has signal handlers of its own in each program that it starts in: a spawned child, but not a forked one. What
// children get is compared here without them.
extern "C" const char* __asan_default_options() { return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0"; }
extern "C" const char* __ubsan_default_options() { return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0"; }

namespace brood {
namespace {

BROOD_TARGET(ServerAbove);

// All that a child has from whoever bore it.
std::string Surroundings() {
  std::string text;
  const char* variable = getenv("BROOD_TEST");
  char cwd[4096];
  absl::StrAppend(&text, "env ", variable != nullptr ? variable : "-", "\ncwd ", getcwd(cwd, sizeof(cwd)), "\n");
  const std::string status = internal::ReadStatusText().value();
  for (const char* name : {"Umask", "Uid", "Gid", "Groups", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh",
                           "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Cpus_allowed"}) {
    absl::StrAppend(&text, name, " ", internal::StatusField(status, name), "\n");
  }
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit = {};
    getrlimit(static_cast<__rlimit_resource>(resource), &limit);
    absl::StrAppend(&text, "limit ", resource, " ", limit.rlim_cur, " ", limit.rlim_max, "\n");
  }
  absl::StrAppend(&text, "nice ", getpriority(PRIO_PROCESS, 0), "\nscheduler ", sched_getscheduler(0), "\nio ",
                  syscall(SYS_ioprio_get, 1, 0), "\noom ", Read("/proc/self/oom_score_adj"), "session ", getsid(0), "\ngroup ",
                  getpgrp(), "\n");
  for (const char* path : {"/", "/proc/self/ns/mnt", "/proc/self/ns/net", "/proc/self/ns/uts", "/proc/self/ns/user"}) {
    struct stat about = {};
    stat(path, &about);
    absl::StrAppend(&text, path, " ", about.st_dev, ":", about.st_ino, "\n");
  }
  absl::StrAppend(&text, "personality ", personality(0xffffffff), "\nsecurebits ", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), "\n");
  const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
  absl::StrAppend(&text, "terminal ", terminal >= 0, "\ncgroup ", Read("/proc/self/cgroup"));
  if (terminal >= 0) close(terminal);
  for (int fd = 0; fd < 3; ++fd) {
    struct stat about = {};
    fstat(fd, &about);
    absl::StrAppend(&text, "stream ", fd, " ", about.st_dev, ":", about.st_ino, "\n");
  }
  return text;
}
BROOD_TARGET(Surroundings);

// Compares what a child sees, whatever bore it; the forkserver was started before the surroundings changed.
std::string EachMethodGivesTheSame() {
  LaunchOptions options;
  const std::string expected = Context(StartMethod::kSpawn).Call(options, Surroundings).value();
  for (const StartMethod method : {StartMethod::kFork, StartMethod::kForkServer}) {
    const absl::StatusOr<std::string> seen = Context(method).Call(options, Surroundings);
    if (!seen.ok()) return absl::StrCat(StartMethodName(method), ": ", seen.status().ToString());
    if (*seen != expected) return absl::StrCat(StartMethodName(method), ":\n", *seen, "\nspawn:\n", expected);
  }
  return "";
}

void ChangeSurroundings() {
  setenv("BROOD_TEST", "later", 1);
  if (chdir("/proc") != 0) _exit(9);
  umask(027);
  for (const auto& [resource, soft] : {std::pair{RLIMIT_NOFILE, 300}, {RLIMIT_CORE, 0}, {RLIMIT_STACK, 4 << 20}}) {
    rlimit limit = {};
    getrlimit(resource, &limit);
    limit.rlim_cur = static_cast<rlim_t>(soft);
    setrlimit(resource, &limit);
  }
  setpriority(PRIO_PROCESS, 0, 7);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  sched_setaffinity(0, sizeof(set), &set);
  syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6);
  signal(SIGUSR1, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigprocmask(SIG_BLOCK, &blocked, nullptr);
  std::ofstream("/proc/self/oom_score_adj") << 321;
  setpgid(0, 0);
}

TEST(BirthTest, AChildHasTheSurroundingsOfItsCallerAtItsStartWhateverBoreIt) {
  EXPECT_EQ(InFork([]() -> std::string {
              const Context context(StartMethod::kForkServer);
              const int server = context.Call(ServerAbove).value();
              if (const std::string said = EachMethodGivesTheSame(); !said.empty()) return "before: " + said;
              ChangeSurroundings();
              if (const std::string said = EachMethodGivesTheSame(); !said.empty()) return "after: " + said;
              return context.Call(ServerAbove).value() == server ? "" : "it needed another server";
            }),
            "");
}

TEST(BirthTest, WhatNoServerCanGiveMakesAnotherServer) {
  EXPECT_EQ(InFork([]() -> std::string {
              const Context context(StartMethod::kForkServer);
              const int server = context.Call(ServerAbove).value();
              setsid();
              if (const std::string said = EachMethodGivesTheSame(); !said.empty()) return "session: " + said;
              return context.Call(ServerAbove).value() != server ? "" : "the same server";
            }),
            "");
}

TEST(BirthTest, AChangedPersonalityMakesAnotherServer) {
  EXPECT_EQ(InFork([]() -> std::string {
              const Context context(StartMethod::kForkServer);
              const int server = context.Call(ServerAbove).value();
              if (personality(ADDR_NO_RANDOMIZE) < 0) return "personality";
              if (const std::string said = EachMethodGivesTheSame(); !said.empty()) return said;
              return context.Call(ServerAbove).value() != server ? "" : "the same server";
            }),
            "");
}

TEST(BirthTest, ChangedSecurebitsMakeAnotherServer) {
  if (getuid() != 0) GTEST_SKIP() << "needs root, to change its securebits";
  EXPECT_EQ(InFork([]() -> std::string {
              const Context context(StartMethod::kForkServer);
              const int server = context.Call(ServerAbove).value();
              if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) != 0) return "securebits";
              if (const std::string said = EachMethodGivesTheSame(); !said.empty()) return said;
              return context.Call(ServerAbove).value() != server ? "" : "the same server";
            }),
            "");
}

TEST(BirthTest, ChangedIdsAndNamespacesMakeAnotherServer) {
  if (getuid() != 0) GTEST_SKIP() << "needs root, to change its ids";
  EXPECT_EQ(InFork([]() -> std::string {
              const Context context(StartMethod::kForkServer);
              if (!context.StartServer().ok()) return "no server";
              if (unshare(CLONE_NEWUTS) != 0) return "";
              if (const std::string said = EachMethodGivesTheSame(); !said.empty()) return "namespace: " + said;
              const gid_t groups[] = {65534, 65533};
              if (setgroups(2, groups) != 0 || setresgid(65534, 65534, 65534) != 0) return "setgroups";
              if (const std::string said = EachMethodGivesTheSame(); !said.empty()) return "groups: " + said;
              if (setresuid(65534, 65534, 65534) != 0) return "setresuid";
              return EachMethodGivesTheSame();
            }),
            "");
}

TEST(BirthTest, WhatTheServerMayNotGiveIsGivenByAnotherServer) {
  if (getuid() != 0) GTEST_SKIP() << "needs root, to lower a nice value";
  EXPECT_EQ(InFork([]() -> std::string {
              setpriority(PRIO_PROCESS, 0, 10);
              Ends go = MakePipe();
              const pid_t user = getpid();
              const pid_t root = fork();
              if (root == 0) {
                go.writer.reset();
                char byte;
                (void)!read(go.reader.get(), &byte, 1);
                _exit(setpriority(PRIO_PROCESS, static_cast<id_t>(user), 3) == 0 ? 0 : 1);
              }
              if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return "setresuid";
              const Context context(StartMethod::kForkServer);
              const int server = context.Call(ServerAbove).value();
              go.writer.reset();
              int status = 0;
              if (waitpid(root, &status, 0) != root || status != 0) return "setpriority";
              if (const std::string said = EachMethodGivesTheSame(); !said.empty()) return said;
              return context.Call(ServerAbove).value() != server ? "" : "the same server";
            }),
            "");
}

}  // namespace
}  // namespace brood
