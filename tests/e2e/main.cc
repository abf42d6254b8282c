// The main function of end-to-end tests.
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>

#include "gtest/gtest.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  // Attacks mount things. If the sandbox that should stop them does not, they may hit this namespace only.
  if (geteuid() == 0 && (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) != 0 ||
                         mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)) {
    std::perror("enter a private mount namespace");
    return 1;
  }
  return RUN_ALL_TESTS();
}
