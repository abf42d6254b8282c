// For tests of what a plain fork of this process finds.
#ifndef BROOD_FORKSERVER_IN_CHILD_TESTING_H_
#define BROOD_FORKSERVER_IN_CHILD_TESTING_H_

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "gtest/gtest.h"

namespace brood {

// Whether `claim` is true in a fork. A child that dies of it has not confirmed it.
template <typename Claim>
bool TrueInChild(const Claim& claim) {
  const pid_t pid = fork();
  if (pid == 0) _exit(claim() ? 0 : 1);
  int status = 0;
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Runs `test` in a fork, in which EXPECT and ASSERT may be used; what fails there fails here.
template <typename Test>
void TestInChild(const Test& test) {
  std::fflush(nullptr);
  EXPECT_TRUE(TrueInChild([&] {
    test();
    std::fflush(nullptr);
    return !testing::Test::HasFailure();
  }));
}

}  // namespace brood

#endif  // BROOD_FORKSERVER_IN_CHILD_TESTING_H_
