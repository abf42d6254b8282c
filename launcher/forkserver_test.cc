// What holds for the start method forkserver only. What it has in common with the others is in their tests.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/server_birth_child.h"
#include "base/unique_fd.h"
#include "bootstrap/target.h"
#include "forkserver/client.h"
#include "forkserver/fingerprint.h"
#include "forkserver/status_text.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "launcher/launch_record.h"
#include "sandbox/machine.h"
#include "sandbox/plan.h"

namespace brood {
namespace {

// Is read when the last writer of its pipe is gone.
struct Gate {
  UniqueFd pipe;
};

}  // namespace

template <>
struct Codec<Gate> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) { to.Word("gate"); }
  static void Encode(const Gate& value, WireWriter& to) { Codec<UniqueFd>::Encode(value.pipe, to); }
  static bool Decode(WireReader& from, Gate& value) {
    if (!Codec<UniqueFd>::Decode(from, value.pipe)) return false;
    char byte;
    while (read(value.pipe.get(), &byte, 1) < 0 && errno == EINTR) {
    }
    return true;
  }
};

namespace {

// --- targets: one behaviour each ---

BROOD_TARGET(ServerAbove);

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

void LoadNothing() {}
BROOD_TARGET(LoadNothing);

int SquareAfter(const UniqueFd& pipe, int x) {
  char byte;
  while (read(pipe.get(), &byte, 1) < 0 && errno == EINTR) {
  }
  return x * x;
}
BROOD_TARGET(SquareAfter);

void Pass(const Gate&) {}
BROOD_TARGET(Pass);

void WaitForEver() {
  while (true) pause();
}
BROOD_TARGET(WaitForEver);

std::vector<int> WhichAreOpen(const std::vector<int>& numbers) {
  std::vector<int> open;
  for (const int number : numbers) {
    if (fcntl(number, F_GETFD) >= 0) open.push_back(number);
  }
  return open;
}
BROOD_TARGET(WhichAreOpen);

// --- helpers ---

UniqueFd Pidfd(int pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

void Signal(const UniqueFd& process, int signal) { syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0); }

bool EndsWithin(const UniqueFd& process, int seconds) {
  pollfd polled = {process.get(), POLLIN, 0};
  return !process.valid() || poll(&polled, 1, seconds * 1000) == 1;
}

void Kill(const UniqueFd& process) {
  Signal(process, SIGKILL);
  ASSERT_TRUE(EndsWithin(process, 20));
}

// Those that this process has made for its children.
int OwnCgroups() {
  int count = 0;
  const Machine::Cgroups& where = ThisMachine().cgroups;
  for (const std::string* parent : {&where.unified, &where.memory, &where.pids, &where.cpuacct}) {
    DIR* directory = parent->empty() ? nullptr : opendir(parent->c_str());
    if (directory == nullptr) continue;
    while (const dirent* entry = readdir(directory)) {
      count += absl::StartsWith(entry->d_name, absl::StrCat("brood-child-", getpid(), "-"));
    }
    closedir(directory);
  }
  return count;
}

// --- the tests ---

TEST(ForkServerTest, OneServerForksAllChildrenOfItsOptions) {
  const Context context(StartMethod::kForkServer);
  const int server = context.Call(ServerAbove).value();
  EXPECT_GT(server, 0);
  EXPECT_EQ(context.Call(ServerAbove).value(), server);
  EXPECT_EQ(Context(StartMethod::kForkServer).Call(ServerAbove).value(), server);
  // What is the child's, or says how long one waits, is not the server's.
  EXPECT_EQ(Context(StartMethod::kForkServer,
                    {.log_level = 1, .plugin_path = {"/"}, .preload_timeout = absl::Minutes(1), .server_timeout = absl::Minutes(2)})
                .Call(ServerAbove)
                .value(),
            server);
  EXPECT_NE(Context(StartMethod::kForkServer, {.preload = {"LoadNothing"}}).Call(ServerAbove).value(), server);
  EXPECT_EQ(InFork([server]() -> std::string {
              const int forks = Context(StartMethod::kForkServer).Call(ServerAbove).value();
              return forks > 0 && forks != server ? "" : absl::StrCat(forks);
            }),
            "");
}

TEST(ForkServerTest, IsNotAChildOfTheProgramThatStartsIt) {
  EXPECT_EQ(InFork([]() -> std::string {
              if (Context(StartMethod::kForkServer).Call(Square, 7).value() != 49) return "no 49";
              return waitpid(-1, nullptr, __WALL) == -1 && errno == ECHILD ? "" : "there is a child";
            }),
            "");
}

TEST(ForkServerTest, AKilledServerLeavesItsChildrenAndIsStartedAgain) {
  const Context context(StartMethod::kForkServer);
  Ends pipe = MakePipe();
  Process child = context.Start(SquareAfter, pipe.reader, 7).value();
  Process other = context.Start(WaitForEver).value();
  const int server = context.Call(ServerAbove).value();
  Kill(Pidfd(server));
  EXPECT_TRUE(child.IsAlive());
  EXPECT_TRUE(other.IsAlive());
  EXPECT_EQ(context.Call(Square, 3).value(), 9);
  EXPECT_NE(context.Call(ServerAbove).value(), server);
  pipe.writer.reset();
  EXPECT_EQ(child.Result<int>().value(), 49);
  EXPECT_EQ(other.Terminate(), absl::OkStatus());
  EXPECT_EQ(other.Join().value().exit_code(), -SIGTERM);
}

// Waits until the supervisor has asked a server for something that is stopped. False if nobody may look: ptrace(2), "Ptrace
// access mode checking".
bool AwaitOrder(const UniqueFd& server) {
  const UniqueFd socket(static_cast<int>(syscall(SYS_pidfd_getfd, server.get(), child::kServerSocket, 0)));
  pollfd polled = {socket.get(), POLLIN, 0};
  return socket.valid() && poll(&polled, 1, 20'000) == 1;
}

// Children that leave no keeper idle, so that the next one needs the server. They end when their pipe does.
std::vector<Process> Occupy(const Context& context, const UniqueFd& pipe) {
  std::vector<Process> children;
  for (int i = 0; i < 40; ++i) children.push_back(context.Start(SquareAfter, pipe, 7).value());
  return children;
}

TEST(ForkServerTest, AServerThatIsKilledBeforeItHasServedARequestIsReplacedForIt) {
  const Context context(StartMethod::kForkServer);
  Policy policy = BuiltinPolicy("none").value();
  const Machine::Cgroups& cgroups = ThisMachine().cgroups;
  if (!cgroups.unified.empty() || !cgroups.memory.empty()) policy.limits.memory_bytes = uint64_t{256} << 20;
  const LaunchOptions options = {.policy = CompilePolicy(policy).value()};
  ASSERT_EQ(context.Call(options, Square, 7).value(), 49);
  Ends pipe = MakePipe();
  std::vector<Process> children = Occupy(context, pipe.reader);
  const UniqueFd server = Pidfd(context.Call(ServerAbove).value());
  Signal(server, SIGSTOP);
  // The first ones may find a keeper that is idle; one of them needs the server.
  std::atomic<bool> killed = false;
  absl::Status status;
  std::thread thread([&] {
    for (int i = 0; i < 40 && !killed && status.ok(); ++i) {
      absl::StatusOr<Process> child = context.Start(options, SquareAfter, pipe.reader, 7);
      status = child.status();
      if (child.ok()) children.push_back(*std::move(child));
    }
  });
  const bool came = AwaitOrder(server);
  Kill(server);
  killed = true;
  thread.join();
  EXPECT_EQ(status, absl::OkStatus());
  EXPECT_NE(context.Call(ServerAbove).value(), 0);
  pipe.writer.reset();
  for (Process& child : children) EXPECT_EQ(child.Result<int>().value(), 49);
  EXPECT_EQ(OwnCgroups(), 0);
  if (!came) GTEST_SKIP() << "this user may not look into the server's descriptors, to see that it was asked";
}

TEST(ForkServerTest, AStoppedServerIsKilledAfterItsTimeAndLeaksNothing) {
  const Context context(StartMethod::kForkServer, {.server_timeout = absl::Milliseconds(200)});
  const Context patient(StartMethod::kForkServer);
  ASSERT_EQ(patient.Call(Square, 7).value(), 49);
  const size_t before = OpenDescriptors();
  {
    Ends pipe = MakePipe();
    std::vector<Process> children = Occupy(patient, pipe.reader);
    const UniqueFd server = Pidfd(patient.Call(ServerAbove).value());
    Signal(server, SIGSTOP);
    // The first ones may find a keeper that is idle; one of them needs the server.
    absl::Status status;
    for (int i = 0; i < 40 && status.ok(); ++i) {
      absl::StatusOr<Process> child = context.Start(SquareAfter, pipe.reader, 7);
      status = child.status();
      if (child.ok()) children.push_back(*std::move(child));
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
    EXPECT_NE(status.message().find("forkserver"), std::string::npos) << status;
    EXPECT_TRUE(EndsWithin(server, 20));
    EXPECT_EQ(patient.Call(Square, 7).value(), 49);
    pipe.writer.reset();
    for (Process& child : children) EXPECT_EQ(child.Result<int>().value(), 49);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// A child that is slow to read its arguments, for example, is not the server's fault.
TEST(ForkServerTest, TheTimeToTakeARequestEndsWithTheBirthHoweverLongTheChildIsNotReady) {
  constexpr absl::Duration kTime = absl::Seconds(1);
  const Context context(StartMethod::kForkServer, {.server_timeout = kTime});
  const UniqueFd server = Pidfd(context.Call(ServerAbove).value());
  // With an init between guardian and target, which a captured stream brings, and without.
  for (const Stdio& out : {Stdio::Capture(), Stdio::Inherit()}) {
    Ends pipe = MakePipe();
    std::thread opens([&] {
      absl::SleepFor(2 * kTime);
      pipe.writer.reset();
    });
    const absl::StatusOr<Process> child = context.Start({.stdout_spec = out}, Pass, Gate{Duplicate(pipe.reader.get())});
    opens.join();
    EXPECT_EQ(child.status(), absl::OkStatus());
  }
  EXPECT_FALSE(EndsWithin(server, 0));
}

TEST(ForkServerTest, AServerHoldsNoStreamOfItsCaller) {
  const Ends pipe = MakePipe();
  EXPECT_EQ(InFork([&pipe]() -> std::string {
              dup2(pipe.writer.get(), 1);
              dup2(pipe.writer.get(), 2);
              const Context context(StartMethod::kForkServer);
              if (absl::Status started = context.StartServer(); !started.ok()) return started.ToString();
              const int server = context.Call(ServerAbove).value();
              std::string streams;
              for (const char* fd : {"0", "1", "2"}) {
                char path[64] = {};
                if (readlink(absl::StrCat("/proc/", server, "/fd/", fd).c_str(), path, sizeof(path) - 1) > 0) streams += path;
              }
              return streams == "/dev/null/dev/null/dev/null" ? "" : streams;
            }),
            "");
}

TEST(ForkServerTest, AGarbageRequestFailsAloneAndTheServerGoesOn) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadNothing"}});
  const int server = context.Call(ServerAbove).value();
  internal::ForkServerOptions options;
  options.preload = {"LoadNothing"};
  const auto raw = internal::FindForkServer(options, internal::Fingerprint(internal::ReadStatusText().value()));
  for (const std::string& bytes : {std::string(), std::string("garbage"), std::string(100'000, '\xff'), std::string(64, '\0')}) {
    Ends pipe = MakePipe();
    ASSERT_EQ(raw->Send(bytes, {pipe.writer.get()}, {}).status(), absl::OkStatus());
    pipe.writer.reset();
    GuardianReport report;
    ASSERT_EQ(read(pipe.reader.get(), &report, sizeof(report)), static_cast<ssize_t>(sizeof(report)));
    EXPECT_EQ(report.setup_failed, 1u);
    EXPECT_EQ(std::string(report.setup.step), "forkserver");
    char byte;
    EXPECT_EQ(read(pipe.reader.get(), &byte, 1), 0);
    // And with nobody to tell.
    const auto instance = raw->Send(bytes, {}, {});
    ASSERT_EQ(instance.status(), absl::OkStatus());
    // Nor is a record without bytes the end of the client.
    ASSERT_EQ(send((*instance)->socket.get(), "", 0, MSG_NOSIGNAL), 0);
  }
  EXPECT_EQ(context.Call(Square, 7).value(), 49);
  EXPECT_EQ(context.Call(ServerAbove).value(), server);
}

TEST(ForkServerTest, ManyThreadsMayStartAtOnceFromTheFirstStartOn) {
  const Context context(StartMethod::kForkServer, {.preload = {"LoadNothing"}});
  std::vector<std::thread> threads;
  std::vector<std::set<int>> servers(8);
  for (size_t i = 0; i < servers.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 10; ++j) {
        servers[i].insert(context.Call(ServerAbove).value_or(-1));
        EXPECT_EQ(context.Call(Square, j).value_or(-1), j * j);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::set<int>& seen : servers) EXPECT_EQ(seen, servers[0]);
  EXPECT_EQ(servers[0].size(), 1u);
}

TEST(ForkServerTest, AKilledOwnerLeavesNeitherServerNorChildren) {
  Ends pipe = MakePipe();
  Ends end_of_test = MakePipe();
  const pid_t owner = fork();
  if (owner == 0) {
    end_of_test.writer.reset();
    const Context context(StartMethod::kForkServer);
    const Process child = context.Start(WaitForEver).value();
    const int pids[] = {context.Call(ServerAbove).value(), child.pid()};
    // A fork that holds copies of all descriptors does not keep them alive.
    if (fork() == 0) _exit(SquareAfter(end_of_test.reader, 0));
    (void)!write(pipe.writer.get(), pids, sizeof(pids));
    WaitForEver();
  }
  int pids[2] = {};
  ASSERT_EQ(read(pipe.reader.get(), pids, sizeof(pids)), static_cast<ssize_t>(sizeof(pids)));
  const UniqueFd server = Pidfd(pids[0]);
  const UniqueFd child = Pidfd(pids[1]);
  ASSERT_TRUE(server.valid() && child.valid());
  ASSERT_EQ(kill(owner, SIGKILL), 0);
  EXPECT_TRUE(EndsWithin(server, 20));
  EXPECT_TRUE(EndsWithin(child, 20));
  waitpid(owner, nullptr, 0);
}

TEST(ForkServerTest, MoreDescriptorsThanOneMessageCanCarryArrive) {
  LaunchOptions options;
  std::vector<int> numbers;
  for (int number = 10; number < 610; ++number) {
    options.inherited.push_back({.fd = 0, .child_fd = number});
    numbers.push_back(number);
  }
  EXPECT_EQ(Context(StartMethod::kForkServer).Call(options, WhichAreOpen, numbers).value(), numbers);
}

TEST(ForkServerTest, WithoutRoomForAProcessItIsToldWhichLimits) {
  EXPECT_EQ(InFork([]() -> std::string {
              constexpr uid_t kNobodyElses = 64321;  // Of root no processes are counted. getrlimit(2), RLIMIT_NPROC
              const rlimit one = {1, 1};
              if (setrlimit(RLIMIT_NPROC, &one) != 0 || (geteuid() == 0 && setresuid(kNobodyElses, kNobodyElses, kNobodyElses) != 0)) return "no limit";
              prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
              const absl::Status status = Context(StartMethod::kForkServer).StartServer();
              if (!absl::IsResourceExhausted(status)) return status.ToString();
              return absl::StrContains(status.message(), "; see the limits of processes (ulimit -u)") ? "" : status.ToString();
            }),
            "");
}

TEST(ForkServerTest, AnotherProgramThatIsNoServerIsAnError) {
  const Context context(StartMethod::kForkServer, {.executable = "/bin/false"});
  const absl::Status status = context.StartServer();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(status.message().find("Bootstrap"), std::string::npos) << status;
  const Context missing(StartMethod::kForkServer, {.executable = "/nonexistent"});
  EXPECT_EQ(missing.StartServer().code(), absl::StatusCode::kNotFound);
}

TEST(ForkServerTest, RefusesToStartWhereChildrenGetAnotherPidNamespaceAndHarmsItNot) {
  if (getuid() != 0) GTEST_SKIP() << "needs root, to make a pid namespace";
  EXPECT_EQ(InFork([]() -> std::string {
              if (unshare(CLONE_NEWPID) != 0) return "";
              const absl::Status status = Context(StartMethod::kForkServer).StartServer();
              if (!absl::IsFailedPrecondition(status)) return absl::StrCat("forkserver: ", status.ToString());
              const absl::StatusOr<int> spawned = Context(StartMethod::kSpawn).Call(Square, 7);
              return spawned.ok() ? "" : absl::StrCat("spawn: ", spawned.status().ToString());
            }),
            "");
}

}  // namespace
}  // namespace brood
