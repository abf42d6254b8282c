// What a forkserver preloads.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "ipc/lock.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "launcher/server.h"

namespace brood {
namespace {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

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
void LoadCrashes() {
  signal(SIGSEGV, SIG_DFL);  // A sanitizer's handler would exit.
  raise(SIGSEGV);
}
BROOD_TARGET(LoadCrashes);
void LoadStartsThreads() {
  for (int i = 0; i < 2; ++i) {
    std::thread thread([] {
      while (true) pause();
    });
    pthread_setname_np(thread.native_handle(), "poller");
    thread.detach();
  }
}
BROOD_TARGET(LoadStartsThreads);
std::vector<char> g_mebibytes;
void LoadEightMebibytes() { g_mebibytes.assign(size_t{8} << 20, 'x'); }
BROOD_TARGET(LoadEightMebibytes);
void LoadJoinsAThread() { std::thread([] { g_loaded += "by a thread"; }).join(); }
BROOD_TARGET(LoadJoinsAThread);
Lock& LoadedLock() {
  static Lock lock;
  return lock;
}
void LoadMakesALock() { LoadedLock() = Lock::Create().value(); }
BROOD_TARGET(LoadMakesALock);
absl::Status UseLoadedLock() { return LoadedLock().Acquire(absl::Seconds(20)); }
BROOD_TARGET(UseLoadedLock);
absl::Status UseNewLock() {
  const Lock lock = Lock::Create().value();
  if (absl::Status acquired = lock.Acquire(absl::Seconds(20)); !acquired.ok()) return acquired;
  return lock.Release();
}
BROOD_TARGET(UseNewLock);
void LoadHangs() {
  while (true) pause();
}
BROOD_TARGET(LoadHangs);
void LoadSaysSoAndHangs() {
  (void)!write(1, "x", 1);
  LoadHangs();
}
BROOD_TARGET(LoadSaysSoAndHangs);
std::string g_blocked;
void LoadSeesBlockedSignals() {
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, nullptr, &blocked);
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    if (sigismember(&blocked, signal) == 1) g_blocked += absl::StrCat(sigabbrev_np(signal), " ");
  }
}
BROOD_TARGET(LoadSeesBlockedSignals);
std::string Blocked() { return g_blocked; }
BROOD_TARGET(Blocked);
void LoadIsTerminated() { raise(SIGTERM); }
BROOD_TARGET(LoadIsTerminated);
std::string g_streams;
void LoadSeesStreams() {
  for (int fd = 0; fd < 3; ++fd) {
    char path[64] = {};
    if (readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), path, sizeof(path) - 1) > 0) absl::StrAppend(&g_streams, path, " ");
  }
}
BROOD_TARGET(LoadSeesStreams);
std::string Streams() { return g_streams; }
BROOD_TARGET(Streams);
void LoadPrints() {
  std::fputs("loading", stdout);
  std::fputs("oh", stderr);
}
BROOD_TARGET(LoadPrints);
void PrintNothing() {}
BROOD_TARGET(PrintNothing);

TEST(PreloadTest, PreloadsRunOnceAndInOrderAndChildrenDoNotSeeEachOther) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadFirst", "LoadSecond", "LoadJoinsAThread"}});
  ASSERT_EQ(context.StartServer(), absl::OkStatus());
  g_loaded = "the parent's";
  EXPECT_EQ(context.Call(LoadMore).value(), "first 1 second 2by a thread!");
  EXPECT_EQ(context.Call(Loaded).value(), "first 1 second 2by a thread");
  g_loaded = "";
}

TEST(PreloadTest, AFailedPreloadIsNamedWithItsReason) {
  const size_t before = OpenDescriptors();
  struct Case {
    const char* preload;
    const char* reason;
  };
  for (const Case& one : {Case{"LoadThrows", ": run: std::runtime_error: no such table"}, Case{"LoadRefuses", "the file is gone"},
                          Case{"LoadExits", "brood::Exit"}, Case{"LoadCallsExit3", ": run: the server exited with code 0 while it did that"},
                          Case{"LoadDies", ": run: the server was ended by SIGKILL while it did that"},
                          Case{"LoadCrashes", ": run: the server was ended by SIGSEGV"},
                          Case{"LoadStartsThreads", ": threads: it left 2 thread(s) running: poller (thread "},
                          Case{"LoadTakesAnArgument", ": load: a preload takes no arguments"}, Case{"NotThere", ": load: "}}) {
    const Context context(StartMethod::kForkServer, {.preload = {"LoadFirst", one.preload}});
    for (const absl::Status& status : {context.StartServer(), context.Call(Square, 7).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
      EXPECT_NE(status.message().find(absl::StrCat("preload ", one.preload)), std::string::npos) << status;
      EXPECT_NE(status.message().find(one.reason), std::string::npos) << status;
    }
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(PreloadTest, TheReportTellsTimeAndMemoryOfEachPreloadInOrder) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadFirst", "LoadEightMebibytes"}});
  const ServerReport report = context.ReportServer().value();
  ASSERT_EQ(report.preloads.size(), 2u);
  EXPECT_EQ(report.preloads[0].name, "LoadFirst");
  EXPECT_LT(report.preloads[0].memory_bytes, uint64_t{4} << 20);
  EXPECT_EQ(report.preloads[1].name, "LoadEightMebibytes");
  EXPECT_GE(report.preloads[1].memory_bytes, uint64_t{8} << 20);
  EXPECT_LT(report.preloads[1].memory_bytes, uint64_t{12} << 20);
  EXPECT_GT(report.preloads[1].time, absl::ZeroDuration());
  EXPECT_GE(report.time, report.preloads[0].time + report.preloads[1].time);
  EXPECT_EQ(report.frozen, "not frozen: not asked for");
  EXPECT_NE(report.ToString().find("; LoadEightMebibytes "), std::string::npos) << report.ToString();
  Server server = Server::Start({.preload = {"LoadFirst"}, .freeze = Freeze::kAuto}).value();
  EXPECT_EQ(server.Report()->preloads.size(), 1u);
  EXPECT_EQ(server.Report()->frozen.substr(0, 10), "not frozen");
  EXPECT_TRUE(absl::IsFailedPrecondition(Context(StartMethod::kSpawn).ReportServer().status()));
}

TEST(PreloadTest, APreloadThatHangsIsAnErrorAfterItsTime) {
  // Long enough for the program to get there on a machine that is busy.
  const Context context(StartMethod::kForkServer, {.preload = {"LoadHangs"}, .preload_timeout = absl::Seconds(2)});
  const absl::Status status = context.StartServer();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_NE(status.message().find("preload LoadHangs: run: not ready after 2s"), std::string::npos) << status;
}

TEST(PreloadTest, EachContextWaitsItsOwnTimeForTheSameServer) {
  EXPECT_EQ(InFork([]() -> std::string {
              const Ends pipe = MakePipe();
              dup2(pipe.writer.get(), 1);
              const std::vector<std::string> preload = {"LoadSaysSoAndHangs"};
              std::thread([&preload] {
                (void)Context(StartMethod::kForkServer, {.preload = preload, .preload_timeout = absl::InfiniteDuration()})
                    .StartServer();
              }).detach();  // It waits until this process ends.
              char byte;
              if (read(pipe.reader.get(), &byte, 1) != 1) return "it does not start";
              const absl::Status status =
                  Context(StartMethod::kForkServer, {.preload = preload, .preload_timeout = absl::Milliseconds(100)}).StartServer();
              _exit(absl::IsDeadlineExceeded(status) ? 0 : 1);  // Before what the thread uses is gone.
            }),
            "");
}

TEST(PreloadTest, APreloadRunsWithTheSignalsOfAProgram) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadSeesBlockedSignals"}});
  EXPECT_EQ(context.Call(Blocked).value(), "TTIN TTOU ");
  const absl::Status status = Context(StartMethod::kForkServer, {.preload = {"LoadIsTerminated"}}).StartServer();
  EXPECT_NE(status.message().find("the server was ended by SIGTERM while it did that"), std::string::npos) << status;
}

TEST(PreloadTest, AClosedStreamOfTheCallerIsNullInTheServer) {
  for (const std::vector<int>& closed : {std::vector<int>{0}, {1}, {2}, {0, 1, 2}}) {
    EXPECT_EQ(InFork([&closed]() -> std::string {
                for (int fd = 0; fd < 3; ++fd) dup2(UniqueFd(open("/dev/null", O_RDWR)).get(), fd);
                for (const int fd : closed) close(fd);
                const Context context(StartMethod::kForkServer, {.preload = {"LoadSeesStreams"}});
                // Before anything else takes the numbers of the streams.
                if (absl::Status started = context.StartServer(); !started.ok()) return started.ToString();
                const absl::StatusOr<std::string> seen = context.Call(Streams);
                if (!seen.ok()) return seen.status().ToString();
                return *seen == "/dev/null /dev/null /dev/null " ? "" : *seen;
              }),
              "")
        << testing::PrintToString(closed);
  }
}

TEST(PreloadTest, WhatAPreloadPrintsIsPrintedOnce) {
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

// What a child was not passed it cannot use, as with each start method; it disturbs no lock that the child makes.
TEST(PreloadTest, ALockThatAPreloadMadeIsItsOwn) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadMakesALock"}});
  EXPECT_TRUE(absl::IsFailedPrecondition(context.Call(UseLoadedLock)));
  EXPECT_EQ(context.Call(UseNewLock), absl::OkStatus());
}

TEST(PreloadTest, AKilledOwnerEndsAServerThatHangsInItsPreload) {
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

}  // namespace
}  // namespace brood
