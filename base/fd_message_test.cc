#include "base/fd_message_child.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/unique_fd.h"
#include "gtest/gtest.h"

namespace brood::child {
namespace {

class FdMessageTest : public testing::Test {
 protected:
  FdMessageTest() {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    sender_.reset(pair[0]);
    receiver_.reset(pair[1]);
  }

  ssize_t Send(size_t bytes, size_t fds) {
    static char data[64];
    const iovec part = {data, bytes};
    return SendWithFds(sender_.get(), &part, 1, std::vector<int>(fds, sender_.get()).data(), fds, 0);
  }

  FdMessage Receive(size_t bytes, size_t capacity) {
    char data[64];
    const iovec part = {data, bytes};
    int numbers[kMaxFdsOfMessage];
    const FdMessage message = ReceiveWithFds(receiver_.get(), &part, 1, numbers, capacity, 0);
    for (size_t i = 0; i < message.fd_count; ++i) {
      EXPECT_EQ(fcntl(numbers[i], F_GETFD), FD_CLOEXEC);
      received_.emplace_back(numbers[i]);
    }
    return message;
  }

  UniqueFd sender_, receiver_;
  std::vector<UniqueFd> received_;
};

TEST_F(FdMessageTest, CarriesAsManyDescriptorsAsTheKernelAllowsAndNoMore) {
  ASSERT_EQ(Send(5, kMaxFdsOfMessage), 5);
  const FdMessage message = Receive(64, kMaxFdsOfMessage);
  EXPECT_EQ(message.bytes, 5);
  EXPECT_EQ(message.fd_count, kMaxFdsOfMessage);
  EXPECT_FALSE(message.cut || message.fds_lost);
  EXPECT_EQ(Send(5, kMaxFdsOfMessage + 1), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(FdMessageTest, ClosesWhatNobodyHasRoomForAndSaysSo) {
  const int next = UniqueFd(dup(0)).get();
  ASSERT_EQ(Send(1, 5), 1);
  const FdMessage message = Receive(1, 2);
  EXPECT_EQ(message.fd_count, 2u);
  EXPECT_TRUE(message.fds_lost);
  received_.clear();
  EXPECT_EQ(UniqueFd(dup(0)).get(), next);
}

TEST_F(FdMessageTest, SaysWhatTheLimitOfOpenFilesHasTaken) {
  ASSERT_EQ(Send(1, 5), 1);
  const pid_t pid = fork();
  if (pid == 0) {
    const rlimit none = {3, 3};
    setrlimit(RLIMIT_NOFILE, &none);
    const FdMessage message = Receive(1, 5);
    _exit(message.bytes == 1 && message.fd_count < 5 && message.fds_lost ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST_F(FdMessageTest, SaysThatBytesWereCutAndTellsAnEmptyRecordFromNone) {
  ASSERT_EQ(Send(8, 0), 8);
  EXPECT_TRUE(Receive(4, 0).cut);
  ASSERT_EQ(Send(0, 0), 0);
  EXPECT_EQ(Receive(4, 0).bytes, 0);
  EXPECT_EQ(Receive(4, 0).bytes, -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(FdMessageTest, RaisesNoSignalWhenNobodyListens) {
  receiver_.reset();
  EXPECT_EQ(Send(1, 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

}  // namespace
}  // namespace brood::child
