// Sandboxes that are made ahead, each for one child alone: Isolation::kFresh of a forkserver's children.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
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
#include "launcher/process.h"
#include "launcher/server.h"
#include "launcher/server_list.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

constexpr const char* kNamespaces[] = {"mnt", "pid", "net", "ipc", "uts", "user"};

// The numbers of its namespaces.
std::string Namespaces() {
  std::string numbers;
  for (const char* name : kNamespaces) {
    struct stat about = {};
    if (stat(absl::StrCat("/proc/self/ns/", name).c_str(), &about) != 0) return "";
    absl::StrAppend(&numbers, about.st_ino, " ");
  }
  return numbers;
}
BROOD_TARGET(Namespaces);

// In a sandbox that others had before it, the numbers go on.
ExitCode NumberInside() { return {getpid()}; }
BROOD_TARGET(NumberInside);

// Born by a keeper, from outside of its pid namespace.
ExitCode HasNoParentInside() { return {getppid() == 0 ? 0 : 1}; }
BROOD_TARGET(HasNoParentInside);

void Leave() { std::ofstream("/tmp/left") << "a secret"; }
BROOD_TARGET(Leave);

void Stay() {
  while (true) pause();
}
BROOD_TARGET(Stay);

// A preload: that it ran.
void Mark() { std::ofstream(getenv("BROOD_TEST_MARKS"), std::ios::app) << "x"; }
BROOD_TARGET(Mark);

ExitCode IsSomethingLeft() { return {access("/tmp/left", F_OK) == 0 ? 1 : 0}; }
BROOD_TARGET(IsSomethingLeft);

// How many processes below this one have that name.
int CountBelow(const std::string& name) {
  std::vector<std::pair<int, int>> parents;
  std::set<int> named;
  DIR* const proc = opendir("/proc");
  while (const dirent* const entry = readdir(proc)) {
    const int pid = atoi(entry->d_name);
    if (pid == 0) continue;
    int parent = -1;
    std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
    for (std::string line; std::getline(status, line);) {
      const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar("\t "), absl::SkipEmpty());
      if (words.size() < 2) continue;
      if (words[0] == "Name:" && words[1] == name) named.insert(pid);
      if (words[0] == "PPid:") parent = atoi(words[1].c_str());
    }
    parents.emplace_back(pid, parent);
  }
  closedir(proc);
  std::set<int> below = {getpid()};
  for (size_t before = 0; before != below.size();) {
    before = below.size();
    for (const auto& [pid, parent] : parents) {
      if (below.count(parent) > 0) below.insert(pid);
    }
  }
  int count = 0;
  for (const int pid : named) count += below.count(pid) > 0 ? 1 : 0;
  return count;
}

class FreshSlotTest : public testing::Test {
 protected:
  FreshSlotTest() {
    options_.policy = CompilePolicy(BuiltinPolicy("strict").value()).value();
    options_.isolation = Isolation::kFresh;
    options_.stdin_spec = Stdio::Null();
  }

  Outcome Run(const char* target) {
    absl::StatusOr<CallResult> result = context_.CallByName(options_, target, {});
    EXPECT_TRUE(result.ok()) << target << ": " << result.status();
    return result.ok() ? result->outcome : Outcome();
  }

  const Context context_{StartMethod::kForkServer};
  LaunchOptions options_;
};

TEST_F(FreshSlotTest, NoTwoChildrenShareANamespace) {
  std::vector<std::set<std::string>> seen(std::size(kNamespaces));
  constexpr size_t kChildren = 12;  // More than are ready.
  for (size_t i = 0; i < kChildren; ++i) {
    const absl::StatusOr<std::string> numbers = context_.Call(options_, Namespaces);
    ASSERT_TRUE(numbers.ok()) << numbers.status();
    const std::vector<std::string> each = absl::StrSplit(*numbers, ' ', absl::SkipEmpty());
    ASSERT_EQ(each.size(), seen.size());
    for (size_t kind = 0; kind < each.size(); ++kind) seen[kind].insert(each[kind]);
  }
  // While others of them live, the kernel gives no number twice.
  for (size_t kind = 0; kind < seen.size(); ++kind) EXPECT_GT(seen[kind].size(), 4u) << kNamespaces[kind];
  std::string before;
  for (size_t i = 0; i < kChildren; ++i) {
    const std::string now = context_.Call(options_, Namespaces).value();
    EXPECT_NE(now, before);
    before = now;
  }
}

TEST_F(FreshSlotTest, EachChildIsTheFirstInIts) {
  const int first = Run("NumberInside").exit_code();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(Run("NumberInside").exit_code(), first);
  options_.isolation = Isolation::kKept;
  const int kept = Run("NumberInside").exit_code();
  EXPECT_GT(Run("NumberInside").exit_code(), kept);
}

TEST_F(FreshSlotTest, ItIsMadeAheadOfTheChild) { EXPECT_EQ(Run("HasNoParentInside").exit_code(), 0); }

TEST_F(FreshSlotTest, NothingOfOneChildIsThereForAnother) {
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(Run("Leave").exit_code(), 0);
    EXPECT_EQ(Run("IsSomethingLeft").exit_code(), 0);
  }
}

TEST_F(FreshSlotTest, ItAndAKeptOneAreNeverTheSame) {
  LaunchOptions kept = options_;
  kept.isolation = Isolation::kKept;
  const std::string first = context_.Call(kept, Namespaces).value();
  for (int i = 0; i < 6; ++i) {
    EXPECT_NE(context_.Call(options_, Namespaces).value(), first);
    EXPECT_EQ(context_.Call(kept, Namespaces).value(), first);
  }
}

TEST_F(FreshSlotTest, ProgramsHaveThemToo) {
  options_.argv = {"readlink", "/proc/self/ns/mnt"};
  options_.stdout_spec = Stdio::Capture();
  std::string before;
  for (int i = 0; i < 8; ++i) {
    absl::StatusOr<Process> process = context_.Launch(options_);
    ASSERT_TRUE(process.ok()) << process.status();
    ASSERT_TRUE(process->Join()->ok());
    char text[64] = {};
    ASSERT_GT(pread(process->TakeStdout().get(), text, sizeof(text) - 1, 0), 0);
    EXPECT_NE(text, before);
    before = text;
  }
}

TEST_F(FreshSlotTest, ThoseThatAreUsedUpAreTakenDown) {
  absl::StatusOr<Server> server = Server::Start({}, options_.policy, Isolation::kFresh);
  ASSERT_TRUE(server.ok()) << server.status();
  for (int i = 0; i < 24; ++i) ASSERT_EQ(server->Call("HasNoParentInside")->exit_code(), 0);
  // At most those that are ready are left. Looks, since nothing tells us of the end of processes that are not our children.
  for (int i = 0; i < 2000 && CountBelow("brood-keeper") > 8; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_LE(CountBelow("brood-keeper"), 8);
}

TEST_F(FreshSlotTest, CallsOfAServerHaveEachTheirOwn) {
  absl::StatusOr<Server> server = Server::Start({}, options_.policy, Isolation::kFresh);
  ASSERT_TRUE(server.ok()) << server.status();
  const int first = server->Call("NumberInside")->exit_code();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(server->Call("NumberInside")->exit_code(), first);
}

// Else its end would be told when the next server has preloaded, for which nobody has asked.
TEST_F(FreshSlotTest, TheEndOfACallStartsNoOtherServer) {
  char marks[] = "/tmp/fresh_slot_test.XXXXXX";
  const int file = mkstemp(marks);
  ASSERT_GE(file, 0);
  setenv("BROOD_TEST_MARKS", marks, 1);
  absl::StatusOr<Server> server = Server::Start({.preload = {"Mark"}}, options_.policy, Isolation::kFresh);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto count = [file] {
    struct stat about = {};
    fstat(file, &about);
    return about.st_size;
  };
  ASSERT_EQ(count(), 1);
  ASSERT_EQ(server->Call("HasNoParentInside")->exit_code(), 0);
  ASSERT_TRUE(server->Send("Stay").ok());  // With the last keeper that was asked for ahead.
  for (const ServerState& state : ListServers()) {
    if (!state.running || state.preload != std::vector<std::string>{"Mark"}) continue;
    const UniqueFd supervisor(static_cast<int>(syscall(SYS_pidfd_open, state.supervisor, 0)));
    ASSERT_EQ(kill(state.supervisor, SIGKILL), 0);
    pollfd ended = {supervisor.get(), POLLIN, 0};
    ASSERT_EQ(poll(&ended, 1, -1), 1);
  }
  EXPECT_FALSE(server->Next()->second.ok());
  EXPECT_EQ(count(), 1);
  unlink(marks);
  close(file);
}

TEST_F(FreshSlotTest, MoreAtOnceThanAreReadyAllRun) {
  absl::StatusOr<Server> server = Server::Start({}, options_.policy, Isolation::kFresh);
  ASSERT_TRUE(server.ok()) << server.status();
  constexpr int kCalls = 16;
  for (int i = 0; i < kCalls; ++i) ASSERT_TRUE(server->Send("HasNoParentInside").ok());
  for (int i = 0; i < kCalls; ++i) EXPECT_EQ(server->Next()->second.exit_code(), 0);
}

// The policy is one that the machine cannot carry out: what failed ahead is told to who calls, each time anew.
TEST_F(FreshSlotTest, WhatCannotBeMadeIsToldToWhoCalls) {
  Policy policy = BuiltinPolicy("strict").value();
  char folder[] = "/tmp/fresh_slot_test.XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  policy.files.push_back({.source = folder, .destination = "/shown"});
  absl::StatusOr<Server> server = Server::Start({}, CompilePolicy(policy).value(), Isolation::kFresh);
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_EQ(server->Call("HasNoParentInside")->exit_code(), 0);
  ASSERT_EQ(rmdir(folder), 0);
  absl::Status failure;
  for (int i = 0; i < 16 && failure.ok(); ++i) failure = server->Call("HasNoParentInside").status();
  EXPECT_NE(std::string(failure.message()).find(folder), std::string::npos) << failure;
  ASSERT_EQ(mkdir(folder, 0755), 0);
  EXPECT_EQ(server->Call("HasNoParentInside")->exit_code(), 0);
  rmdir(folder);
}

}  // namespace
}  // namespace brood
