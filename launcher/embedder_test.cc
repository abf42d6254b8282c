// The library in a process that makes it hard: closed streams, reaped children, no room, no rights, no binary, no cwd.
// What changes the process as a whole runs in a fork of the test.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/launcher.h"

namespace brood {
namespace {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

ExitCode Leave(int code) { return {code}; }
BROOD_TARGET(Leave);

constexpr int kHangsFd = 9;

// A spawned copy of this program that never gets as far as to say that it is ready: it says its pid, and hangs.
const bool hangs = [] {
  if (getenv("BROOD_TEST_HANGS") == nullptr) return false;
  const pid_t self = getpid();
  if (write(kHangsFd, &self, sizeof(self)) != sizeof(self)) _exit(1);
  for (;;) pause();
}();

std::string TextOf(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = pread(fd.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

// Runs `body` in a fork, and gives what it says: nothing if all is well.
std::string InFork(const std::function<std::string()>& body) {
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) return "pipe";
  const UniqueFd reader(pipe[0]);
  UniqueFd writer(pipe[1]);
  const pid_t pid = fork();
  if (pid == 0) {
    // Far away from where a body closes and opens.
    const int out = fcntl(writer.get(), F_DUPFD_CLOEXEC, 500);
    const std::string said = body();
    const bool written = write(out, said.data(), said.size()) == static_cast<ssize_t>(said.size());
    _exit(written ? 0 : 1);
  }
  writer.reset();
  std::string said;
  char buffer[4096];
  for (ssize_t n; (n = read(reader.get(), buffer, sizeof(buffer))) > 0;) said.append(buffer, static_cast<size_t>(n));
  int status = -1;
  if (waitpid(pid, &status, 0) != pid || status != 0) return absl::StrCat(said, " (wait status ", status, ")");
  return said;
}

std::string Expect(const absl::StatusOr<Outcome>& outcome, int code) {
  if (!outcome.ok()) return outcome.status().ToString();
  return outcome->exit_code() == code ? "" : outcome->ToString();
}

// One child of each kind, each with the exit code 7.
std::string EachKindEndsWithSeven() {
  absl::StatusOr<Process> program = Process::Start({.argv = {"sh", "-c", "exit 7"}});
  if (!program.ok()) return absl::StrCat("program: ", program.status().ToString());
  if (const std::string said = Expect(program->Join(absl::Seconds(20)), 7); !said.empty()) return "program: " + said;
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    absl::StatusOr<Process> function = Context(method).Start(Leave, 7);
    const std::string name(StartMethodName(method));
    if (!function.ok()) return absl::StrCat(name, ": ", function.status().ToString());
    if (const std::string said = Expect(function->Join(absl::Seconds(20)), 7); !said.empty()) return name + ": " + said;
    const absl::StatusOr<int> squared = Context(method).Call(Square, 7);
    if (!squared.ok() || *squared != 49) return absl::StrCat(name, " call: ", squared.status().ToString());
  }
  return "";
}

int OpenDescriptors() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

TEST(EmbedderTest, MayIgnoreSigchld) {
  EXPECT_EQ(InFork([] {
              signal(SIGCHLD, SIG_IGN);
              return EachKindEndsWithSeven();
            }),
            "");
}

TEST(EmbedderTest, MayReapEverythingInAHandler) {
  EXPECT_EQ(InFork([] {
              signal(SIGCHLD, [](int) {
                while (waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
                }
              });
              return EachKindEndsWithSeven();
            }),
            "");
}

TEST(EmbedderTest, MayReapEverythingInAThread) {
  EXPECT_EQ(InFork([]() -> std::string {
              std::thread([] {
                while (true) waitpid(-1, nullptr, __WALL);
              }).detach();
              for (int i = 0; i < 20; ++i) {
                absl::StatusOr<Process> process = Process::Start({.argv = {"sh", "-c", "exit 7"}});
                if (!process.ok()) return process.status().ToString();
                const std::string said = Expect(process->Join(absl::Seconds(20)), 7);
                if (!said.empty()) return said;
              }
              return "";
            }),
            "");
}

// Whatever brood opens then gets the numbers of the child's own streams.
TEST(EmbedderTest, MayHaveClosedItsStreams) {
  for (int mask = 1; mask < 8; ++mask) {
    EXPECT_EQ(InFork([mask]() -> std::string {
                for (int fd = 0; fd < 3; ++fd) {
                  if ((mask & 1 << fd) != 0) close(fd);
                }
                if (const std::string said = EachKindEndsWithSeven(); !said.empty()) return said;
                UniqueFd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
                LaunchOptions options;
                options.argv = {"sh", "-c", "read x; printf out; printf err >&2; readlink /proc/self/fd/9"};
                options.stdin_spec = Stdio::Null();
                options.stdout_spec = Stdio::Capture();
                options.stderr_spec = Stdio::Capture();
                options.inherited = {{.fd = zero.get(), .child_fd = 9}};
                absl::StatusOr<Process> process = Process::Start(options);
                if (!process.ok()) return process.status().ToString();
                if (const std::string said = Expect(process->Join(absl::Seconds(20)), 0); !said.empty()) return said;
                const std::string out = TextOf(process->TakeStdout());
                const std::string err = TextOf(process->TakeStderr());
                return out == "out/dev/zero\n" && err == "err" ? "" : absl::StrCat("out: ", out, ", err: ", err);
              }),
              "")
        << mask;
  }
}

TEST(EmbedderTest, MayHoldTenThousandDescriptors) {
  EXPECT_EQ(InFork([]() -> std::string {
              rlimit limit{};
              getrlimit(RLIMIT_NOFILE, &limit);
              if (limit.rlim_max < 11'000) return "";  // Nothing that this machine could have.
              limit.rlim_cur = 11'000;
              setrlimit(RLIMIT_NOFILE, &limit);
              for (int i = 0; i < 10'000; ++i) {
                if (dup(0) < 0) return "dup";
              }
              return EachKindEndsWithSeven();
            }),
            "");
}

// At each place where a launch may run out of descriptors it says so, leaks none, and the next one works.
TEST(EmbedderTest, RunningOutOfDescriptorsIsResourceExhausted) {
  EXPECT_EQ(InFork([]() -> std::string {
              rlimit before{};
              getrlimit(RLIMIT_NOFILE, &before);
              int refused = 0;
              int started = 0;
              // The forkserver is there from its first start on.
              if (absl::Status warm = Context(StartMethod::kForkServer).Call(Square, 7).status(); !warm.ok()) return warm.ToString();
              const StartMethod methods[] = {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer};
              for (int room = 0; room < 30; ++room) {
                for (const int kind : {0, 1, 2, 3}) {
                  LaunchOptions options;
                  options.argv = {"true"};
                  options.stdout_spec = Stdio::Capture();
                  const int open_before = OpenDescriptors();
                  rlimit limit = before;
                  const UniqueFd lowest(dup(0));
                  limit.rlim_cur = static_cast<rlim_t>(lowest.get() + 1 + room);
                  setrlimit(RLIMIT_NOFILE, &limit);
                  {
                    absl::StatusOr<Process> process =
                        kind == 0
                            ? Process::Start(options)
                            : Context(methods[kind - 1]).Start(options, Square, 7);
                    if (process.ok()) {
                      ++started;
                      if (const std::string said = Expect(process->Join(absl::Seconds(20)), 0); !said.empty())
                        return said;
                    } else {
                      ++refused;
                      if (!absl::IsResourceExhausted(process.status())) {
                        return absl::StrCat("room ", room, ", kind ", kind, ": ", process.status().ToString());
                      }
                    }
                  }
                  setrlimit(RLIMIT_NOFILE, &before);
                  if (OpenDescriptors() != open_before + 1)
                    return absl::StrCat("leak with room ", room, ", kind ", kind);
                }
              }
              if (refused == 0 || started == 0) return absl::StrCat(refused, " refused, ", started, " started");
              return EachKindEndsWithSeven();
            }),
            "");
}

TEST(EmbedderTest, RunningOutOfProcessesIsResourceExhausted) {
  if (getuid() != 0) GTEST_SKIP() << "needs root, to become a user who has no other process";
  EXPECT_EQ(InFork([]() -> std::string {
              if (setresuid(61'234, 61'234, 61'234) != 0) return "setresuid";
              int refused = 0;
              // This process is one itself.
              for (const rlim_t processes : {1, 2, 3, 4, 8}) {
                const rlimit limit = {processes, 8};
                if (setrlimit(RLIMIT_NPROC, &limit) != 0) return "setrlimit";
                absl::StatusOr<Process> process = Process::Start({.argv = {"true"}});
                if (process.ok()) {
                  if (const std::string said = Expect(process->Join(absl::Seconds(20)), 0); !said.empty()) return said;
                } else if (absl::IsResourceExhausted(process.status())) {
                  ++refused;
                } else {
                  return absl::StrCat(processes, ": ", process.status().ToString());
                }
              }
              return refused > 0 ? "" : "nothing was refused";
            }),
            "");
}

TEST(EmbedderTest, MayStartFromManyThreadsAtOnce) {
  const Context serving(StartMethod::kForkServer);
  ASSERT_EQ(serving.Call(Square, 7).value(), 49);  // The server holds two descriptors of this process from then on.
  const int before = OpenDescriptors();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([i, &serving] {
      const Context spawning(StartMethod::kSpawn);
      const Context forking(StartMethod::kFork, {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
      for (int j = 0; j < 5; ++j) {
        const int number = 10 * i + j;
        EXPECT_EQ(spawning.Call(Square, number).value(), number * number);
        EXPECT_EQ(forking.Call(Square, number).value(), number * number);
        EXPECT_EQ(serving.Call(Square, number).value(), number * number);
        absl::StatusOr<Process> process = Process::Start({.argv = {"sh", "-c", "exit " + std::to_string(number)}});
        ASSERT_TRUE(process.ok()) << process.status();
        EXPECT_EQ(process->Join(absl::Seconds(60)).value().exit_code(), number);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(OpenDescriptors(), before);
}

// PR_SET_PDEATHSIG of a child would fire when the thread that made it ends. prctl(2)
TEST(EmbedderTest, ChildrenOutliveTheThreadThatStartedThem) {
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd reader(pipe[0]);
  UniqueFd writer(pipe[1]);
  LaunchOptions options;
  options.argv = {"sh", "-c", "read line; exit 7"};
  options.stdin_spec = Stdio::Fd(reader.get());
  std::optional<Process> process;
  std::thread([&] {
    absl::StatusOr<Process> started = Process::Start(options);
    ASSERT_TRUE(started.ok()) << started.status();
    process = *std::move(started);
  }).join();
  ASSERT_TRUE(process.has_value());
  EXPECT_EQ(process->Join(absl::Milliseconds(100)).status().code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_EQ(write(writer.get(), "\n", 1), 1);
  EXPECT_EQ(process->Join(absl::Seconds(20)).value().exit_code(), 7);
}

TEST(EmbedderTest, MayHaveNoWorkingDirectory) {
  EXPECT_EQ(InFork([]() -> std::string {
              char folder[] = "/tmp/brood-embedder-XXXXXX";
              if (mkdtemp(folder) == nullptr || chdir(folder) != 0 || rmdir(folder) != 0) return "cannot prepare";
              // Without spawn: googletest itself, in this binary, aborts without a working directory.
              const absl::StatusOr<int> squared = Context(StartMethod::kFork).Call(Square, 7);
              if (!squared.ok()) return squared.status().ToString();
              LaunchOptions options;
              options.argv = {"pwd"};
              options.policy = CompilePolicy(BuiltinPolicy("strict").value()).value();
              options.stdout_spec = Stdio::Capture();
              absl::StatusOr<Process> process = Process::Start(options);
              if (!process.ok()) return process.status().ToString();
              if (const std::string said = Expect(process->Join(absl::Seconds(20)), 0); !said.empty()) return said;
              const std::string out = TextOf(process->TakeStdout());
              return out == "/\n" ? "" : out;
            }),
            "");
}

TEST(EmbedderTest, MayHaveGivenUpItsRights) {
  if (getuid() != 0) GTEST_SKIP() << "needs root, to have rights that can be given up";
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the shadow memory of AddressSanitizer is larger than what a sandbox lets a process have";
#endif
  EXPECT_EQ(InFork([]() -> std::string {
              if (setresgid(61'234, 61'234, 61'234) != 0 || setresuid(61'234, 61'234, 61'234) != 0) return "setresuid";
              if (const std::string said = EachKindEndsWithSeven(); !said.empty()) return said;
              Policy policy = BuiltinPolicy("strict").value();
              policy.limits.memory_bytes.reset();  // What needs a cgroup is not for everybody.
              policy.limits.processes.reset();
              const auto compiled = CompilePolicy(policy);
              if (!compiled.ok()) return compiled.status().ToString();
              const LaunchOptions options = {.argv = {"true"}, .policy = *compiled};
              // Whether others of its new user may look into its memory is for the process to say.
              const absl::Status refused = Process::Start(options).status();
              if (!absl::IsFailedPrecondition(refused) || !absl::StrContains(refused.message(), "PR_SET_DUMPABLE")) {
                return refused.ToString();
              }
              if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return "prctl";
              absl::StatusOr<Process> process = Process::Start(options);
              if (!process.ok()) return process.status().ToString();
              if (const std::string said = Expect(process->Join(absl::Seconds(20)), 0); !said.empty()) return said;
              const absl::StatusOr<int> squared = Context(StartMethod::kSpawn).Call(options, Square, 7);
              return squared.ok() ? "" : squared.status().ToString();
            }),
            "");
}

// Run by the next test, in a copy of this binary that takes itself away.
TEST(EmbedderTest, DISABLED_RemovesItsOwnBinary) {
  char path[PATH_MAX] = {};
  ASSERT_GT(readlink("/proc/self/exe", path, sizeof(path) - 1), 0);
  ASSERT_NE(std::strstr(path, "brood-embedder-"), nullptr) << path;
  ASSERT_EQ(unlink(path), 0);
  ASSERT_EQ(chdir("/"), 0);
  EXPECT_EQ(EachKindEndsWithSeven(), "");
}

TEST(EmbedderTest, MayHaveLostItsBinary) {
  char copy[] = "/tmp/brood-embedder-XXXXXX";
  UniqueFd to(mkstemp(copy));
  ASSERT_TRUE(to.valid());
  {
    std::ifstream from("/proc/self/exe", std::ios::binary);
    std::ofstream(copy, std::ios::binary) << from.rdbuf();
  }
  ASSERT_EQ(fchmod(to.get(), 0700), 0);
  LaunchOptions options;
  options.argv = {copy, "--gtest_filter=*RemovesItsOwnBinary", "--gtest_also_run_disabled_tests"};
  options.stdout_spec = Stdio::Capture();
  options.stderr_spec = Stdio::Merge();
  options.environment_base = EnvironmentBase::kMinimal;  // Not the files that Bazel tells a test to write.
  to.reset();  // A program that somebody may write to cannot run. execve(2), ETXTBSY
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ(process->Join(absl::Seconds(60)).value().exit_code(), 0);
  const std::string out = TextOf(process->TakeStdout());
  EXPECT_TRUE(absl::StrContains(out, "[  PASSED  ] 1 test")) << out;
  EXPECT_NE(access(copy, F_OK), 0);
}

TEST(EmbedderTest, TooLongArgumentsAreNamedAsSuch) {
  LaunchOptions options;
  options.argv = {"true", std::string(size_t{200} << 10, 'x')};  // One argument may have 128 KiB. execve(2)
  absl::Status status = Process::Start(options).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "E2BIG")) << status;
  options.argv = {"true"};
  options.env = {"BIG=" + std::string(size_t{200} << 10, 'x')};
  status = Context(StartMethod::kSpawn).Start(options, Square, 7).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "E2BIG")) << status;
  // A fork has no exec that could be too long, and its arguments travel through the pipe in any case.
  EXPECT_EQ(Context(StartMethod::kFork).Call(options, Square, 7).value(), 49);
}

TEST(EmbedderTest, ZeroBytesInPathsAreRefused) {
  const std::string path("/dev/null\0/x", 12);
  std::vector<LaunchOptions> all(4);
  all[0].cwd = path;
  all[1].stdin_spec = Stdio::Path(path);
  all[2].stdout_spec = Stdio::Path(path);
  all[3].argv = {"true", path};
  for (LaunchOptions& options : all) {
    if (options.argv.empty()) options.argv = {"true"};
    EXPECT_EQ(Process::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Context(StartMethod::kSpawn, {.executable = path}).StartByName({}, "Square", {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// The fourth field of /proc/PID/stat. proc(5).
pid_t ParentOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  int parent = 0;
  return sscanf(line.c_str() + line.rfind(')') + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

std::string NameOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

// Whoever kills a guardian may do so at any time: also while its child runs, but has not said yet that it does.
TEST(EmbedderTest, AGuardianKilledBeforeItsChildIsReadyLeavesNothing) {
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd reader(pipe[0]);
  UniqueFd writer(pipe[1]);
  // With an init, but without the pid namespace that would end with it.
  Policy policy = BuiltinPolicy("none").value();
  policy.namespaces = {Layer::kUser, Layer::kUts};
  LaunchOptions options;
  options.policy = CompilePolicy(policy).value();
  options.env = {"BROOD_TEST_HANGS=1"};
  options.inherited = {{.fd = writer.get(), .child_fd = kHangsFd}};
  std::string ending;
  std::thread caller([&] {
    absl::StatusOr<Process> process = Context(StartMethod::kSpawn).Start(options, Square, 7);
    ending = process.ok() ? std::string(process->Join(absl::Seconds(20)).value().StatusWord()) : process.status().ToString();
  });
  pid_t child = 0;
  ASSERT_EQ(read(reader.get(), &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  const pid_t init = ParentOf(child);
  const pid_t guardian = ParentOf(init);
  ASSERT_EQ(NameOf(init), "brood-init");
  ASSERT_EQ(NameOf(guardian), "brood-guardian");
  // An init that is stopped ends nothing; the guardian, first of the two, cannot wake it.
  ASSERT_EQ(kill(guardian, SIGSTOP), 0);
  ASSERT_EQ(kill(init, SIGSTOP), 0);
  ASSERT_EQ(kill(guardian, SIGKILL), 0);
  caller.join();
  EXPECT_EQ(ending, "lost");
  EXPECT_EQ(NameOf(child), "") << "the child outlived its end";
  if (NameOf(init) == "brood-init") kill(init, SIGCONT);
}

// Invariant 7: no change of process-wide state.
TEST(EmbedderTest, ItsOwnStateIsUntouched) {
  EXPECT_EQ(InFork([]() -> std::string {
              const auto state = [] {
                std::string text;
                for (int number = 1; number < NSIG; ++number) {
                  struct sigaction action {};
                  if (sigaction(number, nullptr, &action) == 0) {
                    absl::StrAppend(&text, number, "=", reinterpret_cast<uintptr_t>(action.sa_handler), " ");
                  }
                }
                sigset_t mask;
                pthread_sigmask(SIG_SETMASK, nullptr, &mask);
                for (int number = 1; number < NSIG; ++number) absl::StrAppend(&text, sigismember(&mask, number));
                const mode_t file_mask = umask(022);
                umask(file_mask);
                char cwd[PATH_MAX];
                absl::StrAppend(&text, " ", file_mask, " ", getcwd(cwd, sizeof(cwd)), " ", OpenDescriptors());
                return text;
              };
              // A forkserver stays: it is there from the first start on.
              if (absl::Status started = Context(StartMethod::kForkServer).Call(Square, 7).status(); !started.ok()) {
                return started.ToString();
              }
              const std::string before = state();
              if (const std::string said = EachKindEndsWithSeven(); !said.empty()) return said;
              Process::Start({.argv = {"/nonexistent"}}).IgnoreError();
              if (waitpid(-1, nullptr, WNOHANG | __WALL) != -1 || errno != ECHILD) return "a child is left";
              const std::string after = state();
              return before == after ? "" : absl::StrCat(before, "\n", after);
            }),
            "");
}

}  // namespace
}  // namespace brood
