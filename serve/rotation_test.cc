// Forkservers of a server that are replaced by others, which are laid out anew, while children of the old ones live.
#include <fcntl.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "sandbox/policy.h"
#include "serve/serve_testing.h"
#include "serve/status.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

BROOD_TARGET(ServerAbove);
BROOD_TARGET(SupervisorAbove);

int g_loads = 0;
void LoadOnce() { ++g_loads; }
BROOD_TARGET(LoadOnce);

int Loads() { return g_loads; }
BROOD_TARGET(Loads);

uint64_t Address() { return reinterpret_cast<uint64_t>(&g_loads); }
BROOD_TARGET(Address);

int Add(int a, int b) { return a + b; }
BROOD_TARGET(Add);

// Ends with `code`, or by SIGTERM if that is negative, when nobody holds the other end of `go`, after it has written a byte itself.
ExitCode WaitThenGive(int code, const UniqueFd& begin, const UniqueFd& go) {
  char byte = 'b';
  if (write(begin.get(), &byte, 1) != 1 || read(go.get(), &byte, 1) < 0) return {100};
  if (code < 0) kill(getpid(), SIGTERM);
  return {code};
}
BROOD_TARGET(WaitThenGive);

// All of this machine is visible, the socket too, also where the child has namespaces, and is born in a sandbox that is kept.
Policy With(uint64_t open_files, bool namespaces = false) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.open_files = open_files;
  if (namespaces) policy.namespaces = {Layer::kPid, Layer::kIpc, Layer::kUts};
  return policy;
}

// What becomes of a request for a child that may have so many open files: "ok", or why not.
std::string Ask(const std::string& server, uint64_t open_files, bool namespaces) {
  const absl::StatusOr<Process> process = Process::Start({.argv = {"true"}, .server = server, .server_policy = With(open_files, namespaces)});
  return process.ok() ? "ok" : std::string(process.status().message());
}

// By itself, and by a process that its parent has left to its subreaper.
std::string AskLater(const std::string& server, uint64_t open_files, bool namespaces, const UniqueFd& begin, const UniqueFd& go) {
  char byte = 'b';
  if (write(begin.get(), &byte, 1) != 1 || read(go.get(), &byte, 1) < 0) return "pipes";
  std::string said = Ask(server, open_files, namespaces) + "\n";
  auto [reader, writer] = Pipe();
  const pid_t middle = fork();
  if (middle == 0) {
    const pid_t parent = getpid();
    if (fork() != 0) _exit(0);
    while (getppid() == parent) std::this_thread::yield();
    const std::string its = Ask(server, open_files, namespaces);
    (void)!write(writer.get(), its.data(), its.size());
    _exit(0);
  }
  writer.reset();
  waitpid(middle, nullptr, 0);
  char text[512];
  for (ssize_t n; (n = read(reader.get(), text, sizeof(text))) > 0;) said.append(text, static_cast<size_t>(n));
  return said;
}
BROOD_TARGET(AskLater);

std::string Folder() {
  const char* const folder = getenv("TEST_TMPDIR");
  return folder != nullptr ? folder : "/tmp";
}
std::string FileNamed(const char* name) { return absl::StrCat(Folder(), "/", name); }
bool Exists(const char* name) { return access(FileNamed(name).c_str(), F_OK) == 0; }
void Touch(const char* name) { close(open(FileNamed(name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); }

void FailIfAsked() {
  if (Exists("fail")) _exit(7);
  while (Exists("wait")) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // It has no event for that.
}
BROOD_TARGET(FailIfAsked);

// --- the tests ---

class ServeRotationTest : public testing::Test {
 protected:
  ServeRotationTest() { Clean(); }
  ~ServeRotationTest() override { Clean(); }
  static void Clean() {
    for (const char* name : {"fail", "wait", "warned"}) unlink(FileNamed(name).c_str());
  }

  static ServeOptions Options(uint64_t children, std::vector<std::string> preload = {"LoadOnce"}) {
    ServeOptions options;
    options.policy = BuiltinPolicy("none").value();
    options.preload = std::move(preload);
    options.rotation.children = children;
    options.warn = [](std::string_view what) {
      const UniqueFd file(open(FileNamed("warned").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
      (void)!write(file.get(), what.data(), what.size());
    };
    return options;
  }

  static Context On(const ServerProcess& server, std::string template_path = "") {
    ContextOptions options;
    options.server = server.path();
    options.server_template = std::move(template_path);
    return Context(StartMethod::kForkServer, options);
  }

  // Asks until it is so; the last answer.
  static ServeStatus Await(const ServerProcess& server, const std::function<bool(const ServeStatus&)>& is_so) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kWaitMs);
    for (;;) {
      const absl::StatusOr<ServeStatus> status = StatusOfServer(server.path());
      EXPECT_TRUE(status.ok()) << status.status();
      if (!status.ok()) return ServeStatus();
      if (is_so(*status)) return *status;
      if (std::chrono::steady_clock::now() < end) continue;
      ADD_FAILURE() << "it never was: " << StatusText(*status);
      return *status;
    }
  }
  static void AwaitRotations(const ServerProcess& server, uint64_t count) {
    Await(server, [count](const ServeStatus& status) { return status.rotations >= count; });
  }
};

UniqueFd Pidfd(int pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

bool HasEnded(const UniqueFd& process, int within_ms) {
  pollfd polled = {process.get(), POLLIN, 0};
  return !process.valid() || poll(&polled, 1, within_ms) == 1;
}

TEST_F(ServeRotationTest, AfterSoManyFunctionsTheServerAndItsTemplatesHaveOtherAddresses) {
  if ((personality(0xffffffff) & ADDR_NO_RANDOMIZE) != 0) GTEST_SKIP() << "addresses are not random here";
  ServeOptions options = Options(4);
  options.templates = {{.path = "a", .preload = {"LoadOnce"}}, {.path = "a/b", .preload = {"LoadOnce"}}};
  ServerProcess server(options);
  std::vector<uint64_t> addresses;
  for (uint64_t round = 0; round < 3; ++round) {
    addresses.push_back(On(server).Call(Address).value());
    for (const char* path : {"a", "a/b"}) EXPECT_EQ(On(server, path).Call(Address).value(), addresses.back()) << path;
    EXPECT_EQ(On(server, "a/b").Call(Loads).value(), 3);  // The fourth.
    AwaitRotations(server, round + 1);
  }
  EXPECT_NE(addresses[0], addresses[1]);
  EXPECT_NE(addresses[1], addresses[2]);
  const ServeStatus status = Await(server, [](const ServeStatus& one) { return one.replaced == 0; });
  EXPECT_EQ(status.rotation_failures, 0u);
  EXPECT_EQ(status.servers, 3u);
  EXPECT_EQ(status.templates.at(0).children, 3u);  // Of all that have had its place.
  EXPECT_EQ(status.templates.at(2).children, 6u);
}

TEST_F(ServeRotationTest, AsManyTemplatesAsOneLikesStayAndAreReplaced) {
  constexpr size_t kTemplates = 20;  // A process keeps 16 forkservers by itself.
  ServeOptions options = Options(2 * kTemplates);
  for (size_t i = 0; i < kTemplates; ++i) options.templates.push_back({.path = absl::StrCat("t", i), .preload = {"LoadOnce"}});
  ServerProcess server(options);
  std::vector<int> supervisors;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < kTemplates; ++i) {
      const int supervisor = On(server, absl::StrCat("t", i)).Call(SupervisorAbove).value();
      if (round == 0) supervisors.push_back(supervisor);
      EXPECT_EQ(supervisor, supervisors.at(i)) << i;
    }
  }
  AwaitRotations(server, 1);
  EXPECT_EQ(On(server, "t0").Call(Loads).value(), 2);
  EXPECT_NE(On(server, "t0").Call(SupervisorAbove).value(), supervisors[0]);
  const ServeStatus status = StatusOfServer(server.path()).value();
  for (const ServeTemplateStatus& one : status.templates) EXPECT_TRUE(one.running) << one.path;
}

TEST_F(ServeRotationTest, AForkserverThatHasBorneAFunctionIsReplacedAfterSoMuchTime) {
  ServeOptions options = Options(0);
  options.rotation.age = absl::Milliseconds(50);
  ServerProcess server(options);
  const int first = On(server).Call(SupervisorAbove).value();
  AwaitRotations(server, 1);
  EXPECT_NE(On(server).Call(SupervisorAbove).value(), first);
  AwaitRotations(server, 2);
}

TEST_F(ServeRotationTest, ProgramsHaveAddressesOfTheirOwnAndDoNotCount) {
  ServerProcess server(Options(2));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Serves(server.path()));
  const int first = On(server).Call(SupervisorAbove).value();
  EXPECT_EQ(On(server).Call(SupervisorAbove).value(), first);
  AwaitRotations(server, 1);
}

TEST_F(ServeRotationTest, ChildrenOfTheOldOneGoOnToTheirOwnOutcomeAndItEndsWithTheLast) {
  ServerProcess server(Options(3));
  for (const char* policy : {"none", "default", "strict"}) {
    const uint64_t before = StatusOfServer(server.path())->rotations;
    const UniqueFd old = Pidfd(On(server).Call(SupervisorAbove).value());
    auto [begun, begin] = Pipe();
    auto [going, go] = Pipe();
    LaunchOptions options;
    options.server_policy = BuiltinPolicy(policy).value();
    Process code = On(server).Start(options, WaitThenGive, 7, begin, going).value();
    Process signal = On(server).Start(options, WaitThenGive, -1, begin, going).value();  // The third.
    char byte;
    for (int i = 0; i < 2; ++i) ASSERT_EQ(read(begun.get(), &byte, 1), 1);
    AwaitRotations(server, before + 1);
    EXPECT_EQ(StatusOfServer(server.path())->replaced, 1u) << policy;
    EXPECT_FALSE(HasEnded(old, 0));
    EXPECT_TRUE(code.IsAlive() && signal.IsAlive()) << policy;
    go.reset();
    going.reset();
    EXPECT_EQ(code.Join().value().exit_code(), 7) << policy;
    EXPECT_EQ(signal.Join().value().exit_code(), -SIGTERM) << policy;
    EXPECT_TRUE(HasEnded(old, kWaitMs)) << policy;
    EXPECT_EQ(StatusOfServer(server.path())->replaced, 0u) << policy;
  }
}

// The trap of having several: who is below one that is no longer in use is a child's, too.
TEST_F(ServeRotationTest, AChildOfAnOldOneAndWhatItHasLeftGetNoMoreThanItsPolicy) {
  ServeOptions server_options = Options(1);
  server_options.policy = With(500);
  server_options.templates = {{.path = "a", .preload = {"LoadOnce"}}};
  ServerProcess server(server_options);
  uint64_t rotations = 0;
  for (const char* path : {"", "a"}) {
    for (const auto& [captured, namespaces] : {std::pair(false, false), std::pair(true, false), std::pair(false, true), std::pair(true, true)}) {
      auto [begun, begin] = Pipe();
      auto [going, go] = Pipe();
      LaunchOptions options = {.server_policy = With(300, namespaces)};
      if (captured) options.stdout_spec = Stdio::Capture();  // For which it has a guardian of its own.
      absl::StatusOr<Process> child = On(server, path).Start(options, AskLater, server.path(), 301, namespaces, begin, going);
      ASSERT_TRUE(child.ok()) << child.status();
      char byte;
      ASSERT_EQ(read(begun.get(), &byte, 1), 1);
      AwaitRotations(server, ++rotations);
      EXPECT_EQ(On(server, path).Call(Add, 1, 2).value(), 3);
      AwaitRotations(server, ++rotations);
      go.reset();
      const std::string said = child->Result<std::string>().value();
      const std::vector<std::string> lines = absl::StrSplit(said, '\n');
      ASSERT_EQ(lines.size(), 2u) << said;
      for (const std::string& line : lines) {
        EXPECT_TRUE(absl::StrContains(line, "which is more than the server allows") || absl::StrContains(line, "from below a child of this server"))
            << path << (captured ? " captured" : "") << (namespaces ? " in namespaces: " : ": ") << line;
      }
    }
  }
}

TEST_F(ServeRotationTest, WhatAnOldOneKeptForChildrenToComeIsGivenUpThoughOneLives) {
  ServerProcess server(Options(2));
  auto [begun, begin] = Pipe();
  auto [going, go] = Pipe();
  Process child = On(server).Start(LaunchOptions(), WaitThenGive, 3, begin, going).value();
  char byte;
  ASSERT_EQ(read(begun.get(), &byte, 1), 1);
  // In sandboxes that are kept.
  for (const char* policy : {"default", "strict"}) {
    Process program = Process::Launch({.argv = {"true"}, .server = server.path(), .server_policy = BuiltinPolicy(policy).value()}).value();
    ASSERT_TRUE(program.Join().value().ok());
  }
  const int supervisor = On(server).Call(SupervisorAbove).value();  // The second.
  AwaitRotations(server, 1);
  const std::string children = absl::StrCat("/proc/", supervisor, "/task/", supervisor, "/children");
  // The forking process and the child's keeper.
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kWaitMs);
  std::vector<std::string> left;
  do {
    left = absl::StrSplit(Read(children), ' ', absl::SkipEmpty());
  } while (left.size() > 2 && std::chrono::steady_clock::now() < end);
  EXPECT_EQ(left.size(), 2u) << Read(children);
  EXPECT_TRUE(child.IsAlive());
  go.reset();
  EXPECT_EQ(child.Join().value().exit_code(), 3);
}

TEST_F(ServeRotationTest, APreloadThatFailsLeavesTheOldOneInUseAndIsToldAndTriedAgain) {
  ServerProcess server(Options(1, {"FailIfAsked"}));
  Touch("fail");
  const int first = On(server).Call(SupervisorAbove).value();
  ServeStatus status = Await(server, [](const ServeStatus& one) { return one.rotation_failures == 1; });
  EXPECT_EQ(status.rotations, 0u);
  EXPECT_TRUE(absl::StrContains(status.rotation_failure, "preload FailIfAsked: run: ")) << status.rotation_failure;
  EXPECT_EQ(Read(FileNamed("warned")), absl::StrCat("the forkserver could not be replaced, and goes on: ", status.rotation_failure));
  EXPECT_EQ(On(server).Call(SupervisorAbove).value(), first);
  Await(server, [](const ServeStatus& one) { return one.rotation_failures == 2; });
  unlink(FileNamed("fail").c_str());
  EXPECT_EQ(On(server).Call(SupervisorAbove).value(), first);
  AwaitRotations(server, 1);
  EXPECT_NE(On(server).Call(SupervisorAbove).value(), first);
  status = Await(server, [](const ServeStatus& one) { return one.rotations == 2; });
  EXPECT_EQ(status.rotation_failure, "");
  EXPECT_EQ(status.rotation_failures, 2u);
}

TEST_F(ServeRotationTest, NobodyWaitsForThePreloadOfTheNextOne) {
  ServerProcess server(Options(1, {"FailIfAsked"}));
  Touch("wait");
  const int first = On(server).Call(SupervisorAbove).value();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(On(server).Call(SupervisorAbove).value(), first);
    EXPECT_TRUE(Serves(server.path()));
  }
  EXPECT_EQ(StatusOfServer(server.path())->rotations, 0u);
  unlink(FileNamed("wait").c_str());
  AwaitRotations(server, 1);
}

TEST_F(ServeRotationTest, AnOldSupervisorThatIsKilledLosesWhatItHasAndNothingElse) {
  ServerProcess server(Options(2));
  const int old = On(server).Call(SupervisorAbove).value();
  auto [begun, begin] = Pipe();
  auto [going, go] = Pipe();
  Process child = On(server).Start(LaunchOptions(), WaitThenGive, 3, begin, going).value();
  char byte;
  ASSERT_EQ(read(begun.get(), &byte, 1), 1);
  AwaitRotations(server, 1);
  const int supervisor = On(server).Call(SupervisorAbove).value();
  ASSERT_EQ(kill(old, SIGKILL), 0);
  EXPECT_EQ(child.Join().value().StatusWord(), "lost");
  EXPECT_EQ(On(server).Call(SupervisorAbove).value(), supervisor);
  AwaitRotations(server, 2);
}

TEST_F(ServeRotationTest, NoCallIsLostWhileManyClientsHaveForkserversReplaced) {
  ServerProcess server(Options(3));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&server, i] {
      for (int n = 0; n < 40; ++n) {
        const absl::StatusOr<int> sum = On(server).Call(Add, n, i);
        EXPECT_TRUE(sum.ok() && *sum == n + i) << sum.status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  AwaitRotations(server, 3);
  Await(server, [](const ServeStatus& one) { return one.replaced == 0; });
}

TEST_F(ServeRotationTest, LeavesNoDescriptorInTheServer) {
  ServerProcess server(Options(1));
  EXPECT_EQ(On(server).Call(Add, 1, 2).value(), 3);
  AwaitRotations(server, 1);
  Await(server, [](const ServeStatus& one) { return one.replaced == 0; });
  const size_t before = server.OpenDescriptors();
  for (uint64_t i = 2; i < 8; ++i) {
    EXPECT_EQ(On(server).Call(Add, 1, 2).value(), 3);
    AwaitRotations(server, i);
  }
  Await(server, [](const ServeStatus& one) { return one.replaced == 0; });
  EXPECT_TRUE(server.AwaitDescriptors(before)) << server.OpenDescriptors() << " of " << before;
}

}  // namespace
}  // namespace brood
