// A forkserver that is replaced after so many children, or after so much time.
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>
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

namespace brood {
namespace {

// --- targets: one behaviour each ---

BROOD_TARGET(ServerAbove);

int g_loads = 0;
void LoadOnce() { ++g_loads; }
BROOD_TARGET(LoadOnce);

uint64_t Address() { return reinterpret_cast<uint64_t>(&g_loads); }
BROOD_TARGET(Address);

int SquareAfter(const UniqueFd& pipe, int x) {
  char byte;
  while (read(pipe.get(), &byte, 1) < 0 && errno == EINTR) {
  }
  return x * x * g_loads;
}
BROOD_TARGET(SquareAfter);

// The supervisor above, on the way of a file.
void TellSupervisor(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string line = absl::StrCat(SupervisorAbove(), "\n");
  (void)!write(file.get(), line.data(), line.size());
}
BROOD_TARGET(TellSupervisor);

// Until nobody has it locked for himself.
ExitCode AwaitLock(const std::string& path) {
  const UniqueFd lock(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return {flock(lock.get(), LOCK_SH) == 0 ? 0 : 1};
}
BROOD_TARGET(AwaitLock);

UniqueFd Pidfd(int pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

bool EndsWithin(const UniqueFd& process, int seconds) {
  pollfd polled = {process.get(), POLLIN, 0};
  return !process.valid() || poll(&polled, 1, seconds * 1000) == 1;
}

// --- the tests ---

TEST(RotationTest, AServerBearsAsManyChildrenAsItMayAndNoMore) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadOnce"}, .rotate_after_children = 3});
  std::vector<int> servers;
  for (int i = 0; i < 9; ++i) servers.push_back(context.Call(ServerAbove).value());
  for (size_t i = 0; i < servers.size(); ++i) EXPECT_EQ(servers[i], servers[i / 3 * 3]) << i;
  EXPECT_EQ(std::set<int>(servers.begin(), servers.end()).size(), 3u);
}

TEST(RotationTest, EachServerHasAddressesOfItsOwn) {
  if ((personality(0xffffffff) & ADDR_NO_RANDOMIZE) != 0) GTEST_SKIP() << "addresses are not random here";
  const Context context(StartMethod::kForkServer, {.rotate_after_children = 1});
  std::set<uint64_t> addresses;
  for (int i = 0; i < 4; ++i) addresses.insert(context.Call(Address).value());
  EXPECT_EQ(addresses.size(), 4u);
}

TEST(RotationTest, AServerThatIsTooOldBearsNoMore) {
  const std::vector<std::string> preload = {"LoadOnce"};
  const Context any(StartMethod::kForkServer, {.preload = preload});
  const Context an_hour(StartMethod::kForkServer, {.preload = preload, .rotate_after = absl::Hours(1)});
  const Context none(StartMethod::kForkServer, {.preload = preload, .rotate_after = absl::ZeroDuration()});
  const int server = any.Call(ServerAbove).value();
  EXPECT_EQ(an_hour.Call(ServerAbove).value(), server);
  EXPECT_NE(none.Call(ServerAbove).value(), server);
}

TEST(RotationTest, WhatAServerHasBorneGoesOnAndTheServerEndsWithTheLastOfIt) {
  // Not one that another test has used.
  const Context context(StartMethod::kForkServer, {.preload = {"LoadOnce", "LoadOnce"}, .rotate_after_children = 2});
  Ends pipe = MakePipe();
  const UniqueFd server = Pidfd(context.Call(ServerAbove).value());
  Process child = context.Start(SquareAfter, pipe.reader, 7).value();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(context.Call(ServerAbove).ok());
  EXPECT_TRUE(child.IsAlive());
  EXPECT_FALSE(EndsWithin(server, 0));
  pipe.writer.reset();
  EXPECT_EQ(child.Result<int>().value(), 2 * 49);
  EXPECT_TRUE(EndsWithin(server, 20));
}

TEST(RotationTest, NoStartIsLostWhileManyThreadsRotateServers) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadOnce"}, .rotate_after_children = 5});
  std::vector<std::thread> threads;
  std::vector<std::vector<int>> servers(4);
  for (size_t i = 0; i < servers.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 15; ++j) servers[i].push_back(context.Call(ServerAbove).value_or(-1));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::map<int, int> children;
  for (const std::vector<int>& seen : servers) {
    for (const int server : seen) ++children[server];
  }
  EXPECT_EQ(children.count(-1), 0u);
  for (const auto& [server, count] : children) EXPECT_LE(count, 5) << server;
}

TEST(RotationTest, CallsThatAreUnderWayOutliveTheRotationOfTheirServer) {
  std::string path = absl::StrCat(testing::TempDir(), "/brood-rotation-XXXXXX");
  UniqueFd lock(mkstemp(path.data()));
  ASSERT_EQ(flock(lock.get(), LOCK_EX), 0);
  Server server = Server::Start({.preload = {"LoadOnce"}, .rotate_after_children = 2}).value();
  std::set<uint64_t> waiting;
  for (int i = 0; i < 5; ++i) waiting.insert(server.Send("AwaitLock", {Pack(path)}).value());
  const std::string told = path + ".told";
  for (int i = 0; i < 4; ++i) {
    const uint64_t call = server.Send("TellSupervisor", {Pack(told)}).value();
    const auto ended = server.Next();
    EXPECT_EQ(ended->first, call);
    EXPECT_TRUE(ended->second.ok());
  }
  ASSERT_EQ(flock(lock.get(), LOCK_UN), 0);
  while (server.pending() > 0) {
    const auto ended = server.Next();
    ASSERT_TRUE(ended.ok());
    EXPECT_TRUE(ended->second.ok());
    waiting.erase(ended->first);
  }
  EXPECT_TRUE(waiting.empty());
  // The nine calls had five servers, of which the first of these four calls had the third.
  const std::vector<std::string> lines = absl::StrSplit(Read(told), '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 4u) << Read(told);
  EXPECT_NE(lines[0], lines[1]);
  EXPECT_EQ(lines[1], lines[2]);
  EXPECT_NE(lines[2], lines[3]);
  EXPECT_TRUE(EndsWithin(Pidfd(std::stoi(lines[1])), 20));
  unlink(told.c_str());
  unlink(path.c_str());
}

TEST(RotationTest, LeavesNoDescriptorHere) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadOnce"}, .rotate_after_children = 1});
  ASSERT_TRUE(context.Call(ServerAbove).ok());
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(context.Call(ServerAbove).ok());
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace brood
