// What a child has of its parent, whichever way it is born. CPython's forkserver freezes the server's environment, umask,
// limits, nice value and signal mask; brood's does not.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>

#include "bootstrap/finalizer.h"
#include "launcher/children.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// Environment variable, folder, umask, soft limit of files, nice value, whether SIGUSR1 is blocked, whether ignored.
using Surroundings = std::tuple<std::string, std::string, int, uint64_t, int, bool, bool>;

Surroundings LookAround() {
  const char* const variable = getenv("BROOD_CONFORMANCE");
  char folder[4096] = {};
  (void)!getcwd(folder, sizeof(folder));
  const mode_t mask = umask(0);
  umask(mask);
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, nullptr, &blocked);
  struct sigaction action = {};
  sigaction(SIGUSR1, nullptr, &action);
  return {variable == nullptr ? "" : variable, folder, static_cast<int>(mask), files.rlim_cur,
          getpriority(PRIO_PROCESS, 0), sigismember(&blocked, SIGUSR1) == 1, action.sa_handler == SIG_IGN};
}
BROOD_TARGET(LookAround);

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }
BROOD_TARGET(IsOpen);

void Print(const std::string& text) { std::fputs(text.c_str(), stdout); }
BROOD_TARGET(Print);

using InheritanceTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(InheritanceTest);

TEST_P(InheritanceTest, SurroundingsAreTheCallersAtTheStartAndSignalsAreClean) {
  char folder[4096] = {};
  ASSERT_NE(getcwd(folder, sizeof(folder)), nullptr);
  rlimit files = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit lowered = {.rlim_cur = files.rlim_cur - 7, .rlim_max = files.rlim_max};
  const int nice_value = getpriority(PRIO_PROCESS, 0);

  // After the first start, which the fixture has made: a server must not have frozen them.
  setenv("BROOD_CONFORMANCE", "set later", 1);
  ASSERT_EQ(chdir("/usr"), 0);
  const mode_t mask = umask(027);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  sigset_t block, unblocked;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  sigprocmask(SIG_BLOCK, &block, &unblocked);
  signal(SIGUSR1, SIG_IGN);
  const absl::StatusOr<Surroundings> seen = context_.Call(LookAround);
  signal(SIGUSR1, SIG_DFL);
  sigprocmask(SIG_SETMASK, &unblocked, nullptr);
  setrlimit(RLIMIT_NOFILE, &files);
  umask(mask);
  ASSERT_EQ(chdir(folder), 0);
  unsetenv("BROOD_CONFORMANCE");

  ASSERT_TRUE(seen.ok()) << seen.status();
  EXPECT_EQ(*seen, Surroundings("set later", "/usr", 027, lowered.rlim_cur, nice_value, false, false));
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

}  // namespace
}  // namespace brood
