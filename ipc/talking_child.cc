#include "ipc/talking_child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "gtest/gtest.h"

namespace brood {

void RequireFailed(const char* file, int line, const char* what) {
  dprintf(STDERR_FILENO, "%s:%d: in a child: %s\n", file, line, what);
  _exit(1);
}

void TalkingChild::Parent::Say(char word) const { BROOD_REQUIRE(write(to_parent_, &word, 1) == 1); }

void TalkingChild::Parent::Await() const {
  char word = 0;
  BROOD_REQUIRE(read(from_parent_, &word, 1) == 1);
}

void TalkingChild::Parent::Sleep() const {
  for (;;) pause();
}

TalkingChild::TalkingChild(const std::function<int(const Parent&)>& body) {
  int up[2];
  int down[2];
  EXPECT_EQ(pipe2(up, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(down, O_CLOEXEC), 0);
  from_child_.reset(up[0]);
  to_child_.reset(down[1]);
  fflush(nullptr);
  pid_ = fork();
  EXPECT_GE(pid_, 0);
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    from_child_.reset();
    to_child_.reset();
    Parent parent;
    parent.to_parent_ = up[1];
    parent.from_parent_ = down[0];
    _exit(body(parent));
  }
  close(up[1]);
  close(down[0]);
}

TalkingChild::TalkingChild(TalkingChild&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      from_child_(std::move(other.from_child_)),
      to_child_(std::move(other.to_child_)) {}

TalkingChild::~TalkingChild() {
  if (pid_ > 0) Kill();
}

char TalkingChild::Await() {
  pollfd ready = {.fd = from_child_.get(), .events = POLLIN, .revents = 0};
  char word = 0;
  const bool heard = poll(&ready, 1, 60'000) == 1 && read(from_child_.get(), &word, 1) == 1;
  EXPECT_TRUE(heard) << "the child said nothing";
  return word;
}

void TalkingChild::Go() { EXPECT_EQ(write(to_child_.get(), "g", 1), 1); }

int TalkingChild::Kill() {
  kill(pid_, SIGKILL);
  return Join();
}

int TalkingChild::Join() {
  int status = 0;
  while (waitpid(std::exchange(pid_, -1), &status, 0) < 0) {
    if (errno != EINTR) return -1000;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace brood
