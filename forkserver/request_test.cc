#include "forkserver/request.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace brood::internal {
namespace {

class RequestTest : public testing::Test {
 protected:
  RequestTest() {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    client_.reset(pair[0]);
    server_.reset(pair[1]);
  }

  UniqueFd client_, server_;
};

TEST_F(RequestTest, ARecordWithoutBytesIsABadRequestAndNotTheEnd) {
  ASSERT_EQ(send(client_.get(), "", 0, 0), 0);
  ASSERT_EQ(SendRequest(client_.get(), "abc", {0}, {}), absl::OkStatus());
  Request bad, good, none;
  EXPECT_EQ(ReceiveRequest(server_.get(), bad).code(), absl::StatusCode::kDataLoss);
  ASSERT_EQ(ReceiveRequest(server_.get(), good), absl::OkStatus());
  EXPECT_EQ(good.bytes, "abc");
  EXPECT_EQ(good.fds.size(), 1u);
  client_.reset();
  EXPECT_EQ(ReceiveRequest(server_.get(), none).code(), absl::StatusCode::kOutOfRange);
}

TEST_F(RequestTest, SaysThatItsDescriptorsHadNoRoom) {
  for (const size_t count : {size_t{3}, size_t{600}}) {
    ASSERT_EQ(SendRequest(client_.get(), "abc", std::vector<int>(count, 0), {}), absl::OkStatus());
    const pid_t pid = fork();
    if (pid == 0) {
      // What is open stays so; there is room for a few of 600.
      const rlim_t next = static_cast<rlim_t>(UniqueFd(dup(0)).release());
      const rlimit limit = {next + (count == 3 ? 1 : 300), next + 300};
      setrlimit(RLIMIT_NOFILE, &limit);
      Request request;
      _exit(absl::IsResourceExhausted(ReceiveRequest(server_.get(), request)) ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0) << count;
  }
}

TEST_F(RequestTest, ASocketThatNobodyEmptiesIsADeadlineThatPasses) {
  const std::string bytes(size_t{60} << 10, 'x');
  absl::Status sent;
  for (int i = 0; i < 1000 && sent.ok(); ++i) sent = SendRequest(client_.get(), bytes, {}, {.patience = absl::Milliseconds(1)});
  EXPECT_EQ(sent.code(), absl::StatusCode::kDeadlineExceeded) << sent;
}

}  // namespace
}  // namespace brood::internal
