#include "forkserver/owner_watch.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace brood::internal {
namespace {

UniqueFd Pidfd(pid_t pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

TEST(OwnerWatchTest, EndsItsProcessWithTheOwner) {
  const pid_t owner = fork();
  if (owner == 0) {
    while (true) pause();
  }
  const UniqueFd owner_fd = Pidfd(owner);
  const pid_t server = fork();
  if (server == 0) {
    OwnerWatch watch;
    if (!watch.Start(owner_fd.get()).ok()) _exit(1);
    kill(owner, SIGKILL);
    while (true) pause();
  }
  int status = 0;
  ASSERT_EQ(waitpid(server, &status, 0), server);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  ASSERT_EQ(waitpid(owner, &status, 0), owner);
}

TEST(OwnerWatchTest, LeavesNothingWhenItsTimeIsOver) {
  const UniqueFd self = Pidfd(getpid());
  const int next = UniqueFd(dup(0)).get();
  {
    OwnerWatch watch;
    ASSERT_EQ(watch.Start(self.get()), absl::OkStatus());
  }
  EXPECT_EQ(waitpid(-1, nullptr, __WALL), -1);
  EXPECT_EQ(UniqueFd(dup(0)).get(), next);
}

TEST(OwnerWatchTest, SaysSoWhereItCannotWatch) {
  const UniqueFd self = Pidfd(getpid());
  const int next = UniqueFd(dup(0)).get();
  for (int room = 0; room < 3; ++room) {  // It needs three descriptors.
    const pid_t pid = fork();
    if (pid == 0) {
      const rlimit limit = {static_cast<rlim_t>(next + room), static_cast<rlim_t>(next + room)};
      setrlimit(RLIMIT_NOFILE, &limit);
      OwnerWatch watch;
      _exit(absl::IsResourceExhausted(watch.Start(self.get())) ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0) << "with room for " << room;
  }
}

}  // namespace
}  // namespace brood::internal
