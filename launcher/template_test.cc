// Templates: servers that are forked from a server and have preloaded more.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "launcher/server.h"
#include "launcher/server_list.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

// --- targets ---

// Of each preload, the process that has run it.
std::vector<int> g_loaders;
void LoadFirst() { g_loaders.push_back(getpid()); }
BROOD_TARGET(LoadFirst);
void LoadSecond() { g_loaders.push_back(getpid()); }
BROOD_TARGET(LoadSecond);
void LoadThird() { g_loaders.push_back(getpid()); }
BROOD_TARGET(LoadThird);
std::vector<int> Loaders() { return g_loaders; }
BROOD_TARGET(Loaders);
ExitCode CountLoads() { return {static_cast<int>(g_loaders.size())}; }
BROOD_TARGET(CountLoads);

std::vector<uint64_t> g_words;
void LoadWords() {
  for (uint64_t i = 0; i < 1'000'000; ++i) g_words.push_back(i * 0x9e3779b97f4a7c15);
}
BROOD_TARGET(LoadWords);
void LoadMoreWords() {
  g_words[7] = 7;
  LoadWords();
}
BROOD_TARGET(LoadMoreWords);
uint64_t SumOfWords() {
  uint64_t sum = 0;
  for (const uint64_t word : g_words) sum = sum * 31 + word;
  return sum;
}
BROOD_TARGET(SumOfWords);

uint64_t Address() { return reinterpret_cast<uint64_t>(&g_words); }
BROOD_TARGET(Address);

void LoadThrows() { throw std::runtime_error("no such table"); }
BROOD_TARGET(LoadThrows);
void LoadDies() { raise(SIGKILL); }
BROOD_TARGET(LoadDies);
void LoadStartsAThread() {
  std::thread thread([] {
    while (true) pause();
  });
  pthread_setname_np(thread.native_handle(), "poller");
  thread.detach();
}
BROOD_TARGET(LoadStartsAThread);
void LoadHangs() {
  while (true) pause();
}
BROOD_TARGET(LoadHangs);
void LoadPrints() {
  (void)!write(1, "loading", 7);
  (void)!write(2, "oh", 2);
}
BROOD_TARGET(LoadPrints);

int SquareAfter(const UniqueFd& pipe, int x) {
  char byte;
  while (read(pipe.get(), &byte, 1) < 0 && errno == EINTR) {
  }
  return x * x;
}
BROOD_TARGET(SquareAfter);

BROOD_TARGET(SupervisorAbove);

// The process that has preloaded what the caller finds: below the supervisor above. Unlike a server, a template has executed nothing.
int TemplateAbove() {
  const int supervisor = SupervisorAbove();
  for (const std::string_view child :
       absl::StrSplit(Read(absl::StrCat("/proc/", supervisor, "/task/", supervisor, "/children")), ' ', absl::SkipEmpty())) {
    if (Read(absl::StrCat("/proc/", child, "/comm")) == "brood-server\n") return std::stoi(std::string(child));
  }
  return 0;
}
BROOD_TARGET(TemplateAbove);

// --- helpers ---

UniqueFd Pidfd(int pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

bool EndsWithin(const UniqueFd& process, int seconds) {
  pollfd polled = {process.get(), POLLIN, 0};
  return !process.valid() || poll(&polled, 1, seconds * 1000) == 1;
}

// Of a server with LoadFirst, the template that has loaded `names` besides, each in a template of its own.
ContextOptions With(const std::vector<std::string>& names) {
  ContextOptions options;
  options.preload = {"LoadFirst"};
  for (const std::string& name : names) options.templates.push_back({.name = name, .preload = {name}, .freeze = Freeze::kOff});
  return options;
}

Context ContextWith(const std::vector<std::string>& names) { return Context(StartMethod::kForkServer, With(names)); }

// --- the tests ---

TEST(TemplateTest, EachPreloadRunsOnceAndTheTemplatesBelowFindIt) {
  const std::vector<int> both = ContextWith({"LoadSecond", "LoadThird"}).Call(Loaders).value();
  ASSERT_EQ(both.size(), 3u);
  EXPECT_EQ(std::set<int>(both.begin(), both.end()).size(), 3u);
  EXPECT_EQ(ContextWith({"LoadSecond"}).Call(Loaders).value(), std::vector<int>({both[0], both[1]}));
  EXPECT_EQ(ContextWith({}).Call(Loaders).value(), std::vector<int>({both[0]}));
  const std::vector<int> other = ContextWith({"LoadThird"}).Call(Loaders).value();
  ASSERT_EQ(other.size(), 2u);
  EXPECT_EQ(other[0], both[0]);
  EXPECT_NE(other[1], both[2]);
}

TEST(TemplateTest, IsListedWithItsAddressAndWhatItHasPreloaded) {
  ASSERT_TRUE(ContextWith({"LoadSecond", "LoadThird"}).Call(Loaders).ok());
  const int supervisor = ContextWith({"LoadSecond", "LoadThird"}).Call(SupervisorAbove).value();
  int found = 0;
  for (const ServerState& state : ListServers()) {
    if (state.address != "server/LoadSecond/LoadThird") continue;
    ++found;
    EXPECT_EQ(state.preload, std::vector<std::string>({"LoadFirst", "LoadSecond", "LoadThird"}));
    EXPECT_TRUE(state.running);
    EXPECT_EQ(state.supervisor, supervisor);
    EXPECT_GE(state.children, 2u);
    ASSERT_EQ(state.report.preloads.size(), 1u);
    EXPECT_EQ(state.report.preloads[0].name, "LoadThird");
  }
  EXPECT_EQ(found, 1);
}

TEST(TemplateTest, ServersHaveTemplatesThatAreServers) {
  const Server server = Server::Start(With({})).value();
  Server second = server.StartTemplate({.name = "second", .preload = {"LoadSecond"}, .freeze = Freeze::kOff}).value();
  Server third = second.StartTemplate({.name = "third", .preload = {"LoadThird"}, .freeze = Freeze::kOff}).value();
  EXPECT_EQ(third.Call("CountLoads")->exit_code(), 3);
  EXPECT_EQ(second.Call("CountLoads")->exit_code(), 2);
  EXPECT_EQ(second.StartTemplate({.name = "a/b", .preload = {}, .freeze = Freeze::kOff}).status().code(), absl::StatusCode::kInvalidArgument);
  std::vector<std::string> addresses;
  for (const ServerState& state : ListServers()) addresses.push_back(state.address);
  EXPECT_TRUE(std::find(addresses.begin(), addresses.end(), "server/second/third") != addresses.end());
}

TEST(TemplateTest, ItsChildrenHaveLimitsStreamsAndSandboxesAsAny) {
  const Context context = ContextWith({"LoadSecond"});
  const LaunchOptions options = {.policy = CompilePolicy(BuiltinPolicy("strict").value()).value()};
  EXPECT_EQ(context.Call(options, Loaders).value().size(), 2u);
  EXPECT_EQ(context.Call({.stdout_spec = Stdio::Capture()}, Loaders).value().size(), 2u);
}

TEST(TemplateTest, WhatItPreloadsIsFrozenUponWhatWasFrozen) {
  LoadWords();
  const uint64_t base = SumOfWords();
  LoadMoreWords();
  const uint64_t more = SumOfWords();
  g_words.clear();
  for (const Freeze freeze : {Freeze::kOff, Freeze::kAuto}) {
    ContextOptions options = {.preload = {"LoadWords"}, .freeze = freeze};
    EXPECT_EQ(Context(StartMethod::kForkServer, options).Call(SumOfWords).value(), base);
    options.templates.push_back({.name = "more", .preload = {"LoadMoreWords"}, .freeze = freeze});
    EXPECT_EQ(Context(StartMethod::kForkServer, options).Call(SumOfWords).value(), more);
    options.templates.pop_back();
    EXPECT_EQ(Context(StartMethod::kForkServer, options).Call(SumOfWords).value(), base);
  }
}

TEST(TemplateTest, AFailedPreloadIsNamedWithItsReasonAndHarmsNobodyElse) {
  const std::vector<int> loaders = ContextWith({}).Call(Loaders).value();
  struct Case {
    const char* preload;
    const char* reason;
  };
  for (const Case& one : {Case{"LoadThrows", ": run: std::runtime_error: no such table"}, Case{"LoadDies", ": run: the server was ended by SIGKILL"},
                          Case{"LoadStartsAThread", ": threads: it left 1 thread(s) running: poller (thread "},
                          Case{"NotThere", ": load: "}}) {
    const absl::Status status = ContextWith({one.preload}).StartServer();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_NE(status.message().find(absl::StrCat("preload ", one.preload, one.reason)), std::string::npos) << status;
  }
  ContextOptions hanging = With({"LoadHangs"});
  hanging.preload_timeout = absl::Milliseconds(300);
  const absl::Status status = Context(StartMethod::kForkServer, hanging).StartServer();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_NE(status.message().find("preload LoadHangs: run: "), std::string::npos) << status;
  EXPECT_EQ(ContextWith({}).Call(Loaders).value(), loaders);
}

TEST(TemplateTest, WhatItsPreloadPrintsIsTheUsers) {
  EXPECT_EQ(InFork([]() -> std::string {
              if (absl::Status started = ContextWith({}).StartServer(); !started.ok()) return started.ToString();
              const int out = memfd_create("out", 0), err = memfd_create("err", 0);
              dup2(out, 1);
              dup2(err, 2);
              if (absl::Status started = ContextWith({"LoadPrints"}).StartServer(); !started.ok()) return started.ToString();
              return TextOf(out) == "loading" && TextOf(err) == "oh" ? "" : absl::StrCat(TextOf(out), "|", TextOf(err));
            }),
            "");
}

TEST(TemplateTest, AKilledTemplateIsReplacedByAServerThatPreloadsAll) {
  const Context context = ContextWith({"LoadSecond"});
  const std::vector<int> before = context.Call(Loaders).value();
  Ends pipe = MakePipe();
  Process child = context.Start(SquareAfter, pipe.reader, 7).value();
  const int killed = context.Call(TemplateAbove).value();
  ASSERT_GT(killed, 0);
  const UniqueFd server = Pidfd(killed);
  ASSERT_EQ(kill(killed, SIGKILL), 0);
  ASSERT_TRUE(EndsWithin(server, 20));
  EXPECT_TRUE(child.IsAlive());
  const std::vector<int> after = context.Call(Loaders).value();
  ASSERT_EQ(after.size(), 2u);
  EXPECT_NE(after[0], before[0]);
  EXPECT_EQ(after[0], after[1]);
  pipe.writer.reset();
  EXPECT_EQ(child.Result<int>().value(), 49);
}

TEST(TemplateTest, LivesOnWhenTheServerIsKilledThatItWasForkedFrom) {
  const Context context = ContextWith({"LoadThird"});
  const std::vector<int> before = context.Call(Loaders).value();
  const int server = ContextWith({}).Call(TemplateAbove).value();
  ASSERT_GT(server, 0);
  const UniqueFd its = Pidfd(server);
  ASSERT_EQ(kill(server, SIGKILL), 0);
  ASSERT_TRUE(EndsWithin(its, 20));
  EXPECT_EQ(context.Call(Loaders).value(), before);
  EXPECT_EQ(ContextWith({"LoadThird", "LoadSecond"}).Call(Loaders).value().size(), 3u);
}

TEST(TemplateTest, ItsSupervisorHoldsNothingThatWasPreloaded) {
  const int supervisor = ContextWith({"LoadSecond"}).Call(SupervisorAbove).value();
  EXPECT_TRUE(HasExecuted(supervisor));
  EXPECT_NE(supervisor, ContextWith({}).Call(SupervisorAbove).value());
}

TEST(TemplateTest, EndsWithItsServerObject) {
  const Server server = Server::Start(With({})).value();
  int supervisor = 0;
  UniqueFd its;
  {
    Server second = server.StartTemplate({.name = "short-lived", .preload = {"LoadSecond"}, .freeze = Freeze::kOff}).value();
    for (const ServerState& state : ListServers()) {
      if (state.address == "server/short-lived") supervisor = state.supervisor;
    }
    ASSERT_GT(supervisor, 0);
    its = Pidfd(supervisor);
    EXPECT_FALSE(EndsWithin(its, 0));
  }
  EXPECT_TRUE(EndsWithin(its, 20));
  for (const ServerState& state : ListServers()) EXPECT_NE(state.address, "server/short-lived");
}

TEST(TemplateTest, AKilledOwnerLeavesNoTemplateAndNoChildOfOne) {
  Ends pipe = MakePipe();
  const pid_t owner = fork();
  if (owner == 0) {
    const Context context = ContextWith({"LoadSecond", "LoadThird"});
    const Ends never = MakePipe();
    const Process child = context.Start(SquareAfter, never.reader, 7).value();
    const int pids[] = {context.Call(SupervisorAbove).value(), context.Call(TemplateAbove).value(), child.pid()};
    (void)!write(pipe.writer.get(), pids, sizeof(pids));
    LoadHangs();
  }
  int pids[3] = {};
  ASSERT_EQ(read(pipe.reader.get(), pids, sizeof(pids)), static_cast<ssize_t>(sizeof(pids)));
  std::vector<UniqueFd> processes;
  for (const int pid : pids) processes.push_back(Pidfd(pid));
  ASSERT_EQ(kill(owner, SIGKILL), 0);
  for (const UniqueFd& process : processes) EXPECT_TRUE(EndsWithin(process, 20));
  waitpid(owner, nullptr, 0);
}

TEST(TemplateTest, RotatingATemplateRotatesWhatItWasForkedFrom) {
  if ((personality(0xffffffff) & ADDR_NO_RANDOMIZE) != 0) GTEST_SKIP() << "addresses are not random here";
  ContextOptions options = With({"LoadSecond"});
  options.rotate_after_children = 1;
  const Context context(StartMethod::kForkServer, options);
  std::set<uint64_t> addresses;
  for (int i = 0; i < 3; ++i) addresses.insert(context.Call(Address).value());
  EXPECT_EQ(addresses.size(), 3u);
}

TEST(TemplateTest, LeavesNoDescriptorHere) {
  const Server server = Server::Start(With({})).value();
  const auto once = [&] { ASSERT_TRUE(server.StartTemplate({.name = "again", .preload = {"LoadSecond"}, .freeze = Freeze::kOff}).ok()); };
  once();
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 5; ++i) once();
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace brood
