// What of its parent a child has that only Linux knows. CPython's forkserver freezes the server's environment, umask, limits,
// nice value and signal mask; brood's does not.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bootstrap/finalizer.h"
#include "launcher/children.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// All that a process has from whoever bore it, one thing a line.
std::string LookAround() {
  const char* const variable = getenv("BROOD_CONFORMANCE");
  char folder[4096] = {};
  std::string text = absl::StrCat("environment ", variable == nullptr ? "" : variable, "\nfolder ",
                                  getcwd(folder, sizeof(folder)) == nullptr ? "?" : folder, "\n");
  const mode_t mask = umask(0);
  umask(mask);
  absl::StrAppend(&text, "umask ", static_cast<int>(mask), "\nnice ", getpriority(PRIO_PROCESS, 0), "\n");
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit = {};
    getrlimit(static_cast<__rlimit_resource>(resource), &limit);
    absl::StrAppend(&text, "limit ", resource, ": ", limit.rlim_cur, " of ", limit.rlim_max, "\n");
  }
  return text;
}
BROOD_TARGET(LookAround);

// The signals from 1 to 64 that are blocked, and those whose action is not the default one.
std::string UncleanSignals() {
  std::string text;
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, nullptr, &blocked);
  for (int number = 1; number <= 64; ++number) {
    struct sigaction action = {};
    if (sigismember(&blocked, number) == 1) absl::StrAppend(&text, number, " is blocked\n");
    if (number == 32 || number == 33) continue;  // The C library's own.
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) absl::StrAppend(&text, number, " is ignored\n");
  }
  return text;
}
BROOD_TARGET(UncleanSignals);

// A process that changes itself: what `body` gives, which is nothing if all is well.
std::string InFork(const std::function<std::string()>& body) {
  RawPipe pipe;
  const pid_t pid = fork();
  if (pid == 0) {
    const std::string said = body();
    _exit(write(pipe.writer.get(), said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  pipe.writer.reset();
  const std::string said = ReadToEnd(pipe.reader.get());
  int status = -1;
  waitpid(pid, &status, 0);
  return status == 0 ? said : absl::StrCat(said, " (wait status ", status, ")");
}

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }
BROOD_TARGET(IsOpen);

std::vector<uint64_t> StreamsOf() {
  std::vector<uint64_t> files;
  for (int stream = 0; stream <= 2; ++stream) {
    struct stat about = {};
    fstat(stream, &about);
    files.push_back(about.st_ino);
  }
  return files;
}
BROOD_TARGET(StreamsOf);

std::string ReadFourBytes() {
  char bytes[4];
  const ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));
  return std::string(bytes, count > 0 ? static_cast<size_t>(count) : 0);
}
BROOD_TARGET(ReadFourBytes);

void Print(const std::string& text) { std::fputs(text.c_str(), stdout); }
BROOD_TARGET(Print);

using InheritanceTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(InheritanceTest);

// Changed after the first start: a server must not have frozen them.
std::string ChangeSurroundings() {
  setenv("BROOD_CONFORMANCE", "set later", 1);
  if (chdir("/usr") != 0 || setpriority(PRIO_PROCESS, 0, 6) != 0) return "cannot be changed";
  umask(027);
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    const auto which = static_cast<__rlimit_resource>(resource);
    rlimit limit = {};
    getrlimit(which, &limit);
    // Each another value, and large enough for a process to run.
    const rlim_t lower = resource == RLIMIT_NOFILE ? 900 : (rlim_t{1} << 46) + static_cast<rlim_t>(resource);
    if (resource == RLIMIT_STACK) {
      limit.rlim_cur = limit.rlim_cur == RLIM_INFINITY ? 16 << 20 : limit.rlim_cur - 4096;
    } else if (lower < limit.rlim_cur) {
      limit.rlim_cur = lower;
    } else if (limit.rlim_cur > 0 && resource != RLIMIT_NPROC) {
      limit.rlim_cur -= 1;
    }
    if (setrlimit(which, &limit) != 0) return absl::StrCat("setrlimit ", resource);
  }
  return "";
}

TEST_P(InheritanceTest, EnvironmentFolderUmaskNiceValueAndAllLimitsAreTheCallersAtTheStart) {
  EXPECT_EQ(InFork([this]() -> std::string {
              if (const absl::Status first = context_.Call(Nothing); !first.ok()) return first.ToString();
              const std::string before = LookAround();
              if (const std::string failed = ChangeSurroundings(); !failed.empty()) return failed;
              const std::string mine = LookAround();
              const absl::StatusOr<std::string> childs = context_.Call(LookAround);
              if (!childs.ok()) return childs.status().ToString();
              if (mine == before) return "nothing was changed";
              return *childs == mine ? "" : absl::StrCat("child:\n", *childs, "parent:\n", mine);
            }),
            "");
}

TEST_P(InheritanceTest, NoSignalIsBlockedOrIgnoredWhateverTheCallerDoes) {
  EXPECT_EQ(InFork([this]() -> std::string {
              if (const absl::Status first = context_.Call(Nothing); !first.ok()) return first.ToString();
              sigset_t all;
              sigfillset(&all);
              sigprocmask(SIG_BLOCK, &all, nullptr);
              for (int number = 1; number <= 64; ++number) signal(number, SIG_IGN);
              if (UncleanSignals().empty()) return "nothing was changed";
              return context_.Call(UncleanSignals).value_or("the call failed");
            }),
            "");
}

TEST_P(InheritanceTest, AStartLeavesTheCallersSignalMaskAndActionsAsTheyWere) {
  sigset_t block, before;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR2);
  sigprocmask(SIG_BLOCK, &block, &before);
  signal(SIGUSR1, SIG_IGN);
  const std::string mine = UncleanSignals();
  EXPECT_EQ(context_.Call(Nothing), absl::OkStatus());
  EXPECT_EQ(UncleanSignals(), mine);
  signal(SIGUSR1, SIG_DFL);
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

TEST_P(InheritanceTest, ADescriptorThatWasNotPassedIsClosed) {
  const UniqueFd high(fcntl(0, F_DUPFD, 200));  // Without close-on-exec.
  ASSERT_TRUE(high.valid());
  EXPECT_FALSE(context_.Call(IsOpen, high.get()).value());
}

TEST_P(InheritanceTest, WhatTheParentHasPrintedAndNotFlushedAppearsOnce) {
  RawPipe pipe;
  const pid_t printer = fork();
  if (printer == 0) {
    dup2(pipe.writer.get(), STDOUT_FILENO);
    std::fputs("parent ", stdout);
    const bool fine = context_.Call(Print, std::string("child ")).ok();
    std::fputs("end", stdout);
    std::fflush(stdout);
    _exit(fine ? 0 : 1);
  }
  pipe.writer.reset();
  EXPECT_EQ(ReadToEnd(pipe.reader.get()), "parent child end");
  int status = -1;
  EXPECT_EQ(waitpid(printer, &status, 0), printer);
  EXPECT_EQ(status, 0);
}

// Python's children read /dev/null.
TEST_P(InheritanceTest, StreamsAreTheCallersUnlessSaidOtherwise) {
  RawPipe pipe;
  ASSERT_EQ(write(pipe.writer.get(), "word", 4), 4);
  LaunchOptions options;
  EXPECT_EQ(context_.Call(options, StreamsOf).value(), StreamsOf());
  options.stdin_spec = Stdio::Fd(pipe.reader.get());
  EXPECT_EQ(context_.Call(options, ReadFourBytes).value(), "word");
  options.stdin_spec = Stdio::Null();
  EXPECT_EQ(context_.Call(options, ReadFourBytes).value(), "");
}

}  // namespace
}  // namespace brood
