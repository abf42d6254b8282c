#include "bootstrap/reseed.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <string>

#include "gtest/gtest.h"

namespace brood {
namespace {

using RandBytes = int (*)(unsigned char* bytes, int size);

RandBytes FindRandBytes() {
  void* const library = dlopen("libcrypto.so.3", RTLD_NOW);
  return library == nullptr ? nullptr : reinterpret_cast<RandBytes>(dlsym(library, "RAND_bytes"));
}

// What a child draws that is the first process of a pid namespace, as is whoever forks it; "" if it cannot be had.
std::string DrawnByANamesake(RandBytes draw, bool reseed) {
  int fds[2];
  if (pipe(fds) != 0) return "";
  const auto pid = static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
  if (pid == 0) {
    if (reseed) internal::ReseedGenerators();
    unsigned char bytes[16] = {};
    draw(bytes, sizeof(bytes));
    (void)!write(fds[1], bytes, getpid() == 1 ? sizeof(bytes) : 0);
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
  close(fds[1]);
  char bytes[16];
  const ssize_t n = read(fds[0], bytes, sizeof(bytes));
  close(fds[0]);
  return std::string(bytes, n > 0 ? static_cast<size_t>(n) : 0);
}

// As the first process of a pid namespace, which has children that are the first of theirs.
int CompareNamesakes(RandBytes draw) {
  unsigned char byte;
  draw(&byte, 1);
  internal::FindGenerators();
  const std::string first = DrawnByANamesake(draw, false);
  if (first.empty()) return 10;
  if (DrawnByANamesake(draw, false) != first) return 11;  // Then there is nothing that needs mending.
  const std::string reseeded = DrawnByANamesake(draw, true);
  if (reseeded == first) return 12;
  return DrawnByANamesake(draw, true) == reseeded ? 13 : 0;
}

TEST(ReseedTest, OpenSslOfAChildWithTheNumberOfItsParentDrawsItsOwnBytes) {
  if (getuid() != 0) GTEST_SKIP() << "needs root, to make a pid namespace";
  const RandBytes draw = FindRandBytes();
  if (draw == nullptr) GTEST_SKIP() << "needs libcrypto.so.3";
  const pid_t outer = fork();
  if (outer == 0) {
    const auto first = static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    if (first < 0) _exit(9);
    if (first == 0) _exit(CompareNamesakes(draw));
    int status = 0;
    waitpid(first, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 8);
  }
  int status = 0;
  ASSERT_EQ(waitpid(outer, &status, 0), outer);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 9) GTEST_SKIP() << "may not make a pid namespace";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ReseedTest, EachKernelSeedIsAnother) {
  KernelSeed one, other;
  EXPECT_NE(std::mt19937_64(one)(), std::mt19937_64(other)());
}

}  // namespace
}  // namespace brood
