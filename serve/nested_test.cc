// Children of a server that ask it for children: each has what its own policy leaves it, and no more.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "launcher/launch_record.h"
#include "sandbox/policy.h"
#include "serve/serve_testing.h"

namespace brood {
namespace {

// All of this machine is visible, the socket too; descriptors are what is asked for.
Policy With(uint64_t open_files) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.open_files = open_files;
  return policy;
}

// --- targets: one behaviour each ---

// What becomes of a request for a child that may have so many open files: "ok", or why not. 0: for what there is.
std::string Ask(const std::string& server, uint64_t open_files) {
  LaunchOptions options = {.argv = {"true"}, .server = server};
  if (open_files > 0) options.server_policy = With(open_files);
  absl::StatusOr<Process> process = Process::Start(options);
  if (!process.ok()) return std::string(process.status().message());
  const absl::StatusOr<Outcome> outcome = process->Join();
  return outcome.ok() && outcome->ok() ? "ok" : "it failed";
}
BROOD_TARGET(Ask);

// The same by a process whose parent has left it, whom its subreaper has.
std::string AskAsOrphan(const std::string& server, uint64_t open_files) {
  auto [reader, writer] = Pipe();
  const pid_t middle = fork();
  if (middle == 0) {
    const pid_t parent = getpid();
    if (fork() != 0) _exit(0);
    while (getppid() == parent) usleep(1000);
    const std::string said = Ask(server, open_files);
    (void)!write(writer.get(), said.data(), said.size());
    _exit(0);
  }
  writer.reset();
  waitpid(middle, nullptr, 0);
  std::string said;
  char text[512];
  for (ssize_t n; (n = read(reader.get(), text, sizeof(text))) > 0;) said.append(text, static_cast<size_t>(n));
  return said;
}
BROOD_TARGET(AskAsOrphan);

BROOD_TARGET(SupervisorAbove);

std::string AskAsOrphanLater(const std::string& server, uint64_t open_files, const UniqueFd& begun, const UniqueFd& go) {
  char byte = 'b';
  if (write(begun.get(), &byte, 1) != 1 || read(go.get(), &byte, 1) < 0) return "pipes";
  return AskAsOrphan(server, open_files);
}
BROOD_TARGET(AskAsOrphanLater);

// How often a process got what it asked for whose ancestors, many, ended one after the other while the server looked at them.
int AskBelowDyingAncestors(const std::string& server, uint64_t open_files, int times) {
  constexpr int kDepth = 60;
  constexpr int kAsking = 10;
  auto [reader, writer] = Pipe();
  for (int i = 0; i < times; ++i) {
    auto [end, end_writer] = Pipe();
    const pid_t first = fork();
    for (int depth = 0; first == 0 && depth < kDepth; ++depth) {
      if (fork() == 0) continue;
      end_writer.reset();
      char byte;
      (void)!read(end.get(), &byte, 1);
      _exit(0);
    }
    for (int asking = 0; first == 0 && asking < kAsking; ++asking) {
      if (fork() != 0) continue;
      end_writer.reset();
      const char got = Ask(server, open_files) == "ok" ? 1 : 0;
      (void)!write(writer.get(), &got, 1);
      _exit(0);
    }
    if (first == 0) _exit(0);
    end_writer.reset();
    waitpid(first, nullptr, 0);
  }
  writer.reset();
  int got = 0;
  char one;
  while (read(reader.get(), &one, 1) == 1) got += one;
  return got;
}
BROOD_TARGET(AskBelowDyingAncestors);

uint64_t Known(const std::string& server) { return PolicyOfServer(server)->limits.open_files.value_or(0); }
BROOD_TARGET(Known);

class NestedTest : public testing::Test {
 protected:
  static ServeOptions Options() {
    ServeOptions options;
    options.policy = With(500);
    return options;
  }

  LaunchOptions Child(uint64_t open_files) const { return {.server_policy = With(open_files)}; }

  ServerProcess server_{Options()};
  Context context_{StartMethod::kForkServer, {.server = server_.path()}};
};

TEST_F(NestedTest, AChildsCeilingIsItsOwnPolicyAndNotTheServers) {
  EXPECT_EQ(Ask(server_.path(), 400), "ok");
  EXPECT_EQ(context_.Call(Child(300), Ask, server_.path(), 300).value_or(""), "ok");
  EXPECT_EQ(context_.Call(Child(300), Ask, server_.path(), 100).value_or(""), "ok");
  const std::string more = context_.Call(Child(300), Ask, server_.path(), 301).value_or("");
  EXPECT_TRUE(absl::StrContains(more, "policy: limits.open_files: 301, which is more than the server allows")) << more;
}

TEST_F(NestedTest, AChildIsToldItsOwnPolicyAsTheServers) {
  EXPECT_EQ(PolicyOfServer(server_.path())->limits.open_files, 500u);
  EXPECT_EQ(context_.Call(Child(300), Known, server_.path()).value_or(0), 300u);
  EXPECT_EQ(context_.Call(Child(300), Ask, server_.path(), 0).value_or(""), "ok");
}

TEST_F(NestedTest, AnOrphanOfAChildGetsNoMoreThanThatNorDoesItGetTheServersPolicy) {
  const std::string more = context_.Call(Child(300), AskAsOrphan, server_.path(), 301).value_or("");
  EXPECT_TRUE(absl::StrContains(more, "which is more than the server allows") || absl::StrContains(more, "from below a child of this server")) << more;
}

TEST_F(NestedTest, AnOrphanOfAChildThatHasOutlivedTheSupervisorGetsNoMoreEither) {
  const int supervisor = context_.Call(SupervisorAbove).value();
  ASSERT_GT(supervisor, 0);
  const UniqueFd its(static_cast<int>(syscall(SYS_pidfd_open, supervisor, 0)));
  auto [begun, begin] = Pipe();
  auto [going, go] = Pipe();
  LaunchOptions options = Child(300);
  options.stdout_spec = Stdio::Capture();  // For which it has a guardian of its own.
  absl::StatusOr<Process> child = context_.Start(options, AskAsOrphanLater, server_.path(), 301, begin, going);
  ASSERT_TRUE(child.ok()) << child.status();
  char byte;
  ASSERT_EQ(read(begun.get(), &byte, 1), 1);
  ASSERT_EQ(kill(supervisor, SIGKILL), 0);
  pollfd ended = {its.get(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, kWaitMs), 1);
  go.reset();
  const absl::StatusOr<std::string> said = child->Result<std::string>();
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_TRUE(absl::StrContains(*said, "which is more than the server allows") || absl::StrContains(*said, "from below a child of this server")) << *said;
}

TEST_F(NestedTest, AnOrphanWhoseAncestorsEndWhileTheyAreLookedAtGetsNoMoreEither) {
  EXPECT_EQ(context_.Call(Child(300), AskBelowDyingAncestors, server_.path(), 301, 40).value_or(-1), 0);
}

// Of each request it is asked whose child the client is, which reads what the children that are being born say of it.
TEST_F(NestedTest, AChildsStartIsToldThoughOthersAskMeanwhile) {
  std::vector<RawClient> others;
  for (int i = 0; i < 60; ++i) others.emplace_back(server_.path());
  ASSERT_TRUE(Serves(server_.path()));  // They are accepted.
  for (int round = 0; round < 10; ++round) {
    const RawClient client(server_.path());
    ASSERT_EQ(client.Ask(internal::ServeTag::Kind::kAskPolicy), absl::OkStatus());
    ASSERT_EQ(client.Next().kind, internal::ServeTag::Kind::kPolicy);
    GoodLaunch good("sleep 1000");
    // All of that is there when the server looks, the launch first.
    ASSERT_EQ(kill(server_.pid(), SIGSTOP), 0);
    EXPECT_EQ(client.Launch(good.launch), absl::OkStatus());
    for (const RawClient& other : others) EXPECT_EQ(other.Ask(internal::ServeTag::Kind::kAskPolicy), absl::OkStatus());
    ASSERT_EQ(kill(server_.pid(), SIGCONT), 0);
    for (const RawClient& other : others) ASSERT_EQ(other.Next().kind, internal::ServeTag::Kind::kPolicy);
    bool started = false;
    for (pollfd said = {good.control(), POLLIN, 0}; !started && poll(&said, 1, kWaitMs) == 1;) {
      GuardianReport note;
      ASSERT_GT(recv(good.control(), &note, sizeof(note), 0), 0);
      started = note.started != 0;
    }
    ASSERT_TRUE(started) << "in round " << round;
  }
}

}  // namespace
}  // namespace brood
