// Calls in a sandbox that is kept for the next one.
#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "launcher/server.h"
#include "sandbox/machine.h"
#include "sandbox/plan.h"
#include "sandbox/plan_speculation.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

std::string Status(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (absl::StartsWith(line, absl::StrCat(field, ":"))) return line.substr(field.size() + 2);
  }
  return "";
}

// --- targets: one claim each; 0 if it is true ---

ExitCode Answer() { return {42}; }
BROOD_TARGET(Answer);

ExitCode IsConfined() {
  if (getppid() != 0 || getpid() == 1) return {1};
  if (Status("CapPrm") != "0000000000000000" || Status("CapBnd") != "0000000000000000") return {2};
  if (Status("NoNewPrivs") != "1" || Status("Seccomp") != "2") return {3};
  if (getuid() != 1000 || getgid() != 1000) return {4};
  if (access("/root", F_OK) == 0 || access("/usr/bin", F_OK) != 0) return {5};
  if (getenv("HOME") == nullptr || std::string(getenv("HOME")) != "/tmp" || getenv("BROOD_TEST_SECRET") != nullptr) return {6};
  if (getpgrp() != getpid()) return {7};
  rlimit core = {};
  if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max > 1) return {8};
  return {0};
}
BROOD_TARGET(IsConfined);

// RNDGETENTCNT, which nothing else refuses; and what is to stay possible.
ExitCode LandlockHolds() {
  int bits = 0;
  const UniqueFd random(open("/dev/urandom", O_RDONLY | O_CLOEXEC));
  if (!random.valid()) return {1};
  const int controlled = ioctl(random.get(), 0x80045200, &bits);
  if (ThisMachine().landlock_abi >= 5 && (controlled == 0 || errno != EACCES)) return {2};
  if (std::ifstream("/proc/self/exe").get() != 0x7f) return {3};
  if (!(std::ofstream("/tmp/file") << "text").flush() || unlink("/tmp/file") != 0) return {4};
  return {0};
}
BROOD_TARGET(LandlockHolds);

void Mount() { mount("none", "/tmp", "tmpfs", 0, nullptr); }
BROOD_TARGET(Mount);

// By raw numbers, with whatever is left in the registers of a secret.
void Receive() { syscall(SYS_recvmsg, 0, nullptr, 0, 0, 0, 0); }
BROOD_TARGET(Receive);

ExitCode IsClone3Unknown() { return {syscall(SYS_clone3, nullptr, 0, 0, 0, 0, 0) < 0 && errno == ENOSYS ? 0 : 1}; }
BROOD_TARGET(IsClone3Unknown);

ExitCode CannotBypassStores() {
  std::ifstream status("/proc/self/status");
  const std::string text(std::istreambuf_iterator<char>(status), {});
  return {absl::StrContains(text, "Speculation_Store_Bypass:\tthread force mitigated") ? 0 : 1};
}
BROOD_TARGET(CannotBypassStores);

void Segfault() { raise(SIGSEGV); }
BROOD_TARGET(Segfault);

void Spin() {
  while (true) pause();
}
BROOD_TARGET(Spin);

void WriteTmp() { std::ofstream("/tmp/left") << "a secret"; }
BROOD_TARGET(WriteTmp);

ExitCode TmpIsEmpty() { return {access("/tmp/left", F_OK) != 0 && errno == ENOENT ? 0 : 1}; }
BROOD_TARGET(TmpIsEmpty);

void LeaveDaemons() {
  for (int i = 0; i < 3; ++i) {
    if (fork() == 0) {
      setsid();
      for (int j = 0; j < 2 && fork() == 0; ++j) {
      }
      while (true) pause();
    }
  }
}
BROOD_TARGET(LeaveDaemons);

// Processes besides ours and the init.
ExitCode OthersAreThere() {
  int others = 0;
  for (int pid = 2; pid < 4096; ++pid) {
    if (pid != getpid() && (kill(pid, 0) == 0 || errno == EPERM)) ++others;
  }
  return {others};
}
BROOD_TARGET(OthersAreThere);

// As many as it could.
ExitCode ForkUntilRefused() {
  int forks = 0;
  for (pid_t pid; forks < 100 && (pid = fork()) >= 0; ++forks) {
    if (pid > 0) continue;
    while (true) pause();
  }
  return {forks};
}
BROOD_TARGET(ForkUntilRefused);

void SignalGroup() { kill(0, SIGKILL); }
BROOD_TARGET(SignalGroup);
void SignalAll() { kill(-1, SIGKILL); }
BROOD_TARGET(SignalAll);

void EatMemory() {
  for (int i = 0; i < 1024; ++i) {
    auto* const block = static_cast<volatile char*>(malloc(1 << 20));
    for (size_t at = 0; at < 1 << 20; at += 4096) block[at] = 1;
  }
}
BROOD_TARGET(EatMemory);

// --- what could be left ---

// The times of a folder that nobody has touched are those of its making, all the same.
ExitCode TmpIsAsMade() {
  struct stat about = {};
  if (stat("/tmp", &about) != 0 || (about.st_mode & 07777) != 01777) return {1};
  return {about.st_mtim.tv_sec == about.st_ctim.tv_sec && about.st_mtim.tv_nsec == about.st_ctim.tv_nsec ? 0 : 2};
}
BROOD_TARGET(TmpIsAsMade);

void WriteAndRemove() {
  WriteTmp();
  unlink("/tmp/left");
  const timespec times[2] = {{1, 0}, {1, 0}};
  utimensat(AT_FDCWD, "/tmp", times, 0);
}
BROOD_TARGET(WriteAndRemove);

void CloseTmp() { chmod("/tmp", 0700); }
BROOD_TARGET(CloseTmp);

// Where the file system has none, nothing is left either.
void SetAttribute() { setxattr("/tmp", "user.left", "x", 1, 0); }
BROOD_TARGET(SetAttribute);
ExitCode HasNoAttribute() { return {listxattr("/tmp", nullptr, 0) > 0 ? 1 : 0}; }
BROOD_TARGET(HasNoAttribute);

ExitCode MakeShared() { return {shmget(7, 4096, IPC_CREAT | 0600) >= 0 ? 0 : 1}; }
BROOD_TARGET(MakeShared);
ExitCode MakeSemaphore() { return {semget(7, 1, IPC_CREAT | 0600) >= 0 ? 0 : 1}; }
BROOD_TARGET(MakeSemaphore);
ExitCode MakeQueue() { return {msgget(7, IPC_CREAT | 0600) >= 0 ? 0 : 1}; }
BROOD_TARGET(MakeQueue);
ExitCode MakeAndRemove() {
  const int id = semget(7, 1, IPC_CREAT | 0600);
  return {id >= 0 && semctl(id, 0, IPC_RMID) == 0 ? 0 : 1};
}
BROOD_TARGET(MakeAndRemove);
ExitCode MakePosixQueue() { return {mq_open("/left", O_CREAT | O_RDWR, 0600, nullptr) >= 0 ? 0 : 1}; }
BROOD_TARGET(MakePosixQueue);

// None by the names above, nor more made before us than by our keeper, which makes one object for each child.
ExitCode FindsNoIpc() {
  if (shmget(7, 1, 0600) >= 0 || semget(7, 1, 0600) >= 0 || msgget(7, 0600) >= 0) return {1};
  if (mq_open("/left", O_RDONLY) >= 0) return {2};
  return {0};
}
BROOD_TARGET(FindsNoIpc);

ExitCode Connect() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 1) != 0) return {1};
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return {connect(client, reinterpret_cast<sockaddr*>(&address), size) == 0 ? 0 : 2};
}
BROOD_TARGET(Connect);

// By the interface's counters, and by connections that are not forgotten yet.
ExitCode FindsNoTraffic() {
  std::ifstream device("/proc/self/net/dev");
  for (std::string line; std::getline(device, line);) {
    const size_t at = line.find("lo:");
    if (at == std::string::npos) continue;
    if (strtoll(line.c_str() + at + 3, nullptr, 10) != 0) return {1};
  }
  std::ifstream connections("/proc/self/net/tcp");
  std::string line;
  std::getline(connections, line);
  return {std::getline(connections, line) ? 2 : 0};
}
BROOD_TARGET(FindsNoTraffic);

void WriteShm() { std::ofstream("/dev/shm/left") << "a secret"; }
BROOD_TARGET(WriteShm);
ExitCode ShmIsEmpty() { return {access("/dev/shm/left", F_OK) == 0 ? 1 : 0}; }
BROOD_TARGET(ShmIsEmpty);

// --- the same through a Context ---

std::string Speak(const std::string& word) {
  std::cout << word << std::endl;
  std::cerr << "to stderr" << std::endl;
  return word + word;
}
BROOD_TARGET(Speak);

void Flood() {
  const std::string line(1 << 16, 'x');
  while (true) std::cout << line;
}
BROOD_TARGET(Flood);

std::string WhereIsIt() {
  char buffer[4096];
  return getcwd(buffer, sizeof(buffer)) != nullptr ? buffer : "";
}
BROOD_TARGET(WhereIsIt);

std::string Variable(const std::string& name) {
  const char* const value = getenv(name.c_str());
  return value != nullptr ? value : "none";
}
BROOD_TARGET(Variable);

class SlotTest : public testing::Test {
 protected:
  void SetUp() override { setenv("BROOD_TEST_SECRET", "1", 1); }

  void Start(const Policy& policy) {
    const auto plan = CompilePolicy(policy);
    ASSERT_TRUE(plan.ok()) << plan.status();
    absl::StatusOr<Server> server = Server::Start({}, *plan);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::make_unique<Server>(*std::move(server));
  }
  void StartStrict() {
    const absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
    ASSERT_TRUE(policy.ok());
    Start(*policy);
  }

  Outcome Call(std::string_view target) {
    const absl::StatusOr<Outcome> outcome = server_->Call(target);
    EXPECT_TRUE(outcome.ok()) << target << ": " << outcome.status();
    return outcome.value_or(Outcome());
  }

  static bool LimitsMemory() { return !ThisMachine().cgroups.memory.empty() || !ThisMachine().cgroups.unified.empty(); }

  // Where children have groups that limit their processes; empty: nowhere.
  static std::string GroupsAt() { return ThisMachine().cgroups.unified.empty() ? ThisMachine().cgroups.pids : ThisMachine().cgroups.unified; }

  // Those there that our own children have made: "brood-child-PID-N".
  static std::vector<std::string> GroupsOfChildren() {
    std::vector<std::string> groups;
    for (const auto& entry : std::filesystem::directory_iterator(GroupsAt())) {
      const std::string name = entry.path().filename();
      if (!absl::StartsWith(name, "brood-child-")) continue;
      std::ifstream status(absl::StrCat("/proc/", atoi(name.c_str() + 12), "/status"));
      const std::string text((std::istreambuf_iterator<char>(status)), std::istreambuf_iterator<char>());
      if (absl::StrContains(text, absl::StrCat("\nPPid:\t", getpid(), "\n"))) groups.push_back(entry.path());
    }
    return groups;
  }

  std::unique_ptr<Server> server_;
};

TEST_F(SlotTest, ACallRunsInIt) {
  StartStrict();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Call("Answer").ToString(), "exited with code 42");
}

TEST_F(SlotTest, AChildIsConfinedAsByThePolicy) {
  StartStrict();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Call("IsConfined").exit_code(), 0);
}

TEST_F(SlotTest, LandlockHoldsEveryChild) {
  StartStrict();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Call("LandlockHolds").exit_code(), 0);
}

TEST_F(SlotTest, AForbiddenCallIsAViolationAndTheNextChildRuns) {
  StartStrict();
  const Outcome outcome = Call("Mount");
  const auto* const violation = std::get_if<Violation>(&outcome.ending);
  ASSERT_NE(violation, nullptr) << outcome.ToString();
  EXPECT_EQ(violation->syscall, "mount");
  EXPECT_EQ(Call("Answer").exit_code(), 42);
}

TEST_F(SlotTest, WhatItsKeeperMayCallAChildMayNot) {
  StartStrict();
  const Outcome outcome = Call("Receive");
  ASSERT_TRUE(std::holds_alternative<Violation>(outcome.ending)) << outcome.ToString();
}

TEST_F(SlotTest, TheCallThatBearsItInItsGroupIsUnknownToAChild) {
  StartStrict();
  EXPECT_EQ(Call("IsClone3Unknown").exit_code(), 0);
}

TEST_F(SlotTest, ASignalIsTheChildsOwn) {
  StartStrict();
  EXPECT_EQ(Call("Segfault").exit_code(), -SIGSEGV);
}

TEST_F(SlotTest, AFileThatAChildLeavesIsNotThereForTheNext) {
  StartStrict();
  EXPECT_EQ(Call("WriteTmp").exit_code(), 0);
  EXPECT_EQ(Call("TmpIsEmpty").exit_code(), 0);
}

TEST_F(SlotTest, DaemonsThatAChildLeavesAreDeadBeforeItsOutcome) {
  StartStrict();
  EXPECT_EQ(Call("LeaveDaemons").exit_code(), 0);
  EXPECT_EQ(Call("OthersAreThere").exit_code(), 0);
}

TEST_F(SlotTest, ASignalToItsGroupReachesNobodyElse) {
  StartStrict();
  EXPECT_EQ(Call("SignalGroup").exit_code(), -SIGKILL);
  EXPECT_EQ(Call("SignalAll").exit_code(), 0);
  EXPECT_EQ(Call("Answer").exit_code(), 42);
}

TEST_F(SlotTest, TheWallTimeIsEachChilds) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
  ASSERT_TRUE(policy.ok());
  policy->limits.wall_time = absl::Milliseconds(100);
  Start(*policy);
  EXPECT_EQ(Call("Spin").StatusWord(), "timeout");
  EXPECT_EQ(Call("Answer").exit_code(), 42);
}

TEST_F(SlotTest, AChildThatReachesItsMemoryLimitEndsAloneAndTheNextHasAllOfIt) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
  ASSERT_TRUE(policy.ok());
  policy->limits.memory_bytes = uint64_t{64} << 20;
  const auto plan = CompilePolicy(*policy);
  if (!plan.ok()) GTEST_SKIP() << plan.status();
  if (!LimitsMemory()) GTEST_SKIP() << ThisMachine().cgroups.why_not;
  Start(*policy);
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = Call("EatMemory");
    EXPECT_EQ(outcome.StatusWord(), "memory") << outcome.ToString();
    EXPECT_GT(outcome.usage.memory_peak_bytes, uint64_t{60} << 20);
    const Outcome next = Call("Answer");
    EXPECT_EQ(next.exit_code(), 42);
    EXPECT_LT(next.usage.memory_peak_bytes, uint64_t{16} << 20);
  }
}

TEST_F(SlotTest, ARefusedForkIsToldOfTheChildThatWasRefusedIt) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
  ASSERT_TRUE(policy.ok());
  policy->limits.processes = 10;
  if (GroupsAt().empty()) GTEST_SKIP() << ThisMachine().cgroups.why_not;
  Start(*policy);
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = Call("ForkUntilRefused");
    EXPECT_EQ(outcome.exit_code(), 9) << outcome.ToString();
    EXPECT_EQ(outcome.limits_hit, std::vector<Layer>{Layer::kProcesses});
    const Outcome next = Call("Answer");
    EXPECT_EQ(next.exit_code(), 42);
    EXPECT_TRUE(next.limits_hit.empty());
  }
}

TEST_F(SlotTest, NoGroupIsLeftOnceTheServerHasEnded) {
  if (GroupsAt().empty()) GTEST_SKIP() << ThisMachine().cgroups.why_not;
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);  // The supervisor, who makes them, becomes our child.
  StartStrict();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Call("Answer").exit_code(), 42);
  const std::vector<std::string> groups = GroupsOfChildren();
  EXPECT_EQ(groups.size(), 1u);
  server_.reset();
  for (const std::string& group : groups) {
    // Looks, since no event tells of the end of a group of version 1.
    for (int waited = 0; access(group.c_str(), F_OK) == 0 && waited < 10'000; ++waited) usleep(1000);
    EXPECT_NE(access(group.c_str(), F_OK), 0) << group;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

TEST_F(SlotTest, APolicyThatCannotBeKeptIsRefusedWithTheReason) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("default");
  ASSERT_TRUE(policy.ok());
  policy->syscalls.push_back({.names = {"keyctl"}, .layer = 1});
  const auto plan = CompilePolicy(*policy);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const absl::StatusOr<Server> server = Server::Start({}, *plan);
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(server.status().message(), "keyctl")) << server.status();
}

TEST_F(SlotTest, WhatOnlyAGuardianDoesIsRefused) {
  for (const auto& [change, word] : std::vector<std::pair<std::function<void(Policy&)>, std::string>>{
           {[](Policy& p) { p.syscalls.push_back({.names = {"getpid"}, .action = SyscallAction::kNotify, .layer = 1}); }, "counted"},
           {[](Policy& p) { p.network = {.mode = NetworkMode::kAllow, .to = {"127.0.0.1:1"}}; }, "destinations"}}) {
    absl::StatusOr<Policy> policy = BuiltinPolicy("default");
    ASSERT_TRUE(policy.ok());
    change(*policy);
    const auto plan = CompilePolicy(*policy);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const absl::StatusOr<Server> server = Server::Start({}, *plan);
    ASSERT_FALSE(server.ok()) << word;
    EXPECT_TRUE(absl::StrContains(server.status().message(), word)) << server.status();
  }
}

// What one child leaves and the next one looks for, by the policy that allows it.
struct Leak {
  const char* name;
  const char* leaves;
  const char* finds;  // Exit code 0 if there is nothing.
};

class SlotLeakTest : public SlotTest, public testing::WithParamInterface<Leak> {};

TEST_P(SlotLeakTest, IsNotThereForTheNextChild) {
  const absl::StatusOr<Policy> policy = BuiltinPolicy("default");
  ASSERT_TRUE(policy.ok());
  Start(*policy);
  const Outcome before = Call(GetParam().finds);
  ASSERT_EQ(before.exit_code(), 0) << before.ToString();
  for (int i = 0; i < 3; ++i) {
    const Outcome left = Call(GetParam().leaves);
    ASSERT_EQ(left.exit_code(), 0) << left.ToString();
    const Outcome found = Call(GetParam().finds);
    EXPECT_EQ(found.exit_code(), 0) << found.ToString();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, SlotLeakTest,
    testing::Values(Leak{"File", "WriteTmp", "TmpIsEmpty"}, Leak{"RemovedFile", "WriteAndRemove", "TmpIsAsMade"},
                    Leak{"Attribute", "SetAttribute", "HasNoAttribute"}, Leak{"Mode", "CloseTmp", "TmpIsAsMade"},
                    Leak{"SharedMemory", "MakeShared", "FindsNoIpc"}, Leak{"Semaphore", "MakeSemaphore", "FindsNoIpc"},
                    Leak{"Queue", "MakeQueue", "FindsNoIpc"}, Leak{"RemovedSemaphore", "MakeAndRemove", "FindsNoIpc"},
                    Leak{"PosixQueue", "MakePosixQueue", "FindsNoIpc"}, Leak{"Connection", "Connect", "FindsNoTraffic"},
                    Leak{"Process", "LeaveDaemons", "OthersAreThere"}, Leak{"SharedFile", "WriteShm", "ShmIsEmpty"}),
    [](const testing::TestParamInfo<Leak>& info) { return info.param.name; });

std::string ReadAll(const UniqueFd& fd) {
  std::string text(4096, '\0');
  const ssize_t length = pread(fd.get(), text.data(), text.size(), 0);
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return text;
}

class SlotContextTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
    ASSERT_TRUE(policy.ok());
    Use(*policy);
  }

  void Use(const Policy& policy) {
    const auto plan = CompilePolicy(policy);
    ASSERT_TRUE(plan.ok()) << plan.status();
    options_.policy = *plan;
  }

  // As StartMethod::kSpawn does it, by a guardian: what both say must be the same.
  Outcome Run(StartMethod method, std::string_view target) {
    absl::StatusOr<Process> process = Context(method).StartByName(options_, target, {});
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return Outcome();
    const absl::StatusOr<Outcome> outcome = process->Join();
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.value_or(Outcome());
  }

  LaunchOptions options_;
};

TEST_F(SlotContextTest, ItsChildrenAreInSlots) {
  // In no pid namespace with their parent: that of a guardian's target is the init, which is in it.
  EXPECT_EQ(Run(StartMethod::kForkServer, "IsConfined").exit_code(), 0);
}

TEST_F(SlotContextTest, LandlockHoldsWithEveryStartMethod) {
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    const Outcome outcome = Run(method, "LandlockHolds");
    EXPECT_EQ(outcome.exit_code(), 0) << outcome.ToString();
    EXPECT_EQ(outcome.enforced.count(Layer::kLandlock), 1u);
  }
}

TEST_F(SlotContextTest, SpeculationIsMitigatedWithEveryStartMethod) {
  if ((PlanSpeculation(AskSpeculation()).off & 1u << PR_SPEC_STORE_BYPASS) == 0) GTEST_SKIP() << "this machine has no control of store bypass";
  Policy policy = BuiltinPolicy("strict").value();
  policy.speculation = SpeculationControl::kMitigate;
  policy.allow_weaker.insert(Layer::kSpeculation);
  Use(policy);
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    const Outcome outcome = Run(method, "CannotBypassStores");
    EXPECT_EQ(outcome.exit_code(), 0) << outcome.ToString();
    EXPECT_EQ(outcome.enforced.count(Layer::kSpeculation), 1u);
  }
  Use(BuiltinPolicy("strict").value());
  EXPECT_EQ(Run(StartMethod::kForkServer, "CannotBypassStores").exit_code(), 1) << "or the test proves nothing";
}

TEST_F(SlotContextTest, LandlockLetsPosixQueuesBeMadeWhereThePolicyDoes) {
  Use(BuiltinPolicy("default").value());
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    EXPECT_EQ(Run(method, "MakePosixQueue").exit_code(), 0);
  }
}

TEST_F(SlotContextTest, OutputIsPassedOnAndTheValueComesBack) {
  options_.stdout_spec = Stdio::Capture();
  options_.stderr_spec = Stdio::Capture();
  for (int i = 0; i < 5; ++i) {
    auto process = Context(StartMethod::kForkServer).Start(options_, Speak, std::string("word"));
    ASSERT_TRUE(process.ok()) << process.status();
    const absl::StatusOr<std::string> value = process->Result<std::string>();
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_EQ(*value, "wordword");
    EXPECT_EQ(ReadAll(process->TakeStdout()), "word\n");
    EXPECT_EQ(ReadAll(process->TakeStderr()), "to stderr\n");
  }
}

TEST_F(SlotContextTest, MoreOutputThanAllowedEndsTheChild) {
  options_.stdout_spec = Stdio::Null();
  const Outcome outcome = Run(StartMethod::kForkServer, "Flood");
  EXPECT_EQ(outcome.StatusWord(), "output") << outcome.ToString();
  EXPECT_GT(outcome.stdout_result.bytes, uint64_t{16} << 20);
}

TEST_F(SlotContextTest, AForbiddenCallIsTheSameViolationAsWithoutASlot) {
  const Outcome slot = Run(StartMethod::kForkServer, "Mount");
  const Outcome guardian = Run(StartMethod::kFork, "Mount");
  ASSERT_TRUE(std::holds_alternative<Violation>(slot.ending)) << slot.ToString();
  ASSERT_TRUE(std::holds_alternative<Violation>(guardian.ending)) << guardian.ToString();
  EXPECT_EQ(std::get<Violation>(slot.ending).syscall, "mount");
  EXPECT_EQ(std::get<Violation>(slot.ending).args[2] != 0, std::get<Violation>(guardian.ending).args[2] != 0);
  EXPECT_EQ(slot.enforced, guardian.enforced);
}

TEST_F(SlotContextTest, ItIsTerminatedAndKilledAsAnyChild) {
  absl::StatusOr<Process> process = Context(StartMethod::kForkServer).Start(options_, Spin);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_TRUE(process->Terminate().ok());
  EXPECT_EQ(process->Join()->exit_code(), -SIGTERM);
  process = Context(StartMethod::kForkServer).Start(options_, Spin);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_TRUE(process->Kill().ok());
  EXPECT_EQ(process->Join()->exit_code(), -SIGKILL);
}

// Were there a way to the secret, there would be none to the capabilities of a new user namespace. namespaces(7)
TEST_F(SlotContextTest, ItsUserNamespaceMayHaveNoOtherBelowIt) {
  if (access("/proc/sys/user/max_user_namespaces", W_OK) != 0) GTEST_SKIP() << "/proc/sys/user cannot be written here: " << strerror(errno);
  absl::StatusOr<Process> process = Context(StartMethod::kForkServer).StartByName(options_, "Spin", {});
  ASSERT_TRUE(process.ok()) << process.status();
  const UniqueFd inside(open(absl::StrCat("/proc/", process->pid(), "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  const pid_t reader = fork();
  if (reader == 0) {
    int most = -1;
    if (setns(inside.get(), CLONE_NEWUSER) == 0) std::ifstream("/proc/sys/user/max_user_namespaces") >> most;
    _exit(most == 0 ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(waitpid(reader, &status, 0), reader);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(process->Kill(), absl::OkStatus());
}

TEST_F(SlotContextTest, TheWallTimeEndsIt) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
  ASSERT_TRUE(policy.ok());
  policy->limits.wall_time = absl::Milliseconds(100);
  Use(*policy);
  EXPECT_EQ(Run(StartMethod::kForkServer, "Spin").StatusWord(), "timeout");
}

TEST_F(SlotContextTest, EnvironmentAndDirectoryAreThoseOfTheStart) {
  const Context context(StartMethod::kForkServer);
  char hidden[] = "/tmp/slot_test.XXXXXX";  // The children have a /tmp of their own.
  ASSERT_NE(mkdtemp(hidden), nullptr);
  const UniqueFd before(open(".", O_PATH | O_CLOEXEC));
  ASSERT_EQ(chdir(hidden), 0);
  EXPECT_EQ(*context.Call(options_, WhereIsIt), "/");
  ASSERT_EQ(fchdir(before.get()), 0);
  rmdir(hidden);
  EXPECT_EQ(*context.Call(options_, Variable, std::string("WORD")), "none");
  options_.env = {"WORD=first"};
  options_.cwd = "/usr/lib";
  EXPECT_EQ(*context.Call(options_, WhereIsIt), "/usr/lib");
  EXPECT_EQ(*context.Call(options_, Variable, std::string("WORD")), "first");
  options_.env = {"WORD=second"};
  EXPECT_EQ(*context.Call(options_, Variable, std::string("WORD")), "second");
}

TEST_F(SlotContextTest, WhatAChildLeavesIsNotThereForTheNext) {
  EXPECT_EQ(Run(StartMethod::kForkServer, "WriteTmp").exit_code(), 0);
  EXPECT_EQ(Run(StartMethod::kForkServer, "TmpIsEmpty").exit_code(), 0);
  EXPECT_EQ(Run(StartMethod::kForkServer, "LeaveDaemons").exit_code(), 0);
  EXPECT_EQ(Run(StartMethod::kForkServer, "OthersAreThere").exit_code(), 0);
}

TEST_F(SlotContextTest, TwoThatLiveAtOnceDoNotSeeEachOther) {
  absl::StatusOr<Process> other = Context(StartMethod::kForkServer).Start(options_, Spin);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(Run(StartMethod::kForkServer, "OthersAreThere").exit_code(), 0);
  EXPECT_EQ(Run(StartMethod::kForkServer, "SignalAll").exit_code(), 0);
  EXPECT_TRUE(other->IsAlive());
  ASSERT_TRUE(other->Kill().ok());
}

TEST_F(SlotContextTest, APolicyThatHasNoSlotsIsCarriedOutForEachChild) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("default");
  ASSERT_TRUE(policy.ok());
  policy->syscalls.push_back({.names = {"keyctl"}, .layer = 1});
  Use(*policy);
  EXPECT_EQ(Run(StartMethod::kForkServer, "IsConfined").exit_code(), 1);  // It has a parent inside.
  EXPECT_EQ(Run(StartMethod::kForkServer, "Answer").exit_code(), 42);
}

}  // namespace
}  // namespace brood
