// Programs in sandboxes that a forkserver keeps: Context::Launch beside Process::Launch.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "launcher/server_list.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

std::string TextOf(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  ssize_t n;
  lseek(fd.get(), 0, SEEK_SET);  // If it is no pipe.
  while ((n = read(fd.get(), buffer, sizeof(buffer))) > 0) text.append(buffer, static_cast<size_t>(n));
  return text;
}

// By whom a child's end is told, and its output is passed on.
enum class ToldBy {
  kSupervisor,     // Which waits for who reads a pipe.
  kKeeper,         // Which the caller has leased by then, and which has no output to pass on.
  kKeeperCaptured,
};

class SlotProgramTest : public testing::TestWithParam<ToldBy> {
 protected:
  SlotProgramTest() {
    if (GetParam() == ToldBy::kSupervisor) policy_.limits.output_bytes = 1 << 30;  // So that it is passed on.
    options_.policy = CompilePolicy(policy_).value();
    options_.stdin_spec = Stdio::Null();
    options_.stdout_spec = Stdio::Capture();
    options_.stderr_spec = Stdio::Capture();
  }

  void SetUp() override { Lease(); }

  // The first one makes the sandbox, and its end makes us lease it, if it is told by a keeper.
  void Lease() { EXPECT_TRUE(Run({"true"}).ok()) << err_; }

  Outcome Run(std::vector<std::string> argv) {
    LaunchOptions options = options_;
    options.argv = std::move(argv);
    UniqueFd readers[2];
    UniqueFd writers[2];
    for (int i = 0; i < 2 && GetParam() != ToldBy::kKeeperCaptured; ++i) {
      int ends[2] = {-1, -1};
      if (GetParam() == ToldBy::kKeeper) {
        ends[0] = memfd_create("output", MFD_CLOEXEC);
      } else {
        EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
      }
      readers[i].reset(ends[0]);
      writers[i].reset(ends[1]);
      (i == 0 ? options.stdout_spec : options.stderr_spec) = Stdio::Fd(ends[1] >= 0 ? ends[1] : ends[0]);
    }
    absl::StatusOr<Process> process = context_.Launch(options);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return Outcome();
    const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    for (UniqueFd& writer : writers) writer.reset();
    out_ = TextOf(readers[0].valid() ? std::move(readers[0]) : process->TakeStdout());
    err_ = TextOf(readers[1].valid() ? std::move(readers[1]) : process->TakeStderr());
    return outcome.value_or(Outcome());
  }
  Outcome Script(const std::string& script) { return Run({"/bin/sh", "-c", script}); }

  // The number of its mount namespace, which no two sandboxes share.
  std::string Sandbox() {
    EXPECT_TRUE(Run({"readlink", "/proc/self/ns/mnt"}).ok()) << err_;
    return out_;
  }

  LaunchOptions Quiet(std::vector<std::string> argv) const {
    LaunchOptions options = options_;
    options.argv = std::move(argv);
    if (GetParam() == ToldBy::kKeeper) options.stdout_spec = options.stderr_spec = Stdio::Null();
    return options;
  }

  const Context context_{StartMethod::kForkServer};
  Policy policy_ = BuiltinPolicy("default").value();
  LaunchOptions options_;
  std::string out_;
  std::string err_;
};

std::string NameOf(const testing::TestParamInfo<ToldBy>& tested) {
  constexpr const char* kNames[] = {"ToldByTheSupervisor", "ToldByItsKeeper", "CapturedByItsKeeper"};
  return kNames[static_cast<int>(tested.param)];
}

INSTANTIATE_TEST_SUITE_P(All, SlotProgramTest, testing::Values(ToldBy::kSupervisor, ToldBy::kKeeper, ToldBy::kKeeperCaptured), NameOf);

TEST_P(SlotProgramTest, OneIsBornInTheSandboxOfTheOneBefore) {
  const std::string first = Sandbox();
  EXPECT_EQ(Sandbox(), first);
  options_.isolation = Isolation::kFresh;
  EXPECT_NE(Sandbox(), first);
}

TEST_P(SlotProgramTest, TwoThatLiveAtOnceShareNone) {
  options_.argv = {"sh", "-c", "readlink /proc/self/ns/mnt; read line"};
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  const UniqueFd reader(pipe_fds[0]);
  UniqueFd writer(pipe_fds[1]);
  options_.stdin_spec = Stdio::Fd(reader.get());
  Process one = context_.Launch(options_).value();
  Process other = context_.Launch(options_).value();
  writer.reset();
  ASSERT_TRUE(one.Join().ok());
  ASSERT_TRUE(other.Join().ok());
  EXPECT_NE(TextOf(one.TakeStdout()), TextOf(other.TakeStdout()));
}

TEST_P(SlotProgramTest, ArgumentsStreamsAndExitCodeAreThoseThatWereAskedFor) {
  EXPECT_EQ(Run({"/bin/sh", "-c", "printf '%s|' \"$@\"; echo wrong >&2; exit 42", "sh", "a b", "", "c"}).exit_code(), 42);
  EXPECT_EQ(out_, "a b||c|");
  EXPECT_EQ(err_, "wrong\n");
}

TEST_P(SlotProgramTest, LongArgumentsArriveWhole) {
  const std::string word(100'000, 'x');
  std::vector<std::string> argv = {"/bin/sh", "-c", "echo $#; echo ${#1}", "sh"};
  for (int i = 0; i < 10; ++i) argv.push_back(word);
  EXPECT_TRUE(Run(argv).ok()) << err_;
  EXPECT_EQ(out_, "10\n100000\n");
}

TEST_P(SlotProgramTest, TheBirthIsThatOfProcessLaunch) {
  // Everything that a child has from its caller and its policy.
  const std::vector<std::string> argv = {"/bin/bash", "-c",
                                         "env | grep -v ^_= | sort; pwd; umask; ulimit -a; nice; ls /proc/self/fd | wc -l;"
                                         "grep -E '^(SigPnd|SigBlk|SigIgn|SigCgt|Shd|Cap|NoNew|Seccomp|Cpus_allowed)' /proc/self/status; id; hostname"};
  const mode_t before = umask(027);
  options_.env = {"A=1"};
  options_.argv = argv;
  Process own = Process::Launch(options_).value();
  ASSERT_TRUE(own.Join()->ok());
  const std::string expected = TextOf(own.TakeStdout());
  EXPECT_TRUE(Run(argv).ok()) << err_;
  EXPECT_EQ(out_, expected);
  EXPECT_TRUE(absl::StrContains(out_, "\n0027\n")) << out_;
  umask(before);
}

TEST_P(SlotProgramTest, DescriptorsHaveTheNumbersThatWereAskedForAndNoOtherIsOpen) {
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  options_.inherited = {{.fd = null.get(), .child_fd = 3}, {.fd = null.get(), .child_fd = 4}, {.fd = null.get(), .child_fd = 9}};
  EXPECT_TRUE(Script("cd /proc/self/fd; echo *").ok()) << err_;
  EXPECT_EQ(out_, "0 1 2 3 4 5 9\n");  // 5 is how the shell looks.
}

TEST_P(SlotProgramTest, WhatCannotBeExecutedSaysWhyAsProcessLaunchDoes) {
  const std::vector<std::vector<std::string>> all = {{"/nonexistent"}, {"no-such-program"}, {"/etc"}, {"/usr/share/dict/../../bin/true"},
                                                     {"/etc/ld.so.cache"}};
  for (const std::vector<std::string>& argv : all) {
    options_.argv = argv;
    const Outcome own = Process::Launch(options_)->Join().value();
    const Outcome kept = Run(argv);
    EXPECT_EQ(kept.ToString(), own.ToString()) << argv[0];
    EXPECT_EQ(kept.ShellExitCode(), own.ShellExitCode()) << argv[0];
  }
}

TEST_P(SlotProgramTest, AWorkingDirectoryThatIsMissingIsAnError) {
  options_.cwd = "/nonexistent";
  const Outcome kept = Run({"true"});
  EXPECT_EQ(kept.StatusWord(), "setup_failed") << kept.ToString();
  EXPECT_TRUE(absl::StrContains(kept.ToString(), "/nonexistent")) << kept.ToString();
}

TEST_P(SlotProgramTest, TheNextFindsNothingOfWhatOneHasLeft) {
  EXPECT_TRUE(Script("echo x > /tmp/left; (setsid sleep 1000 &) ; (sleep 1000 &); true").ok()) << err_;
  EXPECT_TRUE(Script("ls -A /tmp; cd /proc; for p in [0-9]*; do cat $p/comm; done").ok()) << err_;
  EXPECT_FALSE(absl::StrContains(out_, "left")) << out_;
  EXPECT_FALSE(absl::StrContains(out_, "sleep")) << out_;
}

// A child's own processes alone are in it, and end with the child.
TEST_P(SlotProgramTest, AProcThatIsWrittenToIsAsTheOneBeforeFoundIt) {
  policy_.proc = ProcAccess::kReadWrite;
  options_.policy = CompilePolicy(policy_).value();
  Lease();
  const std::string first = Sandbox();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Script("cat /proc/$$/comm; printf another >/proc/$$/comm; cat /proc/$$/comm; echo 1 >/proc/sys/kernel/hostname || echo refused; "
                       "echo 1 >/proc/1/oom_score_adj || echo refused").ok());
    EXPECT_EQ(out_, "sh\nanother\nrefused\nrefused\n") << err_;
  }
  EXPECT_EQ(Sandbox(), first);
}

TEST_P(SlotProgramTest, SignalsAndKillsAreTold) {
  const LaunchOptions sleeps = Quiet({"sleep", "1000"});
  Process killed = context_.Launch(sleeps).value();
  EXPECT_GT(killed.pid(), 0);
  ASSERT_TRUE(killed.Kill().ok());
  const Outcome end = killed.Join().value();
  ASSERT_TRUE(std::holds_alternative<Signaled>(end.ending)) << end.ToString();
  EXPECT_EQ(std::get<Signaled>(end.ending).signal, SIGKILL);
  Process terminated = context_.Launch(sleeps).value();
  ASSERT_TRUE(terminated.Terminate().ok());
  const Outcome outcome = terminated.Join().value();
  const auto* const signaled = std::get_if<Signaled>(&outcome.ending);
  ASSERT_NE(signaled, nullptr) << outcome.ToString();
  EXPECT_EQ(signaled->signal, SIGTERM);
}

TEST_P(SlotProgramTest, AViolationIsToldAndTheNextProgramRuns) {
  policy_ = BuiltinPolicy("strict").value();
  options_.policy = CompilePolicy(policy_).value();
  Lease();
  const Outcome outcome = Run({"python3", "-c", "import socket; socket.socket()"});
  EXPECT_EQ(outcome.StatusWord(), "violation") << outcome.ToString() << err_;
  EXPECT_TRUE(Run({"true"}).ok());
}

TEST_P(SlotProgramTest, ItsPeakIsItsOwn) {
  if (ThisMachine().cgroups.memory.empty() && ThisMachine().cgroups.unified.empty()) {
    GTEST_SKIP() << "needs a cgroup for memory: " << ThisMachine().cgroups.why_not;
  }
  policy_.limits.memory_bytes = 1 << 30;
  options_.policy = CompilePolicy(policy_).value();
  Lease();
  const Outcome large = Run({"python3", "-c", "x = b'x' * (100 << 20)"});
  const Outcome small = Run({"true"});
  EXPECT_GE(large.usage.memory_peak_bytes, 100u << 20) << large.ToString();
  EXPECT_LT(small.usage.memory_peak_bytes, 50u << 20) << small.ToString();
}

class SlotCpuTimeTest : public SlotProgramTest {
 protected:
  void SetUp() override {
    // Less than three children of the tests need, and enough for one whose start alone takes long, as in an emulated machine.
    policy_.limits.cpu_time = absl::Seconds(1);
    absl::StatusOr<std::shared_ptr<const CompiledPolicy>> plan = CompilePolicy(policy_);
    if (!plan.ok()) GTEST_SKIP() << plan.status();
    options_.policy = *std::move(plan);
    Lease();
  }
};

INSTANTIATE_TEST_SUITE_P(All, SlotCpuTimeTest, testing::Values(ToldBy::kSupervisor, ToldBy::kKeeper, ToldBy::kKeeperCaptured), NameOf);

TEST_P(SlotCpuTimeTest, IsThatOfTheWholeTree) {
  // Half of it each: neither would reach it alone, nor RLIMIT_CPU.
  const std::string half = "(i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done) & ";
  const Outcome outcome = Script(half + half + "wait");
  EXPECT_EQ(outcome.StatusWord(), "cpu") << outcome.ToString();
  EXPECT_GE(outcome.usage.cpu_time, absl::Seconds(1)) << outcome.ToString();
  EXPECT_LT(outcome.usage.cpu_time, absl::Milliseconds(1300)) << outcome.ToString();
}

TEST_P(SlotCpuTimeTest, BeginsAnewForEachChild) {
  const std::string spin = "import time\nwhile time.process_time() < 0.35: pass\nprint(time.process_time())";
  const std::string kept = Sandbox();
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = Run({"python3", "-c", spin});
    EXPECT_TRUE(outcome.ok()) << outcome.ToString();
    // As it counts itself, which on a busy machine is more; of the one before there would be 0.35 s besides.
    double own = 0;
    ASSERT_TRUE(absl::SimpleAtod(absl::StripAsciiWhitespace(out_), &own)) << out_;
    EXPECT_GE(outcome.usage.cpu_time, absl::Milliseconds(350)) << outcome.ToString();
    EXPECT_LT(outcome.usage.cpu_time, absl::Seconds(own) + absl::Milliseconds(250)) << outcome.ToString();
  }
  EXPECT_EQ(Sandbox(), kept);
}

// Each stop and each continuation is told to the keeper.
TEST_P(SlotProgramTest, NoStormOfStopsPutsOffTheWallLimit) {
  policy_.limits.wall_time = absl::Milliseconds(500);
  options_.policy = CompilePolicy(policy_).value();
  Lease();
  const Outcome outcome = Run({"python3", "-c", R"(
import os, signal
target = os.getpid()
if os.fork():
  while True: pass
while True:
  os.kill(target, signal.SIGSTOP)
  os.kill(target, signal.SIGCONT)
)"});
  EXPECT_EQ(outcome.StatusWord(), "timeout") << outcome.ToString();
  EXPECT_LT(outcome.usage.wall_time, absl::Seconds(10)) << outcome.ToString();
}

TEST_P(SlotProgramTest, WhatASlotCannotGiveIsGivenByASandboxOfItsOwn) {
  const std::string kept = Sandbox();
  options_.tree_end = TreeEnd::kWait;
  EXPECT_NE(Sandbox(), kept);
  options_.tree_end = TreeEnd::kKill;
  EXPECT_EQ(Sandbox(), kept);
  options_.policy = nullptr;
  EXPECT_TRUE(Run({"true"}).ok());
}

TEST_P(SlotProgramTest, WhereThereIsNoServerItIsGivenOneOfItsOwn) {
  const Context without(StartMethod::kForkServer, {.executable = "/nonexistent"});
  ASSERT_FALSE(without.StartServer().ok());
  options_.argv = {"sh", "-c", "exit 7"};
  EXPECT_EQ(without.Launch(options_)->Join()->exit_code(), 7);
}

// The init of a slot is a child of the server's supervisor, and ends with its slot.
TEST_P(SlotProgramTest, ASlotThatNobodyUsesIsGivenUp) {
  ASSERT_TRUE(Run({"true"}).ok());
  std::vector<UniqueFd> inits;
  for (const ServerState& server : ListServers()) {
    if (!server.running) continue;
    std::ifstream children(absl::StrCat("/proc/", server.supervisor, "/task/", server.supervisor, "/children"));
    for (pid_t pid; children >> pid;) {
      std::string name;
      std::getline(std::ifstream(absl::StrCat("/proc/", pid, "/comm")), name);
      if (name == "brood-init") inits.emplace_back(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    }
  }
  ASSERT_FALSE(inits.empty());
  for (const UniqueFd& init : inits) {
    pollfd ended = {init.get(), POLLIN, 0};
    EXPECT_EQ(poll(&ended, 1, 60'000), 1);
  }
  EXPECT_TRUE(Run({"true"}).ok());
}

TEST_P(SlotProgramTest, AnyNumberOfPoliciesFollowOneAnother) {
  for (int i = 0; i < 80; ++i) {
    policy_.hostname = absl::StrCat("host-", i);
    options_.policy = CompilePolicy(policy_).value();
    const Outcome outcome = Run({"hostname"});
    ASSERT_TRUE(outcome.ok()) << i << " " << outcome.ToString() << err_;
    ASSERT_EQ(out_, absl::StrCat("host-", i, "\n"));
  }
}

TEST_P(SlotProgramTest, ThreadsMayLaunchAtOnceUnderDifferentPolicies) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      Policy policy = policy_;
      policy.hostname = absl::StrCat("thread-", t);
      LaunchOptions options = options_;
      options.policy = CompilePolicy(policy).value();
      options.argv = {"hostname"};
      for (int i = 0; i < 20; ++i) {
        Process process = context_.Launch(options).value();
        const Outcome outcome = process.Join().value();
        EXPECT_TRUE(outcome.ok()) << outcome.ToString();
        EXPECT_EQ(TextOf(process.TakeStdout()), absl::StrCat("thread-", t, "\n"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(SlotProgramTest, AnotherSupervisorTakesThePlaceOfAKilledOne) {
  ASSERT_TRUE(Run({"true"}).ok());
  for (const ServerState& server : ListServers()) {
    if (server.running) kill(server.supervisor, SIGKILL);
  }
  for (;;) {
    bool runs = false;
    for (const ServerState& server : ListServers()) runs |= server.running;
    if (!runs) break;
    std::this_thread::yield();
  }
  const Outcome outcome = Run({"true"});
  EXPECT_TRUE(outcome.ok()) << outcome.ToString();
}

TEST(ContextLaunchTest, TheOtherStartMethodsLaunchAsProcessLaunchDoes) {
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork}) {
    Process process = Context(method).Launch({.argv = {"sh", "-c", "exit 7"}}).value();
    EXPECT_EQ(process.Join()->exit_code(), 7);
  }
}

}  // namespace
}  // namespace brood
