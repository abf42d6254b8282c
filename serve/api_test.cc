// Children of a `brood serve` through the C++ interface: ContextOptions::server and LaunchOptions::server.
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "serve/serve_testing.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

int Add(int a, int b) { return a + b; }
BROOD_TARGET(Add);

void Throw(const std::string& what) { throw std::runtime_error(what); }
BROOD_TARGET(Throw);

ExitCode GiveCode(int code) { return {code}; }
BROOD_TARGET(GiveCode);

void Sleep() {
  while (true) pause();
}
BROOD_TARGET(Sleep);

bool g_loaded = false;
void Load() { g_loaded = true; }
BROOD_TARGET(Load);

bool IsLoaded() { return g_loaded; }
BROOD_TARGET(IsLoaded);

// Those from 6 on hold their own numbers.
std::string CheckNumbers(int count) {
  for (int fd = 6; fd < 6 + count; ++fd) {
    char text[16] = {};
    if (pread(fd, text, sizeof(text) - 1, 0) <= 0 || absl::StrCat(fd) != text) return absl::StrCat(fd, ": ", text);
  }
  return fcntl(6 + count, F_GETFD) < 0 ? "" : "one more";
}
BROOD_TARGET(CheckNumbers);

BROOD_TARGET(ServerAbove);
BROOD_TARGET(SupervisorAbove);

ServeOptions Options(const char* policy = "none") {
  ServeOptions options;
  options.policy = BuiltinPolicy(policy).value();
  options.preload = {"Load"};
  return options;
}

Context On(const ServerProcess& server) { return Context(StartMethod::kForkServer, {.server = server.path()}); }

TEST(ServeApiTest, FunctionsRunOnTheServerWithWhatItHasPreloaded) {
  for (const char* policy : {"none", "default", "strict"}) {
    ServerProcess server(Options(policy));
    const Context context = On(server);
    EXPECT_EQ(context.Call(Add, 2, 3).value_or(-1), 5) << policy;
    EXPECT_TRUE(context.Call(IsLoaded).value_or(false)) << policy;
    EXPECT_FALSE(g_loaded);
    const absl::Status thrown = context.Call(Throw, "broken");
    EXPECT_TRUE(absl::StrContains(thrown.message(), "std::runtime_error: broken")) << thrown;
    const absl::StatusOr<CallResult> code = context.CallByName({}, "GiveCode", {Pack(7)});
    ASSERT_TRUE(code.ok()) << code.status();
    EXPECT_EQ(code->outcome.exit_code(), 7);
  }
}

int g_words = 0;
void LoadWords() { g_words = g_loaded ? 1000 : -1; }
BROOD_TARGET(LoadWords);
void LoadNames() { g_words += 7; }
BROOD_TARGET(LoadNames);
int CountWords() { return g_words; }
BROOD_TARGET(CountWords);

TEST(ServeApiTest, ATemplateIsAddressedByItsPathAndListed) {
  for (const char* policy : {"none", "strict"}) {
    ServeOptions options = Options(policy);
    options.templates = {{.path = "words", .preload = {"LoadWords"}}, {.path = "words/names", .preload = {"LoadNames"}}};
    ServerProcess server(options);
    const auto words = [&](const char* path) {
      return Context(StartMethod::kForkServer, {.server = server.path(), .server_template = path}).Call(CountWords);
    };
    EXPECT_EQ(words("").value(), 0) << policy;
    EXPECT_EQ(words("words").value(), 1000) << policy;
    EXPECT_EQ(words("words/names").value(), 1007) << policy;
    EXPECT_EQ(words("words").value(), 1000) << policy;
    const absl::Status none = words("names").status();
    EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
    EXPECT_TRUE(absl::StrContains(none.message(), "template \"names\": this server has words, words/names")) << none;
    const absl::StatusOr<ServeStatus> status = StatusOfServer(server.path());
    ASSERT_TRUE(status.ok()) << status.status();
    ASSERT_EQ(status->templates.size(), 3u);
    ASSERT_EQ(status->templates[0].preload.size(), 1u);
    EXPECT_EQ(status->templates[0].preload[0].name, "Load");
    EXPECT_EQ(status->templates[1].path, "words");
    ASSERT_EQ(status->templates[2].preload.size(), 1u);
    EXPECT_EQ(status->templates[2].preload[0].name, "LoadNames");
    for (const ServeTemplateStatus& one : status->templates) EXPECT_TRUE(one.running) << one.path;
    EXPECT_EQ(status->templates[1].children, 2u);
    EXPECT_EQ(status->templates[2].children, 1u);
    EXPECT_EQ(status->servers, 3u);
  }
}

TEST(ServeApiTest, ATemplateWithoutWhatItIsATemplateOfIsRefused) {
  ServeOptions options = Options();
  options.socket = "/nonexistent/socket";
  options.templates = {{.path = "words/names", .preload = {"LoadNames"}}};
  const absl::Status status = ServeServer::Create(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "template \"words/names\": there is no template \"words\" before it");
  options.templates[0].path = "two\nlines";
  EXPECT_EQ(ServeServer::Create(options).status().message(),
            "template \"two\\nlines\": expected NAME or PARENT/NAME, of visible ASCII");
}

TEST(ServeApiTest, AProcessOfAServersIsStoppedJoinedAndAskedAsAnyOther) {
  ServerProcess server(Options());
  absl::StatusOr<Process> process = On(server).Start(Sleep);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_TRUE(process->IsAlive());
  EXPECT_GT(process->pid(), 0);
  EXPECT_EQ(kill(process->pid(), 0), 0);
  EXPECT_TRUE(absl::IsDeadlineExceeded(process->Join(absl::Milliseconds(1)).status()));
  pollfd polled = {process->sentinel(), POLLIN, 0};
  EXPECT_EQ(poll(&polled, 1, 0), 0);
  ASSERT_EQ(process->Terminate(), absl::OkStatus());
  EXPECT_EQ(process->Join()->exit_code(), -SIGTERM);
  EXPECT_FALSE(process->IsAlive());
  absl::StatusOr<Process> other = On(server).Start(Sleep);
  ASSERT_TRUE(other.ok()) << other.status();
  ASSERT_EQ(other->Kill(), absl::OkStatus());
  EXPECT_EQ(other->Join()->exit_code(), -SIGKILL);
}

TEST(ServeApiTest, DestroyingAProcessOfAServersEndsItsTree) {
  ServerProcess server(Options());
  auto [reader, writer] = Pipe();
  {
    absl::StatusOr<Process> process = Process::Start({.argv = {"sh", "-c", "sleep 1000 & echo x; wait"},
                                                      .stdout_spec = Stdio::Fd(writer.get()),
                                                      .server = server.path()});
    ASSERT_TRUE(process.ok()) << process.status();
    writer.reset();
    char text[2];
    ASSERT_EQ(read(reader.get(), text, 2), 2);
  }
  EXPECT_TRUE(HasHungUp(reader.get()));
}

TEST(ServeApiTest, WhatAProgramPrintsIsCapturedWhereItIsAsked) {
  ServerProcess server(Options());
  absl::StatusOr<Process> process = Process::Start({.argv = {"sh", "-c", "echo abcdef; echo e >&2"},
                                                    .stdout_spec = Stdio::Capture(4),
                                                    .stderr_spec = Stdio::Capture(),
                                                    .server = server.path()});
  ASSERT_TRUE(process.ok()) << process.status();
  const absl::StatusOr<Outcome> outcome = process->Join();
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->stdout_result.bytes, 7u);
  EXPECT_TRUE(outcome->stdout_result.truncated);
  EXPECT_EQ(TextOf(process->TakeStdout().get()), "abcd");
  EXPECT_EQ(TextOf(process->TakeStderr().get()), "e\n");
  absl::StatusOr<Process> merged = Process::Start({.argv = {"sh", "-c", "echo a; echo b >&2"},
                                                   .stdout_spec = Stdio::Capture(),
                                                   .stderr_spec = Stdio::Merge(),
                                                   .server = server.path()});
  ASSERT_TRUE(merged.ok()) << merged.status();
  ASSERT_TRUE(merged->Join().ok());
  EXPECT_EQ(TextOf(merged->TakeStdout().get()), "a\nb\n");
}

TEST(ServeApiTest, APolicyOfTheCallersIsARequest) {
  ServerProcess server(Options("default"));
  Policy lower = BuiltinPolicy("default").value();
  lower.limits.wall_time = absl::Milliseconds(100);
  absl::StatusOr<Process> process =
      Process::Start({.argv = {"sleep", "1000"}, .server = server.path(), .server_policy = lower});
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_TRUE(std::holds_alternative<TimedOut>(process->Join()->ending));
  process = Process::Start({.argv = {"id"}, .server = server.path(), .server_policy = BuiltinPolicy("none").value()});
  EXPECT_TRUE(absl::IsPermissionDenied(process.status())) << process.status();
}

TEST(ServeApiTest, AStartThatFailsIsTheSameErrorAsWithoutAServer) {
  ServerProcess server(Options());
  for (const std::string& path : {std::string(), server.path()}) {
    EXPECT_TRUE(absl::IsNotFound(Process::Start({.argv = {"/no/such"}, .server = path}).status())) << path;
    EXPECT_TRUE(absl::IsInvalidArgument(Process::Start({.argv = {}, .server = path}).status())) << path;
    EXPECT_TRUE(absl::IsPermissionDenied(Process::Start({.argv = {"/etc/passwd"}, .server = path}).status())) << path;
  }
  EXPECT_TRUE(absl::IsNotFound(Process::Start({.argv = {"id"}, .server = "/no/such/socket"}).status()));
}

TEST(ServeApiTest, DescriptorsBeyondWhatOneMessageHoldsArriveInOrder) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < 4096) GTEST_SKIP() << "needs 4,096 descriptors, the hard limit is " << limit.rlim_max;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  ServerProcess server(Options());
  for (const int count : {1, 240, 253, 254, 600, 990}) {
    std::vector<UniqueFd> files;
    LaunchOptions options;
    for (int i = 0; i < count; ++i) {
      files.emplace_back(memfd_create("numbered", MFD_CLOEXEC));
      ASSERT_TRUE(files.back().valid());
      const std::string text = absl::StrCat(6 + i);
      ASSERT_EQ(write(files.back().get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
      options.inherited.push_back({.fd = files.back().get(), .child_fd = 6 + i});
    }
    const absl::StatusOr<std::string> said = On(server).Call(options, CheckNumbers, count);
    EXPECT_EQ(said.value_or(said.status().ToString()), "") << count;
  }
}

TEST(ServeApiTest, AKilledForkserverAndAKilledSupervisorAreStartedAgain) {
  ServerProcess server(Options());
  const Context context = On(server);
  for (const bool whole : {false, true}) {
    const absl::StatusOr<int> pid = whole ? context.Call(SupervisorAbove) : context.Call(ServerAbove);
    ASSERT_TRUE(pid.ok() && *pid > 0) << pid.status();
    ASSERT_EQ(kill(*pid, SIGKILL), 0);
    // What is under way at that moment may be lost, and says so.
    absl::StatusOr<bool> loaded = absl::UnavailableError("");
    for (int i = 0; i < 100 && absl::IsUnavailable(loaded.status()); ++i) loaded = context.Call(IsLoaded);
    EXPECT_TRUE(loaded.value_or(false)) << loaded.status();
  }
}

TEST(ServeApiTest, AKilledServerIsAnOutcomeThatIsLostAndTheNextOneServes) {
  auto server = std::make_unique<ServerProcess>(Options());
  absl::StatusOr<Process> process = On(*server).Start(Sleep);
  ASSERT_TRUE(process.ok()) << process.status();
  const pid_t pid = process->pid();
  const UniqueFd child(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  ASSERT_EQ(kill(server->pid(), SIGKILL), 0);
  const absl::StatusOr<Outcome> outcome = process->Join();
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(std::holds_alternative<Lost>(outcome->ending)) << outcome->ToString();
  pollfd polled = {child.get(), POLLIN, 0};
  EXPECT_EQ(poll(&polled, 1, kWaitMs), 1);  // It has ended.
  EXPECT_EQ(server->Stop(), SIGKILL);
  EXPECT_FALSE(On(*server).Call(Add, 1, 1).ok());
  unlink(server->path().c_str());
}

TEST(ServeApiTest, ManyThreadsShareAServer) {
  ServerProcess server(Options());
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int number = 0; number < 8; ++number) {
    threads.emplace_back([&, number] {
      const Context context = On(server);
      for (int i = 0; i < 25; ++i) {
        if (context.Call(Add, number, i).value_or(-1) == number + i) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 200);
}

TEST(ServeApiTest, NothingIsLeftOpenByManyChildren) {
  ServerProcess server(Options());
  const Context context = On(server);
  ASSERT_TRUE(context.Call(Add, 1, 1).ok());
  ASSERT_TRUE(server.AwaitDescriptors(100));
  const size_t before = server.OpenDescriptors(), own = OpenDescriptors();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(context.Call(Add, 1, 1).ok());
    ASSERT_TRUE(absl::IsNotFound(Process::Start({.argv = {"/no/such"}, .server = server.path()}).status()));
  }
  EXPECT_EQ(OpenDescriptors(), own);
  EXPECT_TRUE(server.AwaitDescriptors(before)) << server.OpenDescriptors() << " instead of " << before;
}

}  // namespace
}  // namespace brood
