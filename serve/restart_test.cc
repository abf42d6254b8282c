// What becomes of children, and of requests, when a process of the forkserver below a server is killed.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "launcher/server_policy.h"
#include "sandbox/policy.h"
#include "serve/serve_testing.h"
#include "serve/status.h"

namespace brood {
namespace {

BROOD_TARGET(ServerAbove);
BROOD_TARGET(SupervisorAbove);

int Add(int a, int b) { return a + b; }
BROOD_TARGET(Add);

// Ends with `code` when somebody has written to the pipe, after it has written so many bytes itself.
ExitCode WaitThenGive(int code, const UniqueFd& begin, const UniqueFd& go) {
  char byte = 'b';
  if (write(begin.get(), &byte, 1) != 1 || read(go.get(), &byte, 1) < 0) return {100};
  return {code};
}
BROOD_TARGET(WaitThenGive);

void KillMyself(const UniqueFd& begin, const UniqueFd& go) {
  char byte = 'b';
  if (write(begin.get(), &byte, 1) == 1 && read(go.get(), &byte, 1) >= 0) kill(getpid(), SIGTERM);
  while (true) pause();
}
BROOD_TARGET(KillMyself);

std::string Folder() {
  const char* const folder = getenv("TEST_TMPDIR");
  return folder != nullptr ? folder : "/tmp";
}

// Of the second time on waits until there is a file "go", or fails if there is one "fail".
void LoadSlowlyTheSecondTime() {
  const std::string once = Folder() + "/once";
  if (access(once.c_str(), F_OK) != 0) {
    close(open(once.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    return;
  }
  while (access((Folder() + "/go").c_str(), F_OK) != 0) {
    if (access((Folder() + "/fail").c_str(), F_OK) == 0) _exit(7);
    usleep(1000);
  }
}
BROOD_TARGET(LoadSlowlyTheSecondTime);

void Touch(const char* name) { close(open(absl::StrCat(Folder(), "/", name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); }

class RestartTest : public testing::Test {
 protected:
  RestartTest() { Clean(); }
  ~RestartTest() override { Clean(); }
  static void Clean() {
    for (const char* name : {"once", "go", "fail"}) unlink(absl::StrCat(Folder(), "/", name).c_str());
  }

  static ServeOptions Options(const char* policy, std::vector<std::string> preload = {}) {
    ServeOptions options;
    options.policy = BuiltinPolicy(policy).value();
    options.preload = std::move(preload);
    return options;
  }

  static Context On(const ServerProcess& server, uint32_t retry_lost = 0) {
    ContextOptions options;
    options.server = server.path();
    options.retry_lost = retry_lost;
    return Context(StartMethod::kForkServer, options);
  }
};

TEST_F(RestartTest, ChildrenThatLiveWhenTheServerIsKilledEndWithTheirOwnOutcome) {
  ServerProcess server(Options("none"));
  const Context context = On(server);
  for (const char* policy : {"none", "default", "strict"}) {
    const int forker = context.Call(ServerAbove).value();
    ASSERT_GT(forker, 0);
    auto [begun, begin] = Pipe();
    auto [going, go] = Pipe();
    auto [out, out_writer] = Pipe();
    LaunchOptions options;
    options.server_policy = BuiltinPolicy(policy).value();
    Process code = context.Start(options, WaitThenGive, 7, begin, going).value();
    Process signal = context.Start(options, KillMyself, begin, going).value();
    options.server = server.path();
    options.argv = {"sh", "-c", "echo begun; read go; echo done; exit 9"};
    options.stdin_spec = Stdio::Fd(going.get());
    options.stdout_spec = Stdio::Fd(out_writer.get());
    Process program = Process::Launch(options).value();
    out_writer.reset();
    char text[16] = {};
    for (int i = 0; i < 2; ++i) ASSERT_EQ(read(begun.get(), text, 1), 1);
    ASSERT_EQ(read(out.get(), text, sizeof(text)), 6);
    ASSERT_EQ(kill(forker, SIGKILL), 0);
    EXPECT_EQ(context.Call(Add, 1, 2), absl::StatusOr<int>(3));
    EXPECT_NE(context.Call(ServerAbove).value(), forker);
    ASSERT_EQ(write(go.get(), "\n\n\n", 3), 3);
    go.reset();
    EXPECT_EQ(code.Join().value().exit_code(), 7) << policy;
    EXPECT_EQ(signal.Join().value().exit_code(), -SIGTERM) << policy;
    EXPECT_EQ(program.Join().value().exit_code(), 9) << policy;
    EXPECT_EQ(read(out.get(), text, sizeof(text)), 5);
  }
}

TEST_F(RestartTest, EveryRequestThatIsUnderWayWhenAServerIsKilledIsServedLostOrRefusedAsThat) {
  ServerProcess server(Options("none"));
  std::atomic<bool> over = false;
  std::atomic<int> served = 0, lost = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; !over; ++n) {
        const absl::StatusOr<int> sum = On(server, i % 2 == 0 ? 0 : 100).Call(Add, n, i);
        if (sum.ok()) {
          EXPECT_EQ(*sum, n + i);
          ++served;
          continue;
        }
        // Of two that ask for that again none may be left.
        EXPECT_TRUE(i % 2 == 0 && (absl::IsAborted(sum.status()) || absl::IsUnavailable(sum.status()))) << i << ": " << sum.status();
        ++lost;
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    const absl::StatusOr<int> victim = i % 2 == 0 ? On(server, 100).Call(ServerAbove) : On(server, 100).Call(SupervisorAbove);
    ASSERT_TRUE(victim.ok()) << victim.status();
    if (*victim > 0) kill(*victim, SIGKILL);
    const int before = served;
    while (served < before + 8) std::this_thread::yield();
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(RestartTest, OnlyWhoNeedsThePreloadWaitsForItWhenTheSupervisorWasKilled) {
  ServerProcess server(Options("none", {"LoadSlowlyTheSecondTime"}));
  const Context context = On(server);
  const int supervisor = context.Call(SupervisorAbove).value();
  ASSERT_GT(supervisor, 0);
  const UniqueFd its(static_cast<int>(syscall(SYS_pidfd_open, supervisor, 0)));
  ASSERT_EQ(kill(supervisor, SIGKILL), 0);
  pollfd ended = {its.get(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, kWaitMs), 1);
  absl::StatusOr<int> sum = absl::UnknownError("");
  std::thread waiting([&] { sum = context.Call(Add, 1, 2); });
  for (int i = 0; i < 10; ++i) {
    for (const char* policy : {"none", "default"}) {
      absl::StatusOr<Process> program = Process::Launch({.argv = {"true"}, .server = server.path(), .server_policy = BuiltinPolicy(policy).value()});
      EXPECT_TRUE(program.ok() && program->Join().value().ok()) << policy;
    }
  }
  EXPECT_TRUE(PolicyOfServer(server.path()).ok());
  EXPECT_TRUE(StatusOfServer(server.path()).ok());
  Touch("go");
  waiting.join();
  EXPECT_EQ(sum, absl::StatusOr<int>(3));
}

TEST_F(RestartTest, APreloadThatFailsTheSecondTimeIsToldToWhoWaitedAndTriedAgainForTheNext) {
  ServerProcess server(Options("none", {"LoadSlowlyTheSecondTime"}));
  const Context context = On(server);
  Touch("fail");
  const int supervisor = context.Call(SupervisorAbove).value();
  ASSERT_GT(supervisor, 0);
  ASSERT_EQ(kill(supervisor, SIGKILL), 0);
  absl::Status failed;
  while (failed.ok() || absl::IsUnavailable(failed) || absl::IsAborted(failed)) failed = context.Call(Add, 1, 2).status();
  EXPECT_TRUE(absl::StrContains(failed.message(), "LoadSlowlyTheSecondTime")) << failed;
  EXPECT_TRUE(Serves(server.path()));
  unlink((Folder() + "/fail").c_str());
  Touch("go");
  EXPECT_EQ(context.Call(Add, 1, 2), absl::StatusOr<int>(3));
}

}  // namespace
}  // namespace brood
