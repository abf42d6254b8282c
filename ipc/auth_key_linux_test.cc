// The key of a process that forks.
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "ipc/auth_key.h"

namespace brood {
namespace {

TEST(AuthKeyTest, AForkedChildHasItsParentsKey) {
  const AuthKey before = CurrentAuthKey().value();
  const pid_t child = fork();
  if (child == 0) _exit(CurrentAuthKey().value() == before ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace brood
