// Calls: functions that a forkserver runs without a Process for each.
#include "launcher/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "bootstrap/after_fork.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

void DoNothing() {}
BROOD_TARGET(DoNothing);

ExitCode Add(int a, int b) { return {a + b}; }
BROOD_TARGET(Add);

ExitCode KnowsOfRehearsal() {
  for (const auto& [name, signature] : RegisteredTargets()) {
    if (name.find("rehearsal") != std::string::npos) return {1};
  }
  return {0};
}
BROOD_TARGET(KnowsOfRehearsal);

void Throw() { throw std::runtime_error("broken"); }
BROOD_TARGET(Throw);

void Pause() { absl::SleepFor(absl::Milliseconds(50)); }
BROOD_TARGET(Pause);
void RaiseTerm() { raise(SIGTERM); }
BROOD_TARGET(RaiseTerm);

void KillKeeper() { kill(getppid(), SIGKILL); }
BROOD_TARGET(KillKeeper);

void StopKeeper() { kill(getppid(), SIGSTOP); }
BROOD_TARGET(StopKeeper);

// Opens a FIFO, which takes until somebody opens its other end, and reads to its end.
ExitCode ReadFifo(const std::string& path) {
  const UniqueFd fifo(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char byte;
  while (read(fifo.get(), &byte, 1) > 0) {
  }
  return {fifo.valid() ? 0 : 1};
}
BROOD_TARGET(ReadFifo);

// Until nobody has it locked for himself.
ExitCode AwaitLock(const std::string& folder) {
  const UniqueFd lock(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return {flock(lock.get(), LOCK_SH) == 0 ? 0 : 1};
}
BROOD_TARGET(AwaitLock);

// Leaves a process that has the FIFO open for writing.
void LeaveWriter(const std::string& path) {
  const UniqueFd fifo(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fork() == 0) {
    setsid();
    while (true) pause();
  }
}
BROOD_TARGET(LeaveWriter);

int g_loaded = 0;
void Load() { g_loaded = 7; }
BROOD_TARGET(Load);
ExitCode Loaded() { return {g_loaded}; }
BROOD_TARGET(Loaded);
void Overwrite() { g_loaded = 9; }
BROOD_TARGET(Overwrite);

// A random engine that brood cannot know, and its seed in this process.
int g_seed = 0;
void HookOnce() {
  AfterFork([] { g_seed = getpid(); });
  AfterFork([] { throw std::runtime_error("of no use"); });
  AfterFork([] { g_seed += 1; });
}
BROOD_TARGET(HookOnce);
bool IsSeeded() { return g_seed == getpid() + 1; }
BROOD_TARGET(IsSeeded);
ExitCode SeedIsRight() { return {IsSeeded() ? 0 : 1}; }
BROOD_TARGET(SeedIsRight);

ExitCode OpenDescriptorsAboveStreams() {
  int open = 0;
  for (int fd = 3; fd < 1024; ++fd) open += fcntl(fd, F_GETFD) >= 0;
  return {open};
}
BROOD_TARGET(OpenDescriptorsAboveStreams);

// As the caller's: 0.
ExitCode CompareLimits(uint64_t open_files, uint64_t stack) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  int differ = limit.rlim_cur == open_files ? 0 : 1;
  getrlimit(RLIMIT_STACK, &limit);
  differ += limit.rlim_cur == stack ? 0 : 2;
  return {differ};
}
BROOD_TARGET(CompareLimits);

// --- helpers ---

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    fifo_ = folder_ + "/fifo";
    ASSERT_EQ(mkfifo(fifo_.c_str(), 0600), 0);
  }
  void TearDown() override {
    unlink(fifo_.c_str());
    rmdir(folder_.c_str());
  }

  int Code(const std::string& target, std::vector<TypedValue> arguments = {}) {
    const absl::StatusOr<Outcome> outcome = server_.Call(target, std::move(arguments));
    EXPECT_EQ(outcome.status(), absl::OkStatus());
    return outcome.ok() ? outcome->exit_code() : -2000;
  }

  std::string folder_ = absl::StrCat(testing::TempDir(), "/brood-server-XXXXXX");
  std::string fifo_;
  Server server_ = Server::Start().value();
};

// --- the tests ---

TEST_F(ServerTest, ACallTellsHowTheTargetEnded) {
  EXPECT_EQ(Code("DoNothing"), 0);
  EXPECT_EQ(Code("Add", {Pack(3), Pack(4)}), 7);
  EXPECT_EQ(Code("Throw"), 1);
  EXPECT_EQ(Code("RaiseTerm"), -SIGTERM);
  EXPECT_EQ(server_.pending(), 0u);
}

TEST_F(ServerTest, ACallTakesNoLessTimeThanItsTarget) {
  for (int i = 0; i < 10; ++i) {
    const absl::StatusOr<Outcome> outcome = server_.Call("Pause");
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_GE(outcome->usage.wall_time, absl::Milliseconds(50));
  }
}

TEST_F(ServerTest, EachCallHasAProcessOfItsOwnThatFindsWhatWasPreloaded) {
  Server server = Server::Start({.preload = {"Load"}}).value();
  EXPECT_EQ(server.Call("Loaded")->exit_code(), 7);
  EXPECT_EQ(server.Call("Overwrite")->exit_code(), 0);
  EXPECT_EQ(server.Call("Loaded")->exit_code(), 7);
  EXPECT_EQ(Code("Loaded"), 0);
}

TEST_F(ServerTest, HooksRunInEachForkedChildBeforeItsTargetAndInOrder) {
  const ContextOptions options = {.preload = {"HookOnce"}};
  Server server = Server::Start(options).value();
  EXPECT_EQ(server.Call("SeedIsRight")->exit_code(), 0);
  EXPECT_EQ(server.Call("SeedIsRight")->exit_code(), 0);
  EXPECT_EQ(Code("SeedIsRight"), 1);
  EXPECT_TRUE(Context(StartMethod::kForkServer, options).Call(IsSeeded).value());
  EXPECT_EQ(InFork([]() -> std::string {
              HookOnce();
              return Context(StartMethod::kFork).Call(IsSeeded).value() ? "" : "not seeded";
            }),
            "");
}

TEST_F(ServerTest, SeveralCallsAreUnderWayAtOnce) {
  UniqueFd lock(open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(flock(lock.get(), LOCK_EX), 0);
  std::set<uint64_t> sent;
  for (int i = 0; i < 8; ++i) sent.insert(server_.Send("AwaitLock", {Pack(folder_)}).value());
  EXPECT_EQ(sent.size(), 8u);
  EXPECT_EQ(server_.pending(), 8u);
  // One that needs nobody else overtakes them.
  const uint64_t short_one = server_.Send("DoNothing").value();
  EXPECT_EQ(server_.Next()->first, short_one);
  lock.reset();
  std::set<uint64_t> ended;
  while (ended.size() < sent.size()) {
    const auto end = server_.Next();
    ASSERT_EQ(end.status(), absl::OkStatus());
    EXPECT_TRUE(end->second.ok());
    ended.insert(end->first);
  }
  EXPECT_EQ(ended, sent);
}

TEST_F(ServerTest, ACallHasNoDescriptorsButItsStreams) { EXPECT_EQ(Code("OpenDescriptorsAboveStreams"), 0); }

TEST_F(ServerTest, NoChildKnowsOfTheServersRehearsal) { EXPECT_EQ(Code("KnowsOfRehearsal"), 0); }

TEST_F(ServerTest, ACallHasTheLimitsThatTheServerWasStartedWith) {
  EXPECT_EQ(InFork([]() -> std::string {
              rlimit open_files = {}, stack = {};
              getrlimit(RLIMIT_NOFILE, &open_files);
              getrlimit(RLIMIT_STACK, &stack);
              open_files.rlim_cur = 100;
              stack.rlim_cur = 128 * 1024;  // Less than what lies between the server's stack and its children's.
              setrlimit(RLIMIT_NOFILE, &open_files);
              setrlimit(RLIMIT_STACK, &stack);
              Server server = Server::Start().value();
              const int differ = server.Call("CompareLimits", {Pack(uint64_t{open_files.rlim_cur}), Pack(uint64_t{stack.rlim_cur})})->exit_code();
              return differ == 0 ? "" : absl::StrCat(differ);
            }),
            "");
}

TEST_F(ServerTest, WhatACallLeavesRunningHasEndedWhenItsOutcomeIsThere) {
  for (int i = 0; i < 20; ++i) {
    const UniqueFd reader(open(fifo_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    EXPECT_EQ(Code("LeaveWriter", {Pack(fifo_)}), 0);
    pollfd polled = {reader.get(), POLLIN, 0};
    EXPECT_EQ(poll(&polled, 1, 0), 1);
    EXPECT_NE(polled.revents & POLLHUP, 0);
  }
}

TEST_F(ServerTest, ACallWhoseKeeperIsKilledIsLostAndTheNextOneIsNot) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(std::holds_alternative<Lost>(server_.Call("KillKeeper")->ending));
    EXPECT_EQ(Code("DoNothing"), 0);
  }
}

TEST_F(ServerTest, ACallThatStopsItsKeeperIsToldAllTheSame) {
  EXPECT_EQ(Code("StopKeeper"), 0);
  EXPECT_EQ(Code("DoNothing"), 0);
}

TEST_F(ServerTest, ACallEndsWithTheServerObject) {
  {
    Server server = Server::Start().value();
    ASSERT_TRUE(server.Send("ReadFifo", {Pack(fifo_)}).ok());
    UniqueFd writer(open(fifo_.c_str(), O_WRONLY | O_CLOEXEC));  // Once the child reads.
    ASSERT_TRUE(writer.valid());
    server = Server::Start().value();
    // A FIFO without readers.
    pollfd polled = {writer.get(), 0, 0};
    EXPECT_EQ(poll(&polled, 1, 20'000), 1);
    EXPECT_NE(polled.revents & POLLERR, 0);
  }
}

TEST_F(ServerTest, WhatCannotBeCalledIsAnErrorOrAnOutcomeAndTheServerGoesOn) {
  EXPECT_EQ(server_.Call("NoSuchTarget").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Code("Add", {Pack(3)}), 125);
  EXPECT_EQ(Code("Add", {Pack(std::string("three")), Pack(4)}), 125);
  EXPECT_EQ(server_.Next().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(server_.Call("DoNothing", {Pack(std::string(size_t{20} << 20, 'x'))}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Code("ReadFifo", {Pack(std::string(size_t{1} << 20, 'x'))}), 1);
  EXPECT_EQ(Code("DoNothing"), 0);
}

TEST_F(ServerTest, CallsLeakNoDescriptor) {
  EXPECT_EQ(Code("DoNothing"), 0);
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Code("Add", {Pack(i), Pack(1)}), i + 1);
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace brood
