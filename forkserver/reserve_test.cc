// Children in reserve, of a keeper by itself, with the test as its supervisor.
#include "forkserver/reserve_child.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/unique_fd.h"
#include "forkserver/keeper_child.h"
#include "forkserver/request.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

using child::KeeperNote;
using child::OrderTag;

// Of an order with two descriptors: it writes to the first, closes it, and waits for the end of the second.
void RunOrder(const child::ChildOrder& order) {
  if (order.fd_count == 2) {
    if (write(order.fds[0], "x", 1) != 1 || close(order.fds[0]) != 0) _exit(1);
    char byte;
    if (read(order.fds[1], &byte, 1) != 0) _exit(2);
  }
  _exit(7);
}

class ReserveTest : public testing::Test {
 protected:
  void SetUp() override {
    int server[2], keeper[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, server), 0);
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, keeper), 0);
    server_.reset(server[0]);
    socket_.reset(keeper[0]);
    if (fork() == 0) {
      server_.reset();
      socket_.reset();
      close(keeper[1]);
      child::KeeperHouse house;
      if (child::OpenKeeperHouse(&house) != nullptr) _exit(1);
      house.run = RunOrder;
      sigset_t all;
      sigfillset(&all);
      sigprocmask(SIG_SETMASK, &all, nullptr);
      child::RunKeeperHouse(house, server[1]);
    }
    close(server[1]);
    const OrderTag born = {.kind = OrderTag::Kind::kKeeper, .flags = 0};
    EXPECT_TRUE(internal::SendRequest(server_.get(), "", {keeper[1]}, {.tag = born.Encode()}).ok());
    close(keeper[1]);
    const std::optional<KeeperNote> hello = NextNote();
    ASSERT_TRUE(hello.has_value());
    keeper_ = hello->pid;
  }

  void TearDown() override {
    socket_.reset();
    server_.reset();
    while (waitpid(-1, nullptr, __WALL) > 0 || errno == EINTR) {
    }
  }

  std::optional<KeeperNote> NextNote() {
    KeeperNote note;
    if (recv(socket_.get(), &note, sizeof(note), 0) != static_cast<ssize_t>(sizeof(note))) return std::nullopt;
    return note;
  }

  void Order(const std::vector<int>& fds) {
    const OrderTag tag = {.flags = OrderTag::kTell};
    EXPECT_TRUE(internal::SendRequest(socket_.get(), "", fds, {.tag = tag.Encode()}).ok());
  }

  // The pid of a child that is ordered, has been told of, and has ended with 7; else 0.
  pid_t Child(const std::vector<int>& fds) {
    Order(fds);
    const std::optional<KeeperNote> born = NextNote();
    const std::optional<KeeperNote> ended = NextNote();
    if (!born.has_value() || !ended.has_value() || born->kind != KeeperNote::Kind::kBorn || born->pid != ended->pid) return 0;
    return WIFEXITED(ended->status) && WEXITSTATUS(ended->status) == 7 ? ended->pid : 0;
  }

  // The only child of the keeper, once it has one and waits for its order.
  pid_t AwaitReserve() const {
    const std::string list = absl::StrCat("/proc/", keeper_, "/task/", keeper_, "/children");
    for (;;) {
      char text[256], call[256];
      if (child::ReadFile(AT_FDCWD, list.c_str(), text, sizeof(text)) < 0) return 0;
      const auto pid = static_cast<pid_t>(child::ParseNumber(text));
      const std::string path = absl::StrCat("/proc/", pid, "/syscall");
      if (pid > 0 && child::ReadFile(AT_FDCWD, path.c_str(), call, sizeof(call)) > 0 && atoi(call) == SYS_read && call[0] == '0') return pid;
      sched_yield();
    }
  }

  pid_t MakeReserve() {
    EXPECT_GT(Child({}), 0);
    EXPECT_GT(Child({}), 0);
    return AwaitReserve();
  }

  UniqueFd server_, socket_;
  pid_t keeper_ = 0;
};

TEST_F(ReserveTest, TheThirdChildThatIsToldOfWasForkedBeforeItsOrder) {
  const pid_t reserve = MakeReserve();
  ASSERT_GT(reserve, 0);
  EXPECT_EQ(Child({}), reserve);
  EXPECT_NE(AwaitReserve(), reserve);
}

TEST_F(ReserveTest, ACallHasNoneInReserve) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(internal::SendRequest(socket_.get(), "", {}, {.tag = OrderTag{}.Encode()}).ok());
    const std::optional<KeeperNote> ended = NextNote();
    ASSERT_TRUE(ended.has_value());
    EXPECT_EQ(ended->kind, KeeperNote::Kind::kEnded);
  }
  // It has come back to its socket when it takes this, which it drops.
  const OrderTag tag = {.kind = OrderTag::Kind::kKill};
  EXPECT_TRUE(internal::SendRequest(socket_.get(), "", {}, {.tag = tag.Encode()}).ok());
  for (int left = 1; left > 0;) ASSERT_EQ(ioctl(socket_.get(), SIOCOUTQ, &left), 0);  // unix(7)
  char text[64];
  const std::string list = absl::StrCat("/proc/", keeper_, "/task/", keeper_, "/children");
  EXPECT_EQ(child::ReadFile(AT_FDCWD, list.c_str(), text, sizeof(text)), 0);
}

TEST_F(ReserveTest, ItHasTheDescriptorsOfItsOrderAndTheKeeperHasThemNoMore) {
  const pid_t reserve = MakeReserve();
  int out[2], hold[2];
  ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(hold, O_CLOEXEC), 0);
  UniqueFd reader(out[0]), writer(out[1]), held(hold[0]), holder(hold[1]);
  Order({writer.get(), held.get()});
  writer.reset();
  held.reset();
  char byte = 0;
  EXPECT_EQ(read(reader.get(), &byte, 1), 1);
  // It has closed its own, and lives: any other copy would be the keeper's.
  EXPECT_EQ(read(reader.get(), &byte, 1), 0);
  holder.reset();
  EXPECT_EQ(NextNote()->kind, KeeperNote::Kind::kBorn);
  const std::optional<KeeperNote> ended = NextNote();
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->pid, reserve);
  EXPECT_EQ(WEXITSTATUS(ended->status), 7);
}

TEST_F(ReserveTest, AnOrderIsServedThoughTheChildInReserveWasKilled) {
  const pid_t reserve = MakeReserve();
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, reserve, 0)));
  ASSERT_EQ(kill(reserve, SIGKILL), 0);
  pollfd end = {pidfd.get(), POLLIN, 0};
  ASSERT_EQ(poll(&end, 1, 10'000), 1);
  int out[2], hold[2];
  ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(hold, O_CLOEXEC), 0);
  UniqueFd reader(out[0]), writer(out[1]), held(hold[0]), holder(hold[1]);
  holder.reset();
  const pid_t served = Child({writer.get(), held.get()});
  EXPECT_GT(served, 0);
  EXPECT_NE(served, reserve);
  writer.reset();
  char byte = 0;
  EXPECT_EQ(read(reader.get(), &byte, 1), 1);
  EXPECT_EQ(read(reader.get(), &byte, 1), 0);
}

TEST_F(ReserveTest, ItEndsWhenItsKeeperIsKilled) {
  const UniqueFd reserve(static_cast<int>(syscall(SYS_pidfd_open, MakeReserve(), 0)));
  ASSERT_TRUE(reserve.valid());
  ASSERT_EQ(kill(keeper_, SIGKILL), 0);
  pollfd end = {reserve.get(), POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, 10'000), 1);
}

TEST_F(ReserveTest, ItHasEndedWhenItsKeeperHasThatNobodyNeedsAnyMore) {
  const UniqueFd reserve(static_cast<int>(syscall(SYS_pidfd_open, MakeReserve(), 0)));
  ASSERT_TRUE(reserve.valid());
  socket_.reset();
  EXPECT_EQ(waitpid(keeper_, nullptr, __WALL), keeper_);
  pollfd end = {reserve.get(), POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, 0), 1);
}

}  // namespace
}  // namespace brood
