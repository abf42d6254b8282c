// A keeper by itself, with the test as its supervisor.
#include "forkserver/keeper_child.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <thread>

#include "base/unique_fd.h"
#include "forkserver/request.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

using child::KeeperNote;
using child::OrderTag;

struct Pair {
  UniqueFd ours, theirs;
  Pair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    ours.reset(fds[0]);
    theirs.reset(fds[1]);
  }
};

std::optional<KeeperNote> NextNote(const UniqueFd& socket) {
  KeeperNote note;
  if (recv(socket.get(), &note, sizeof(note), 0) != static_cast<ssize_t>(sizeof(note))) return std::nullopt;
  return note;
}

// What a keeper answers to an order of a server that has, or has not, another thread.
std::optional<KeeperNote> AnswerOfAServer(bool has_thread) {
  Pair server, keeper;
  const pid_t pid = fork();
  if (pid == 0) {
    server.ours.reset();
    keeper.ours.reset();
    keeper.theirs.reset();
    child::KeeperHouse house;
    if (child::OpenKeeperHouse(&house) != nullptr) _exit(1);
    house.run = [](const child::ChildOrder& /*unused*/) { _exit(7); };
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    if (has_thread) std::thread([] { while (true) pause(); }).detach();
    child::RunKeeperHouse(house, server.theirs.get());
  }
  server.theirs.reset();
  const OrderTag born = {.kind = OrderTag::Kind::kKeeper, .flags = 0};
  EXPECT_TRUE(internal::SendRequest(server.ours.get(), "", {keeper.theirs.get()}, {.tag = born.Encode()}).ok());
  keeper.theirs.reset();
  std::optional<KeeperNote> note = NextNote(keeper.ours);
  EXPECT_TRUE(note.has_value() && note->kind == KeeperNote::Kind::kHello);
  EXPECT_TRUE(internal::SendRequest(keeper.ours.get(), "", {}, {.tag = OrderTag{}.Encode()}).ok());
  note = NextNote(keeper.ours);
  keeper.ours.reset();
  server.ours.reset();
  while (waitpid(-1, nullptr, __WALL) > 0 || errno == EINTR) {
  }
  return note;
}

TEST(KeeperTest, ForksWhileItsServerHasOneThread) {
  const std::optional<KeeperNote> note = AnswerOfAServer(false);
  ASSERT_TRUE(note.has_value());
  EXPECT_EQ(note->kind, KeeperNote::Kind::kEnded);
  EXPECT_TRUE(WIFEXITED(note->status));
  EXPECT_EQ(WEXITSTATUS(note->status), 7);
}

// However that has come about since the preload, after which it was looked at.
TEST(KeeperTest, RefusesToForkWhileItsServerHasAnotherThread) {
  const std::optional<KeeperNote> note = AnswerOfAServer(true);
  ASSERT_TRUE(note.has_value());
  EXPECT_EQ(note->kind, KeeperNote::Kind::kRefused);
  EXPECT_EQ(note->error, KeeperNote::kHasThreads);
}

}  // namespace
}  // namespace brood
