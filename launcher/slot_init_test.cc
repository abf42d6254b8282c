// What becomes of a child in a sandbox that is kept when the first process of that is killed, and the sandbox with it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "launcher/server.h"
#include "launcher/server_list.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

// Ends when nobody holds the other end of `go`, after it has written a byte.
int WaitForEnd(const UniqueFd& begin, const UniqueFd& go) {
  char byte = 'b';
  if (write(begin.get(), &byte, 1) != 1) return 100;
  while (read(go.get(), &byte, 1) < 0 && errno == EINTR) {
  }
  return 7;
}
BROOD_TARGET(WaitForEnd);

void KillMyself() { kill(getpid(), SIGKILL); }
BROOD_TARGET(KillMyself);

ExitCode Answer() { return {42}; }
BROOD_TARGET(Answer);

void WaitForEver() {
  while (true) pause();
}
BROOD_TARGET(WaitForEver);

// The inits of all sandboxes that the servers of this process keep: children of their supervisors.
std::vector<pid_t> Inits() {
  std::vector<pid_t> inits;
  for (const ServerState& server : ListServers()) {
    if (!server.running) continue;
    std::ifstream children(absl::StrCat("/proc/", server.supervisor, "/task/", server.supervisor, "/children"));
    for (pid_t pid; children >> pid;) {
      std::string name;
      std::getline(std::ifstream(absl::StrCat("/proc/", pid, "/comm")), name);
      if (name == "brood-init") inits.push_back(pid);
    }
  }
  return inits;
}

// Until they have ended. Gives how many there were.
size_t KillInits() {
  std::vector<UniqueFd> killed;
  for (const pid_t init : Inits()) {
    UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, init, 0)));
    if (!pidfd.valid() || kill(init, SIGKILL) != 0) continue;
    killed.push_back(std::move(pidfd));
  }
  for (const UniqueFd& init : killed) {
    pollfd ended = {init.get(), POLLIN, 0};
    EXPECT_EQ(poll(&ended, 1, 20'000), 1);
  }
  return killed.size();
}

std::pair<UniqueFd, UniqueFd> Pipe() {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

class SlotInitTest : public testing::TestWithParam<Isolation> {
 protected:
  LaunchOptions Options(const char* policy = "default") const {
    LaunchOptions options;
    options.policy = CompilePolicy(BuiltinPolicy(policy).value()).value();
    options.isolation = GetParam();
    return options;
  }

  static Outcome EndOf(absl::StatusOr<Process> process) {
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return Outcome();
    const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.value_or(Outcome());
  }

  static std::string TreeOf(const Outcome& outcome) {
    const auto found = outcome.enforced.find(Layer::kTree);
    return found != outcome.enforced.end() ? found->second : "";
  }

  const Context context_{StartMethod::kForkServer};
};

TEST_P(SlotInitTest, AFunctionIsLostWithIt) {
  for (const char* policy : {"default", "strict"}) {
    auto [begun, begin] = Pipe();
    auto [going, go] = Pipe();
    absl::StatusOr<Process> child = context_.Start(Options(policy), WaitForEnd, begin, going);
    ASSERT_TRUE(child.ok()) << child.status();
    char byte;
    ASSERT_EQ(read(begun.get(), &byte, 1), 1);
    ASSERT_GT(KillInits(), 0u);
    const Outcome outcome = EndOf(std::move(child));
    EXPECT_EQ(outcome.StatusWord(), "lost") << outcome.ToString();
    EXPECT_EQ(TreeOf(outcome).find("failed"), std::string::npos) << TreeOf(outcome);
    EXPECT_EQ(EndOf(context_.Start(Options(policy), Answer)).exit_code(), 42);
  }
}

TEST_P(SlotInitTest, AProgramIsLostWithIt) {
  auto [begun, begin] = Pipe();
  LaunchOptions options = Options();
  options.argv = {"sh", "-c", "sleep 1000 & echo; wait"};
  options.stdout_spec = Stdio::Fd(begin.get());
  absl::StatusOr<Process> child = context_.Launch(options);
  begin.reset();
  char byte;
  ASSERT_EQ(read(begun.get(), &byte, 1), 1);
  ASSERT_GT(KillInits(), 0u);
  const Outcome outcome = EndOf(std::move(child));
  EXPECT_EQ(outcome.StatusWord(), "lost") << outcome.ToString();
  EXPECT_EQ(read(begun.get(), &byte, 1), 0);  // What it had left running has ended.
  options.argv = {"sh", "-c", "exit 9"};
  options.stdout_spec = Stdio::Null();
  EXPECT_EQ(EndOf(context_.Launch(options)).exit_code(), 9);
}

TEST_P(SlotInitTest, ACallIsLostWithIt) {
  Server server = Server::Start({}, CompilePolicy(BuiltinPolicy("strict").value()).value(), GetParam()).value();
  for (int i = 0; i < 3; ++i) {
    // One that was killed while it was set up is an error of the call's.
    absl::StatusOr<uint64_t> call = absl::UnknownError("");
    while (!call.ok()) call = server.Send("WaitForEver");
    KillInits();  // It may have begun or not, or have been sent where one had been killed before.
    const auto ended = server.Next();
    ASSERT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->first, *call);
    EXPECT_EQ(ended->second.StatusWord(), "lost") << ended->second.ToString();
  }
  // Of those that were made ahead, one may have been killed that is used now.
  absl::StatusOr<Outcome> answer = absl::UnknownError("");
  while (!answer.ok() || answer->StatusWord() == "lost") answer = server.Call("Answer");
  EXPECT_EQ(answer->exit_code(), 42);
}

TEST_P(SlotInitTest, AChildThatKillsItselfEndsByThatSignal) {
  Server server = Server::Start({}, CompilePolicy(BuiltinPolicy("strict").value()).value(), GetParam()).value();
  LaunchOptions options = Options();
  options.argv = {"sh", "-c", "kill -KILL $$"};
  for (int i = 0; i < 5; ++i) {
    for (const Outcome& outcome : {EndOf(context_.Start(Options(), KillMyself)), EndOf(context_.Launch(options)), server.Call("KillMyself").value()}) {
      EXPECT_EQ(outcome.StatusWord(), "signaled") << outcome.ToString();
      EXPECT_EQ(outcome.exit_code(), -SIGKILL);
    }
  }
}

TEST_P(SlotInitTest, WhoIsKilledByItsOwnerEndsByThatSignal) {
  auto [begun, begin] = Pipe();
  auto [going, go] = Pipe();
  absl::StatusOr<Process> child = context_.Start(Options(), WaitForEnd, begin, going);
  ASSERT_TRUE(child.ok()) << child.status();
  char byte;
  ASSERT_EQ(read(begun.get(), &byte, 1), 1);
  ASSERT_EQ(child->Kill(), absl::OkStatus());
  EXPECT_EQ(EndOf(std::move(child)).exit_code(), -SIGKILL);
}

// Nobody has done it anything who comes next.
TEST_P(SlotInitTest, TheNextChildIsBornElsewhereWhenItWasKilledWhileNobodyWasInIt) {
  Server server = Server::Start({}, CompilePolicy(BuiltinPolicy("strict").value()).value(), GetParam()).value();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(EndOf(context_.Start(Options(), Answer)).exit_code(), 42);
    // Whoever speaks with a keeper by himself may be quicker than its end.
    const Outcome answer = server.Call("Answer").value();
    ASSERT_TRUE(answer.exit_code() == 42 || (i > 0 && answer.StatusWord() == "lost")) << answer.ToString();
    KillInits();
  }
  EXPECT_EQ(EndOf(context_.Start(Options(), Answer)).exit_code(), 42);
}

TEST_P(SlotInitTest, WhatIsLostIsStartedAgainIfThatWasAsked) {
  ContextOptions options;
  options.retry_lost = 1;
  const Context context(StartMethod::kForkServer, options);
  auto [begun, begin] = Pipe();
  auto [going, go] = Pipe();
  std::thread killer([&begun = begun, &go = go] {
    char byte;
    EXPECT_EQ(read(begun.get(), &byte, 1), 1);
    EXPECT_GT(KillInits(), 0u);
    EXPECT_EQ(read(begun.get(), &byte, 1), 1);
    go.reset();
  });
  const absl::StatusOr<int> end = context.Call(Options(), WaitForEnd, begin, going);
  killer.join();
  EXPECT_EQ(end, absl::StatusOr<int>(7)) << end.status();
}

INSTANTIATE_TEST_SUITE_P(Isolations, SlotInitTest, testing::Values(Isolation::kKept, Isolation::kFresh),
                         [](const auto& one) { return one.param == Isolation::kKept ? "Kept" : "Fresh"; });

}  // namespace
}  // namespace brood
