// The sandbox on real processes, through the public interface.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

std::string ReadAll(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  ssize_t n;
  while ((n = pread(fd.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

struct Result {
  Outcome outcome;
  std::string out;
  std::string err;
};

struct Way {
  const char* policy;
  bool kept;  // In a sandbox of a forkserver's, one program after the other; else in one of its own.
};

class SandboxTest : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    policy_ = BuiltinPolicy(GetParam().policy).value();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Result Run(const std::string& script) {
    Result result;
    absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy_);
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    if (!compiled.ok()) return result;
    LaunchOptions options;
    options.argv = {"sh", "-c", script};
    options.policy = *compiled;
    options.stdin_spec = Stdio::Null();
    options.stdout_spec = Stdio::Capture();
    options.stderr_spec = Stdio::Capture();
    absl::StatusOr<Process> process = GetParam().kept ? Kept().Launch(options) : Process::Launch(options);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return result;
    absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    if (outcome.ok()) result.outcome = *outcome;
    result.out = ReadAll(process->TakeStdout());
    result.err = ReadAll(process->TakeStderr());
    return result;
  }

  static const Context& Kept() {
    static const Context context(StartMethod::kForkServer);
    return context;
  }

  void Bind(const std::string& path, FileRule::Access access) {
    policy_.files.push_back({.kind = FileRule::Kind::kBind, .source = path, .destination = path, .access = access});
  }

  std::string directory_;
  Policy policy_;
};

INSTANTIATE_TEST_SUITE_P(Policies, SandboxTest,
                         testing::Values(Way{"strict", false}, Way{"default", false}, Way{"strict", true}, Way{"default", true}),
                         [](const auto& param) { return std::string(param.param.policy) + (param.param.kept ? "_kept" : ""); });

TEST(CompilePolicyTest, LessMemoryThanAPageIsAnErrorThatSaysSo) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.memory_bytes = 4095;
  EXPECT_EQ(CompilePolicy(policy).status().message(), "limits: memory must be at least 4K, a page: nothing could start");
}

// As in a file, whoever says it.
TEST(CompilePolicyTest, ALimitOfNothingIsAnError) {
  const std::vector<std::pair<Limits, std::string>> limits = {
      {{.wall_time = absl::ZeroDuration()}, "limits: wall_time must be more than zero"},
      {{.wall_time = -absl::InfiniteDuration()}, "limits: wall_time must be more than zero"},
      {{.cpu_time = absl::Seconds(-1)}, "limits: cpu_time must be more than zero"},
      {{.wall_time = absl::Seconds(1), .grace = absl::Seconds(-1)}, "limits: grace must be more than zero"},
      {{.open_files = 0}, "limits: open_files must be more than zero: nothing could start"},
      {{.processes = 0}, "limits: memory and processes must be more than zero: nothing could start"},
  };
  for (const auto& [limit, problem] : limits) {
    Policy asked = BuiltinPolicy("none").value();
    asked.limits = limit;
    EXPECT_EQ(CompilePolicy(asked).status().message(), problem);
    Policy brought = BuiltinPolicy("none").value();
    brought.default_limits = limit;
    EXPECT_EQ(CompilePolicy(brought).status().message(), problem);
  }
  Policy endless = BuiltinPolicy("none").value();
  endless.limits.wall_time = absl::InfiniteDuration();
  EXPECT_TRUE(CompilePolicy(endless).ok()) << CompilePolicy(endless).status();
}

TEST(CompilePolicyTest, AHostnameNeedsItsNamespace) {
  Policy policy = BuiltinPolicy("none").value();
  policy.hostname = "inside";
  EXPECT_EQ(CompilePolicy(policy).status().message(), "hostname: needs the uts namespace; add \"uts\" to namespaces");
  policy.namespaces = {Layer::kUts};
  policy.hostname = std::string(65, 'h');
  EXPECT_EQ(CompilePolicy(policy).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CompilePolicyTest, AFileRuleHasNothingThatDoesNotGoWithItsKind) {
  const std::vector<FileRule> rules = {
      {.source = "/usr", .destination = "/a", .layers = {"/bin"}},
      {.source = "/usr", .destination = "/a", .changes = "/tmp"},
      {.source = "/usr", .destination = "/a", .text = "x"},
      {.kind = FileRule::Kind::kTmpfs, .destination = "/a", .access = FileRule::Access::kDevice},
      {.source = "/usr", .destination = "/a", .mode = 0755},
      {.kind = FileRule::Kind::kDirectory, .destination = "/a", .mode = 04755},
      {.kind = FileRule::Kind::kSymlink, .destination = "/a", .text = std::string("a\0b", 3)},
      {.kind = FileRule::Kind::kMerged, .source = "/usr", .destination = "/a"},
      {.kind = FileRule::Kind::kFile, .destination = "/a", .no_exec = true},
  };
  for (const FileRule& rule : rules) {
    Policy policy = BuiltinPolicy("default").value();
    policy.files.push_back(rule);
    EXPECT_EQ(CompilePolicy(policy).status().code(), absl::StatusCode::kInvalidArgument) << static_cast<int>(rule.kind);
  }
}

// A policy is compiled once, and its device may be another file by the time of a launch.
TEST_P(SandboxTest, WhatIsNoDeviceAnyMoreIsNotShownAsOne) {
  if (geteuid() != 0) GTEST_SKIP() << "only root makes devices";
  const std::string device = directory_ + "/device";
  if (mknod(device.c_str(), S_IFCHR | 0666, makedev(1, 5)) != 0) GTEST_SKIP() << "no device can be made here";
  policy_.files.push_back({.source = device, .destination = "/given", .access = FileRule::Access::kDevice});
  const auto compiled = CompilePolicy(policy_);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  ASSERT_EQ(unlink(device.c_str()), 0);
  std::ofstream(device) << "a file";
  LaunchOptions options;
  options.argv = {"cat", "/given"};
  options.policy = *compiled;
  options.stdout_spec = options.stderr_spec = Stdio::Null();
  absl::StatusOr<Process> process = Process::Launch(options);
  ASSERT_TRUE(process.ok()) << process.status();
  const Outcome outcome = process->Join(absl::Seconds(60)).value();
  const auto* failed = std::get_if<SetupFailed>(&outcome.ending);
  ASSERT_NE(failed, nullptr) << outcome.ToString();
  EXPECT_NE(failed->detail.find("no device any more"), std::string::npos) << failed->detail;
}

TEST_P(SandboxTest, NothingOfTheHostIsVisibleThatWasNotListed) {
  std::ofstream(directory_ + "/secret") << "the secret";
  const Result result = Run("ls -A / | tr '\\n' ' '; ls -A /tmp; cat " + directory_ + "/secret; cat /etc/shadow");
  EXPECT_EQ(result.out.find("the secret"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("root "), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("home"), std::string::npos) << result.out;
  EXPECT_EQ(result.outcome.exit_code(), 1) << result.outcome.ToString() << result.err;
}

// Of links in what is shown, to what is mounted after it: a place behind one is found once that is there.
TEST_P(SandboxTest, APlaceBehindALinkToWhatIsMountedLaterIsThere) {
  namespace fs = std::filesystem;
  fs::create_directories(directory_ + "/data");
  fs::create_directories(directory_ + "/zoo/room");
  std::ofstream(directory_ + "/new") << "new";
  std::ofstream(directory_ + "/zoo/room/file") << "old";
  fs::create_symlink("../zoo/room", directory_ + "/data/door");
  fs::create_symlink("/zzz", directory_ + "/data/memory");
  fs::create_symlink("memory/made", directory_ + "/data/further");
  const auto show = [&](const std::string& source, const std::string& destination) {
    policy_.files.push_back({.source = directory_ + source, .destination = destination});
  };
  show("/data", "/data");
  show("/zoo", "/zoo");
  policy_.files.push_back({.kind = FileRule::Kind::kTmpfs, .destination = "/zzz"});
  show("/new", "/data/door/file");
  show("/new", "/data/further/room/file");  // In what the next one shows.
  show("/zoo", "/data/memory/made");
  show("/new", "/data/memory/deep");
  const Result result = Run("cat /data/door/file /zoo/room/file /zzz/deep /zzz/made/room/file");
  EXPECT_EQ(result.out, "newnewnewnew") << result.outcome.ToString() << result.err;
  std::ifstream outside(directory_ + "/zoo/room/file");
  std::string text;
  std::getline(outside, text);
  EXPECT_EQ(text, "old");
}

TEST_P(SandboxTest, APlaceBehindALinkThatLeadsNowhereIsAnErrorThatNamesIt) {
  std::filesystem::create_directories(directory_ + "/data");
  std::filesystem::create_symlink("/nowhere", directory_ + "/data/door");
  std::ofstream(directory_ + "/new") << "new";
  policy_.files.push_back({.source = directory_ + "/data", .destination = "/data"});
  policy_.files.push_back({.source = directory_ + "/new", .destination = "/data/door/file"});
  const Result result = Run("echo ran");
  const auto* failed = std::get_if<SetupFailed>(&result.outcome.ending);
  ASSERT_NE(failed, nullptr) << result.outcome.ToString();
  EXPECT_EQ(failed->step, "mount");
  EXPECT_NE(failed->detail.find("/data/door/file"), std::string::npos) << failed->detail;
}

TEST_P(SandboxTest, WhatThePolicyMakesIsThere) {
  policy_.files.push_back({.kind = FileRule::Kind::kSymlink, .destination = "/link", .text = "../made:it"});
  policy_.files.push_back({.kind = FileRule::Kind::kDirectory, .destination = "/made", .mode = 0711});
  policy_.files.push_back({.kind = FileRule::Kind::kDirectory, .destination = "/tmp/made"});
  policy_.files.push_back({.kind = FileRule::Kind::kFile, .destination = "/etc/given", .text = "content\n", .mode = 0400});
  for (int i = 0; i < 2; ++i) {
    const Result result = Run("readlink /link; stat -c %a /made /tmp/made /etc/given; cat /etc/given; ls /tmp/made; touch /tmp/made/left");
    EXPECT_EQ(result.out, "../made:it\n711\n755\n400\ncontent\n") << result.err << result.outcome.ToString();
    EXPECT_EQ(result.outcome.exit_code(), 0) << result.err;
  }
}

TEST_P(SandboxTest, ADeviceThatIsNamedIsUsed) {
  policy_.files.push_back({.source = "/dev/zero", .destination = "/given", .access = FileRule::Access::kDevice});
  for (int i = 0; i < 2; ++i) {
    const Result result = Run("head -c 2 /given | od -An -tu1; echo x >/given; chmod 600 /given 2>/dev/null || echo kept");
    EXPECT_EQ(result.out, "   0   0\nkept\n") << result.err << result.outcome.ToString();
  }
}

TEST_P(SandboxTest, WhatIsNotToBeExecutedIsNot) {
  std::filesystem::copy_file("/bin/true", directory_ + "/true");
  const auto rules = [&](bool no_exec) {
    policy_.files.push_back({.source = directory_, .destination = "/shown", .no_exec = no_exec});
    policy_.files.push_back({.kind = FileRule::Kind::kTmpfs, .destination = "/tmp", .access = FileRule::Access::kReadWrite, .no_exec = no_exec});
  };
  for (const bool no_exec : {false, true}) {
    rules(no_exec);
    for (int i = 0; i < 2; ++i) {
      const Result result = Run("cp /bin/true /tmp/own; /shown/true; echo $?; /tmp/own; echo $?");
      EXPECT_EQ(result.out, no_exec ? "126\n126\n" : "0\n0\n") << result.err << result.outcome.ToString();
    }
  }
}

TEST_P(SandboxTest, DirectoriesAreShownAsOne) {
  std::filesystem::create_directories(directory_ + "/top");
  std::filesystem::create_directories(directory_ + "/low");
  std::ofstream(directory_ + "/top/one") << "top";
  std::ofstream(directory_ + "/low/one") << "low";
  std::ofstream(directory_ + "/low/two") << "low";
  policy_.files.push_back({.kind = FileRule::Kind::kMerged, .source = directory_ + "/top", .destination = "/both", .layers = {directory_ + "/low"}});
  for (int i = 0; i < 2; ++i) {
    const Result result = Run("cat /both/one /both/two; echo x 2>/dev/null >/both/one || echo kept");
    EXPECT_EQ(result.out, "toplowkept\n") << result.err << result.outcome.ToString();
  }
}

TEST_P(SandboxTest, ListedDirectoriesAreReadOnlyUnlessSaidOtherwise) {
  std::ofstream(directory_ + "/in") << "hello";
  Bind(directory_, FileRule::Access::kReadOnly);
  const Result result = Run("cat " + directory_ + "/in; echo x > " + directory_ + "/new");
  EXPECT_EQ(result.out, "hello") << result.err << result.outcome.ToString();
  EXPECT_NE(result.err.find("Read-only"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/new"));
}

TEST_P(SandboxTest, WritableDirectoriesBelongToTheCallerOutside) {
  Bind(directory_, FileRule::Access::kReadWrite);
  const Result result = Run("echo x > " + directory_ + "/new && stat -c %u " + directory_ + "/new");
  ASSERT_TRUE(result.outcome.ok()) << result.err << result.outcome.ToString();
  EXPECT_EQ(result.out, "1000\n");
  struct stat status;
  ASSERT_EQ(stat((directory_ + "/new").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, geteuid());
}

TEST_P(SandboxTest, TheProgramHasNoPrivilegeAndOwnsNothing) {
  const Result result =
      Run("grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t '; id -u; id -G");
  EXPECT_EQ(result.out,
            "CapInh:0000000000000000\nCapPrm:0000000000000000\nCapEff:0000000000000000\nCapBnd:0000000000000000\n"
            "CapAmb:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n1000\n1000\n")
      << result.err << result.outcome.ToString();
}

TEST_P(SandboxTest, SystemDirectoriesAndTheRootCannotBeWritten) {
  // In /proc no name but the kernel's can be made in any case.
  const Result result = Run("echo x > /proc/x && echo wrote /proc/x; for f in /x /usr/x /bin/x /etc/x /dev/x; do (echo x > $f) 2>&1 | grep -o 'Read-only file system'; done");
  EXPECT_EQ(result.out, "Read-only file system\nRead-only file system\nRead-only file system\nRead-only file system\nRead-only file system\n") << result.err;
}

TEST_P(SandboxTest, OnlyOwnProcessesAreVisible) {
  const Result result = Run("cd /proc; for p in [0-9]*; do echo $p; done | wc -l");
  const int seen = std::stoi(result.out + " 0");
  EXPECT_LE(seen, 4) << result.out;
  EXPECT_GE(seen, 2) << "its init and itself, or nothing was looked at: " << result.outcome.ToString() << result.err;
}

TEST_P(SandboxTest, NoNetworkBeyondItsOwn) {
  const Result result = Run("python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 9), 2)' 2>&1");
  EXPECT_FALSE(result.outcome.ok()) << result.outcome.ToString();
  if (std::string_view(GetParam().policy) == "strict") {
    EXPECT_EQ(result.outcome.StatusWord(), "violation") << result.outcome.ToString() << result.out;
  } else {
    EXPECT_NE(result.out.find("Network is unreachable"), std::string::npos) << result.out;
  }
}

TEST_P(SandboxTest, AMemoryBombIsAMemoryLimit) {
  policy_.default_limits.memory_bytes = 64 << 20;
  const Result result = Run("python3 -c 'x = bytearray(1 << 30); x[::4096] = b\"x\" * (1 << 18)'");
  EXPECT_EQ(result.outcome.StatusWord(), "memory") << result.outcome.ToString() << result.err;
  EXPECT_EQ(result.outcome.ShellExitCode(), 137);
  EXPECT_GT(result.outcome.usage.memory_peak_bytes, 32u << 20);
}

TEST_P(SandboxTest, OneProcessOfSeveralThatRunsOutOfMemoryEndsThemAll) {
  policy_.default_limits.memory_bytes = 64 << 20;
  const Result result = Run("python3 -c 'x = bytearray(1 << 30); x[::4096] = b\"x\" * (1 << 18)' & sleep 50");
  EXPECT_EQ(result.outcome.StatusWord(), "memory") << result.outcome.ToString() << result.err;
}

TEST_P(SandboxTest, AForkBombStopsAtTheProcessLimit) {
  policy_.default_limits.processes = 20;
  policy_.limits.wall_time = absl::Seconds(2);
  // The bomb is not the main program: a shell that cannot fork ends by itself.
  const Result result = Run("sh -c 'f() { f | f & }; f' 2>/dev/null & while :; do :; done");
  EXPECT_EQ(result.outcome.StatusWord(), "timeout") << result.outcome.ToString();
  const auto& hit = result.outcome.limits_hit;
  if (result.outcome.enforced.at(Layer::kProcesses).find("cgroup") != std::string::npos) {
    EXPECT_NE(std::find(hit.begin(), hit.end(), Layer::kProcesses), hit.end());
  }
}

TEST_P(SandboxTest, CpuTimeOfTheWholeTreeIsLimited) {
  const Machine::Cgroups& cgroups = ThisMachine().cgroups;
  if (cgroups.unified.empty() && cgroups.cpuacct.empty()) GTEST_SKIP() << "needs a cgroup: " << cgroups.why_not;
  policy_.limits.cpu_time = absl::Milliseconds(300);
  policy_.limits.wall_time = absl::Seconds(30);
  const Result result = Run("while :; do :; done & while :; do :; done");
  EXPECT_EQ(result.outcome.StatusWord(), "cpu") << result.outcome.ToString();
  EXPECT_EQ(result.outcome.ShellExitCode(), 152);
  EXPECT_LT(result.outcome.usage.cpu_time, absl::Seconds(2));
}

TEST_P(SandboxTest, AFileSizeLimitIsTheSignalThatTheProgramGetsAndNoMore) {
  policy_.limits.file_size_bytes = 4096;
  const Result limited = Run("exec head -c 100000 /dev/zero > /tmp/big");
  const Result raised = Run("kill -XFSZ $$");
  for (const Result& result : {limited, raised}) {
    const auto* signaled = std::get_if<Signaled>(&result.outcome.ending);
    ASSERT_NE(signaled, nullptr) << result.outcome.ToString();
    EXPECT_EQ(signaled->signal, SIGXFSZ);
    EXPECT_TRUE(result.outcome.limits_hit.empty());
    EXPECT_EQ(result.outcome.ShellExitCode(), 153);
    EXPECT_NE(result.outcome.ToString().find("the file_size limit, or"), std::string::npos) << result.outcome.ToString();
  }
}

TEST_P(SandboxTest, AProgramThatStopsItselfOrItsParentIsStillTimedOut) {
  for (const char* script : {"kill -STOP $$", "kill -STOP $PPID; sleep 60", "trap '' TERM INT HUP; sleep 60"}) {
    policy_.limits.wall_time = absl::Milliseconds(300);
    EXPECT_EQ(Run(script).outcome.StatusWord(), "timeout") << script;
  }
}

TEST_P(SandboxTest, TheEnvironmentIsTheOneThatWasAskedFor) {
  setenv("BROOD_TEST_SECRET", "x", 1);
  const Result result = Run("env -u PWD -u _ -u OLDPWD | cut -d= -f1 | sort | tr '\\n' ' '");
  EXPECT_EQ(result.out.find("SECRET"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("HOME LANG PATH"), std::string::npos) << result.out;
}

TEST_P(SandboxTest, TheCallersArgumentsAndEnvironmentCannotBeReadInside) {
  const Result result = Run("cat /proc/1/cmdline /proc/1/environ | tr -d '\\0'; echo looked");
  EXPECT_EQ(result.out, "looked\n") << result.err << result.outcome.ToString();
}

TEST_P(SandboxTest, WallTimeIsThatOfTheProgram) {
  const Result result = Run("sleep 0.2");
  EXPECT_GE(result.outcome.usage.wall_time, absl::Milliseconds(200));
}

TEST_P(SandboxTest, NoCgroupIsLeftBehind) {
  const Machine::Cgroups& cgroups = ThisMachine().cgroups;
  if (cgroups.memory.empty() && cgroups.pids.empty() && cgroups.unified.empty()) GTEST_SKIP() << "no cgroup can be made here: " << cgroups.why_not;
  const auto left = [&] {
    const std::string mine = "brood-child-" + std::to_string(getpid()) + "-";
    std::string found;
    for (const std::string& parent : {cgroups.memory, cgroups.pids, cgroups.cpuacct, cgroups.unified}) {
      if (parent.empty()) continue;
      for (const auto& entry : std::filesystem::directory_iterator(parent)) {
        if (entry.path().filename().string().rfind(mine, 0) == 0) found += entry.path().string() + "\n";
      }
    }
    return found;
  };
  policy_.default_limits.memory_bytes = uint64_t{128} << 20;
  policy_.default_limits.processes = 50;
  for (int i = 0; i < 5; ++i) Run("true");
  EXPECT_EQ(left(), "");
  if (GetParam().kept) return;  // The server's, which has its number.
  LaunchOptions options;
  options.argv = {"sleep", "1000"};
  options.policy = CompilePolicy(policy_).value();
  absl::StatusOr<Process> process = Process::Launch(options);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_NE(left(), "") << "there was never one, and this test has proved nothing";
  ASSERT_TRUE(process->Kill().ok());
  ASSERT_TRUE(process->Join().ok());
  EXPECT_EQ(left(), "");
}

TEST(OwnerTest, KillingTheOwnerKillsTheTree) {
  for (const char* name : {"none", "strict"}) {
    int pipe[2];
    ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
    const pid_t owner = fork();
    ASSERT_GE(owner, 0);
    if (owner == 0) {
      LaunchOptions options;
      options.argv = {"sh", "-c", "echo up; (setsid sleep 600 &) ; sleep 600"};
      options.policy = CompilePolicy(BuiltinPolicy(name).value()).value();
      options.stdout_spec = Stdio::Fd(pipe[1]);
      options.stderr_spec = Stdio::Null();
      absl::StatusOr<Process> process = Process::Start(options);
      if (!process.ok()) _exit(1);
      (void)process->Join();
      _exit(0);
    }
    close(pipe[1]);
    char buffer[8];
    ASSERT_EQ(read(pipe[0], buffer, 3), 3) << name;
    kill(owner, SIGKILL);
    waitpid(owner, nullptr, 0);
    // End of file comes when the last process of the tree is gone.
    pollfd wait = {pipe[0], POLLIN, 0};
    ASSERT_EQ(poll(&wait, 1, 20000), 1) << name << ": the tree outlived its owner";
    EXPECT_EQ(read(pipe[0], buffer, sizeof(buffer)), 0) << name;
    close(pipe[0]);
  }
}

}  // namespace
}  // namespace brood
