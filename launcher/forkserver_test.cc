// What holds for the start method forkserver only. What it has in common with the others is in their tests.
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "forkserver/client.h"
#include "forkserver/fingerprint.h"
#include "forkserver/status_text.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/launch_record.h"
#include "sandbox/machine.h"
#include "sandbox/plan.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The forkserver above this process; 0 if there is none.
int ServerAbove() {
  int pid = getpid();
  while (pid > 0) {
    const std::string status = Read(absl::StrCat("/proc/", pid, "/status"));
    if (absl::StartsWith(status, "Name:\tbrood-server\n")) return pid;
    if (!absl::SimpleAtoi(internal::StatusField(status, "PPid"), &pid)) return 0;
  }
  return 0;
}
BROOD_TARGET(ServerAbove);

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

int SquareAfter(const UniqueFd& pipe, int x) {
  char byte;
  while (read(pipe.get(), &byte, 1) < 0 && errno == EINTR) {
  }
  return x * x;
}
BROOD_TARGET(SquareAfter);

void WaitForEver() {
  while (true) pause();
}
BROOD_TARGET(WaitForEver);

std::string g_loaded;
int g_loads = 0;
void LoadFirst() { g_loaded += "first " + std::to_string(++g_loads) + " "; }
BROOD_TARGET(LoadFirst);
void LoadSecond() { g_loaded += "second " + std::to_string(++g_loads); }
BROOD_TARGET(LoadSecond);
std::string Loaded() { return g_loaded; }
BROOD_TARGET(Loaded);
std::string LoadMore() { return g_loaded += "!"; }
BROOD_TARGET(LoadMore);

void LoadThrows() { throw std::runtime_error("no such table"); }
BROOD_TARGET(LoadThrows);
absl::Status LoadRefuses() { return absl::NotFoundError("the file is gone"); }
BROOD_TARGET(LoadRefuses);
void LoadExits() { Exit(3); }
BROOD_TARGET(LoadExits);
void LoadCallsExit3() { exit(0); }
BROOD_TARGET(LoadCallsExit3);
void LoadDies() { raise(SIGKILL); }
BROOD_TARGET(LoadDies);
void LoadTakesAnArgument(int) {}
BROOD_TARGET(LoadTakesAnArgument);
void LoadStartsAThread() {
  std::thread([] {
    while (true) pause();
  }).detach();
}
BROOD_TARGET(LoadStartsAThread);
void LoadJoinsAThread() { std::thread([] { g_loaded += "by a thread"; }).join(); }
BROOD_TARGET(LoadJoinsAThread);
void LoadHangs() {
  while (true) pause();
}
BROOD_TARGET(LoadHangs);
void LoadSaysSoAndHangs() {
  (void)!write(1, "x", 1);
  LoadHangs();
}
BROOD_TARGET(LoadSaysSoAndHangs);
void LoadPrints() {
  std::fputs("loading", stdout);
  std::fputs("oh", stderr);
}
BROOD_TARGET(LoadPrints);
void PrintNothing() {}
BROOD_TARGET(PrintNothing);

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

std::vector<int> WhichAreOpen(const std::vector<int>& numbers) {
  std::vector<int> open;
  for (const int number : numbers) {
    if (fcntl(number, F_GETFD) >= 0) open.push_back(number);
  }
  return open;
}
BROOD_TARGET(WhichAreOpen);

// --- helpers ---

struct Ends {
  UniqueFd reader, writer;
};

Ends MakePipe() {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

UniqueFd Pidfd(int pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

void Signal(const UniqueFd& process, int signal) { syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0); }

bool EndsWithin(const UniqueFd& process, int seconds) {
  pollfd polled = {process.get(), POLLIN, 0};
  return !process.valid() || poll(&polled, 1, seconds * 1000) == 1;
}

void Kill(const UniqueFd& process) {
  Signal(process, SIGKILL);
  ASSERT_TRUE(EndsWithin(process, 20));
}

// Runs `body` in a fork of this process, for what cannot be undone. Its text is "" if all was well.
std::string InFork(const std::function<std::string()>& body) {
  const Ends pipe = MakePipe();
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    const std::string said = body();
    (void)!write(pipe.writer.get(), said.data(), said.size());
    _exit(0);
  }
  const_cast<UniqueFd&>(pipe.writer).reset();
  std::string said;
  char buffer[4096];
  for (ssize_t n; (n = read(pipe.reader.get(), buffer, sizeof(buffer))) > 0;) said.append(buffer, static_cast<size_t>(n));
  int status = 0;
  waitpid(pid, &status, 0);
  return status == 0 ? said : absl::StrCat(said, "; status ", status);
}

std::string TextOf(int fd) {
  char buffer[4096];
  const ssize_t n = pread(fd, buffer, sizeof(buffer), 0);
  return std::string(buffer, n > 0 ? static_cast<size_t>(n) : 0);
}

size_t OpenDescriptors() {
  size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

// Those that this process has made for its children.
int OwnCgroups() {
  int count = 0;
  const Machine::Cgroups& where = ThisMachine().cgroups;
  for (const std::string* parent : {&where.unified, &where.memory, &where.pids, &where.cpuacct}) {
    DIR* directory = parent->empty() ? nullptr : opendir(parent->c_str());
    if (directory == nullptr) continue;
    while (const dirent* entry = readdir(directory)) {
      count += absl::StartsWith(entry->d_name, absl::StrCat("brood-child-", getpid(), "-"));
    }
    closedir(directory);
  }
  return count;
}

// --- the tests ---

TEST(ForkServerTest, OneServerForksAllChildrenOfItsOptions) {
  const Context context(StartMethod::kForkServer);
  const int server = context.Call(ServerAbove).value();
  EXPECT_GT(server, 0);
  EXPECT_EQ(context.Call(ServerAbove).value(), server);
  EXPECT_EQ(Context(StartMethod::kForkServer).Call(ServerAbove).value(), server);
  EXPECT_NE(Context(StartMethod::kForkServer, {.preload = {"LoadFirst"}}).Call(ServerAbove).value(), server);
  EXPECT_EQ(InFork([server]() -> std::string {
              const int forks = Context(StartMethod::kForkServer).Call(ServerAbove).value();
              return forks > 0 && forks != server ? "" : absl::StrCat(forks);
            }),
            "");
}

TEST(ForkServerTest, IsNotAChildOfTheProgramThatStartsIt) {
  EXPECT_EQ(InFork([]() -> std::string {
              if (Context(StartMethod::kForkServer).Call(Square, 7).value() != 49) return "no 49";
              return waitpid(-1, nullptr, __WALL) == -1 && errno == ECHILD ? "" : "there is a child";
            }),
            "");
}

TEST(ForkServerTest, AKilledServerLeavesItsChildrenAndIsStartedAgain) {
  const Context context(StartMethod::kForkServer);
  Ends pipe = MakePipe();
  Process child = context.Start(SquareAfter, pipe.reader, 7).value();
  Process other = context.Start(WaitForEver).value();
  const int server = context.Call(ServerAbove).value();
  Kill(Pidfd(server));
  EXPECT_TRUE(child.IsAlive());
  EXPECT_TRUE(other.IsAlive());
  EXPECT_EQ(context.Call(Square, 3).value(), 9);
  EXPECT_NE(context.Call(ServerAbove).value(), server);
  pipe.writer.reset();
  EXPECT_EQ(child.Result<int>().value(), 49);
  EXPECT_EQ(other.Terminate(), absl::OkStatus());
  EXPECT_EQ(other.Join().value().exit_code(), -SIGTERM);
}

// Waits until the thread waits in ppoll(2): with a running server it does that for its child only.
void AwaitPolling(pid_t thread) {
  const std::string path = absl::StrCat("/proc/self/task/", thread, "/syscall");
  while (!absl::StartsWith(Read(path), absl::StrCat(SYS_ppoll, " "))) std::this_thread::yield();
}

TEST(ForkServerTest, AServerThatIsKilledWithARequestInFlightMakesItUnavailableAndLeaksNothing) {
  const Context context(StartMethod::kForkServer);
  Policy policy = BuiltinPolicy("none").value();
  const Machine::Cgroups& cgroups = ThisMachine().cgroups;
  if (!cgroups.unified.empty() || !cgroups.memory.empty()) policy.limits.memory_bytes = uint64_t{256} << 20;
  const LaunchOptions options = {.policy = CompilePolicy(policy).value()};
  ASSERT_EQ(context.Call(options, Square, 7).value(), 49);
  const UniqueFd server = Pidfd(context.Call(ServerAbove).value());
  const size_t before = OpenDescriptors();
  Signal(server, SIGSTOP);
  std::atomic<pid_t> waiting = 0;
  absl::Status status;
  std::thread thread([&] {
    waiting = gettid();
    status = context.Start(options, Square, 7).status();
  });
  while (waiting == 0) std::this_thread::yield();
  AwaitPolling(waiting);
  Kill(server);
  thread.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_NE(status.message().find("forkserver"), std::string::npos) << status;
  EXPECT_EQ(context.Call(options, Square, 7).value(), 49);
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_EQ(OwnCgroups(), 0);
}

TEST(ForkServerTest, PreloadsRunOnceAndInOrderAndChildrenDoNotSeeEachOther) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadFirst", "LoadSecond", "LoadJoinsAThread"}});
  ASSERT_EQ(context.StartServer(), absl::OkStatus());
  g_loaded = "the parent's";
  EXPECT_EQ(context.Call(LoadMore).value(), "first 1 second 2by a thread!");
  EXPECT_EQ(context.Call(Loaded).value(), "first 1 second 2by a thread");
  g_loaded = "";
}

TEST(ForkServerTest, AFailedPreloadIsNamedWithItsReason) {
  const size_t before = OpenDescriptors();
  struct Case {
    const char* preload;
    const char* reason;
  };
  for (const Case& one : {Case{"LoadThrows", "std::runtime_error: no such table"}, Case{"LoadRefuses", "the file is gone"},
                          Case{"LoadExits", "brood::Exit"}, Case{"LoadCallsExit3", "the server ended while it ran that"},
                          Case{"LoadDies", "the server ended while it ran that"}, Case{"LoadStartsAThread", "1 thread"},
                          Case{"LoadTakesAnArgument", "takes no arguments"}, Case{"NotThere", "NotThere"}}) {
    const Context context(StartMethod::kForkServer, {.preload = {"LoadFirst", one.preload}});
    for (const absl::Status& status : {context.StartServer(), context.Call(Square, 7).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
      EXPECT_NE(status.message().find(absl::StrCat("preload ", one.preload)), std::string::npos) << status;
      EXPECT_NE(status.message().find(one.reason), std::string::npos) << status;
    }
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(ForkServerTest, APreloadThatHangsIsAnErrorAfterItsTime) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadHangs"}, .preload_timeout = absl::Milliseconds(200)});
  const absl::Status status = context.StartServer();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_NE(status.message().find("LoadHangs"), std::string::npos) << status;
}

TEST(ForkServerTest, WhatAPreloadPrintsIsPrintedOnce) {
  EXPECT_EQ(InFork([]() -> std::string {
              const int out = memfd_create("out", 0);
              const int err = memfd_create("err", 0);
              dup2(out, 1);
              dup2(err, 2);
              const Context context(StartMethod::kForkServer, {.preload = {"LoadPrints"}});
              if (absl::Status started = context.StartServer(); !started.ok()) return started.ToString();
              for (int i = 0; i < 2; ++i) {
                if (absl::Status called = context.Call(PrintNothing); !called.ok()) return called.ToString();
              }
              return TextOf(out) == "loading" && TextOf(err) == "oh" ? "" : absl::StrCat(TextOf(out), "|", TextOf(err));
            }),
            "");
}

TEST(ForkServerTest, AServerHoldsNoStreamOfItsCaller) {
  const Ends pipe = MakePipe();
  EXPECT_EQ(InFork([&pipe]() -> std::string {
              dup2(pipe.writer.get(), 1);
              dup2(pipe.writer.get(), 2);
              const Context context(StartMethod::kForkServer);
              if (absl::Status started = context.StartServer(); !started.ok()) return started.ToString();
              const int server = context.Call(ServerAbove).value();
              std::string streams;
              for (const char* fd : {"0", "1", "2"}) {
                char path[64] = {};
                if (readlink(absl::StrCat("/proc/", server, "/fd/", fd).c_str(), path, sizeof(path) - 1) > 0) streams += path;
              }
              return streams == "/dev/null/dev/null/dev/null" ? "" : streams;
            }),
            "");
}

TEST(ForkServerTest, AGarbageRequestFailsAloneAndTheServerGoesOn) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadFirst"}});
  const int server = context.Call(ServerAbove).value();
  internal::ForkServerOptions options;
  options.preload = {"LoadFirst"};
  const auto raw = internal::FindForkServer(options, internal::Fingerprint(internal::ReadStatusText().value()));
  for (const std::string& bytes : {std::string(), std::string("garbage"), std::string(100'000, '\xff'), std::string(64, '\0')}) {
    Ends pipe = MakePipe();
    ASSERT_EQ(raw->Send(bytes, {pipe.writer.get()}), absl::OkStatus());
    pipe.writer.reset();
    GuardianReport report;
    ASSERT_EQ(read(pipe.reader.get(), &report, sizeof(report)), static_cast<ssize_t>(sizeof(report)));
    EXPECT_EQ(report.setup_failed, 1u);
    EXPECT_EQ(std::string(report.setup.step), "forkserver");
    char byte;
    EXPECT_EQ(read(pipe.reader.get(), &byte, 1), 0);
    // And with nobody to tell.
    ASSERT_EQ(raw->Send(bytes, {}), absl::OkStatus());
  }
  EXPECT_EQ(context.Call(Square, 7).value(), 49);
  EXPECT_EQ(context.Call(ServerAbove).value(), server);
}

TEST(ForkServerTest, ManyThreadsMayStartAtOnceFromTheFirstStartOn) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadSecond"}});
  std::vector<std::thread> threads;
  std::vector<std::set<int>> servers(8);
  for (size_t i = 0; i < servers.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 10; ++j) {
        servers[i].insert(context.Call(ServerAbove).value_or(-1));
        EXPECT_EQ(context.Call(Square, j).value_or(-1), j * j);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::set<int>& seen : servers) EXPECT_EQ(seen, servers[0]);
  EXPECT_EQ(servers[0].size(), 1u);
}

TEST(ForkServerTest, AKilledOwnerLeavesNeitherServerNorChildren) {
  Ends pipe = MakePipe();
  Ends end_of_test = MakePipe();
  const pid_t owner = fork();
  if (owner == 0) {
    end_of_test.writer.reset();
    const Context context(StartMethod::kForkServer);
    const Process child = context.Start(WaitForEver).value();
    const int pids[] = {context.Call(ServerAbove).value(), child.pid()};
    // A fork that holds copies of all descriptors does not keep them alive.
    if (fork() == 0) _exit(SquareAfter(end_of_test.reader, 0));
    (void)!write(pipe.writer.get(), pids, sizeof(pids));
    WaitForEver();
  }
  int pids[2] = {};
  ASSERT_EQ(read(pipe.reader.get(), pids, sizeof(pids)), static_cast<ssize_t>(sizeof(pids)));
  const UniqueFd server = Pidfd(pids[0]);
  const UniqueFd child = Pidfd(pids[1]);
  ASSERT_TRUE(server.valid() && child.valid());
  ASSERT_EQ(kill(owner, SIGKILL), 0);
  EXPECT_TRUE(EndsWithin(server, 20));
  EXPECT_TRUE(EndsWithin(child, 20));
  waitpid(owner, nullptr, 0);
}

TEST(ForkServerTest, AKilledOwnerEndsAServerThatHangsInItsPreload) {
  Ends pipe = MakePipe();
  const pid_t owner = fork();
  if (owner == 0) {
    // The server has the writing end as its stdout until it is ready.
    dup2(pipe.writer.get(), 1);
    (void)Context(StartMethod::kForkServer, {.preload = {"LoadSaysSoAndHangs"}}).StartServer();
    _exit(0);
  }
  pipe.writer.reset();
  char byte;
  ASSERT_EQ(read(pipe.reader.get(), &byte, 1), 1);
  ASSERT_EQ(kill(owner, SIGKILL), 0);
  waitpid(owner, nullptr, 0);
  pollfd polled = {pipe.reader.get(), POLLIN, 0};
  ASSERT_EQ(poll(&polled, 1, 20'000), 1);
  EXPECT_EQ(read(pipe.reader.get(), &byte, 1), 0);  // End of file, when nobody has the writing end any more.
}

TEST(ForkServerTest, MoreDescriptorsThanOneMessageCanCarryArrive) {
  LaunchOptions options;
  std::vector<int> numbers;
  for (int number = 10; number < 610; ++number) {
    options.inherited.push_back({.fd = 0, .child_fd = number});
    numbers.push_back(number);
  }
  EXPECT_EQ(Context(StartMethod::kForkServer).Call(options, WhichAreOpen, numbers).value(), numbers);
}

TEST(ForkServerTest, AnotherProgramThatIsNoServerIsAnError) {
  const Context context(StartMethod::kForkServer, {.executable = "/bin/false"});
  const absl::Status status = context.StartServer();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(status.message().find("Bootstrap"), std::string::npos) << status;
  const Context missing(StartMethod::kForkServer, {.executable = "/nonexistent"});
  EXPECT_EQ(missing.StartServer().code(), absl::StatusCode::kNotFound);
}

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

TEST(ForkServerTest, RefusesToStartWhereChildrenGetAnotherPidNamespaceAndHarmsItNot) {
  if (getuid() != 0) GTEST_SKIP() << "needs root, to make a pid namespace";
  EXPECT_EQ(InFork([]() -> std::string {
              if (unshare(CLONE_NEWPID) != 0) return "";
              const absl::Status status = Context(StartMethod::kForkServer).StartServer();
              if (!absl::IsFailedPrecondition(status)) return absl::StrCat("forkserver: ", status.ToString());
              const absl::StatusOr<int> spawned = Context(StartMethod::kSpawn).Call(Square, 7);
              return spawned.ok() ? "" : absl::StrCat("spawn: ", spawned.status().ToString());
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
