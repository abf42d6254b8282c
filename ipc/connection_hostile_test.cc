// Peers that write to the socket what no Connection writes.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ipc/connection.h"
#include "ipc/testing.h"

namespace brood {
namespace {

using internal::FrameHeader;
using internal::FrameKind;
using testing::HasSubstr;

class ConnectionHostileTest : public testing::Test {
 protected:
  void SetUp() override { Open(AF_UNIX); }
  void Open(int domain) {
    int fds[2];
    ASSERT_EQ(socketpair(domain, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    peer_.reset(fds[0]);
    connection_ = Connection::Adopt(UniqueFd(fds[1])).value();
  }

  void Write(std::string_view bytes, int handles = 0) {
    iovec piece = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (handles > 0) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(handles * sizeof(int));
      cmsghdr* part = CMSG_FIRSTHDR(&message);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(handles * sizeof(int));
      const std::vector<int> numbers(handles, peer_.get());
      std::memcpy(CMSG_DATA(part), numbers.data(), handles * sizeof(int));
    }
    ASSERT_EQ(sendmsg(peer_.get(), &message, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void Write(const FrameHeader& header, int handles = 0) {
    Write(std::string_view(reinterpret_cast<const char*>(&header), sizeof(header)), handles);
  }

  // All without waiting: that a bad message is seen at once, with the peer still there, is part of each claim.
  absl::Status Receive() { return connection_.ReceiveBytes({.timeout = absl::ZeroDuration()}).status(); }

  NoDescriptorLeaks no_leaks_;
  UniqueFd peer_;
  Connection connection_;
};

TEST_F(ConnectionHostileTest, GarbageIsDataLossAtItsFirstByteAndForEver) {
  Write("G");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Receive(), absl::DataLossError("receive: these bytes are no message"));
  Write(FrameHeader());
  EXPECT_EQ(Receive().code(), absl::StatusCode::kDataLoss) << "where a message begins is not known any more";
}

TEST_F(ConnectionHostileTest, HeadersThatNoConnectionWritesAreDataLoss) {
  const FrameHeader bad[] = {
      {.kind = static_cast<FrameKind>(0)},
      {.kind = static_cast<FrameKind>(5)},
      {.kind = static_cast<FrameKind>(0xffffffff)},
      {.kind = FrameKind::kBytes, .type_bytes = 1},
      {.kind = FrameKind::kBytes, .handles = 1},
      {.kind = FrameKind::kHandles, .body_bytes = 1},
      {.kind = FrameKind::kValue, .type_bytes = (64 << 10) + 1},
      {.kind = FrameKind::kValue, .type_bytes = 0xffffffff},
  };
  for (const FrameHeader& header : bad) {
    Open(AF_UNIX);
    Write(header);
    EXPECT_EQ(Receive(), absl::DataLossError("receive: a header that no connection writes"));
  }
}

TEST_F(ConnectionHostileTest, AHugeLengthIsRefusedBeforeAnythingIsAllocated) {
  for (const uint64_t length : {uint64_t{65} << 20, uint64_t{1} << 40, ~uint64_t{0}}) {
    Open(AF_UNIX);
    Write(FrameHeader{.body_bytes = length});
    const absl::Status status = Receive();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(length) + " bytes, 67108864 are allowed"));
  }
}

uint64_t AddressSpaceBytes() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

TEST_F(ConnectionHostileTest, ALengthWithinTheBoundTakesNoMoreMemoryThanWhatCame) {
  // 400 peers that each announce 64 MiB: 25 GiB, if they were believed.
  const uint64_t before = AddressSpaceBytes();
  std::vector<Connection> connections;
  std::vector<UniqueFd> peers;
  for (int i = 0; i < 400; ++i) {
    Open(AF_UNIX);
    Write(FrameHeader{.body_bytes = uint64_t{64} << 20});
    Write("some");
    ASSERT_EQ(Receive().code(), absl::StatusCode::kDeadlineExceeded);
    connections.push_back(std::move(connection_));
    peers.push_back(std::move(peer_));
  }
  EXPECT_LT(AddressSpaceBytes() - before, uint64_t{1} << 30);
}

TEST_F(ConnectionHostileTest, EveryTruncationIsDataLossThatSaysHowMuchCame) {
  FrameHeader header = {.kind = FrameKind::kValue, .type_bytes = 5, .body_bytes = 4};
  const std::string message = std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + "int32\1\0\0\0";
  for (size_t size = 1; size < message.size(); ++size) {
    Open(AF_UNIX);
    Write(message.substr(0, size));
    EXPECT_EQ(connection_.Receive<int>({.timeout = absl::ZeroDuration()}).status().code(),
              absl::StatusCode::kDeadlineExceeded)
        << size;
    peer_.reset();
    const absl::Status status = connection_.Receive<int>().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_THAT(std::string(status.message()), HasSubstr("the peer has closed after"));
  }
}

TEST_F(ConnectionHostileTest, AMessageThatComesByteByByteIsAMessage) {
  FrameHeader header = {.body_bytes = 3};
  const std::string message = std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + "abc";
  for (size_t i = 0; i + 1 < message.size(); ++i) {
    Write(message.substr(i, 1));
    EXPECT_EQ(Receive().code(), absl::StatusCode::kDeadlineExceeded);
  }
  Write(message.substr(message.size() - 1));
  EXPECT_EQ(connection_.ReceiveBytes().value(), "abc");
}

TEST_F(ConnectionHostileTest, DescriptorsThatNoMessageAnnouncesAreClosed) {
  const std::set<int> before = OpenDescriptors();
  const auto expect_closed = [&](std::string_view what) {
    EXPECT_EQ(Receive().code(), absl::StatusCode::kDataLoss) << what;
    EXPECT_EQ(OpenDescriptors().size(), before.size()) << what;
  };
  Write(FrameHeader{.body_bytes = 2}, 3);
  expect_closed("with the header of bytes");

  Open(AF_UNIX);
  Write(FrameHeader{.body_bytes = 2});
  Write("ab", 253);
  expect_closed("with the body of bytes");

  Open(AF_UNIX);
  Write(FrameHeader{.kind = FrameKind::kHandles, .handles = 2}, 3);
  expect_closed("one more than announced");

  Open(AF_UNIX);
  Write(FrameHeader{.kind = FrameKind::kHandles, .handles = 3}, 2);
  expect_closed("one fewer than announced");

  Open(AF_UNIX);
  Write(FrameHeader{.kind = FrameKind::kHandles, .handles = 3}, 0);
  expect_closed("none of those announced");

  Open(AF_UNIX);
  const FrameHeader header;
  const std::string_view bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  for (size_t i = 0; i < 2; ++i) Write(bytes.substr(i, 1), 253);
  expect_closed("with each byte of a header, again and again");
}

TEST_F(ConnectionHostileTest, AHugeNumberOfDescriptorsIsRefused) {
  Write(FrameHeader{.kind = FrameKind::kHandles, .handles = 0xffffffff}, 253);
  const absl::Status status = connection_.ReceiveHandles({.timeout = absl::ZeroDuration()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("4294967295 descriptors, 1024 are allowed"));
  connection_.Close();
}

TEST_F(ConnectionHostileTest, ATypeNameFromThePeerIsPrintableAndCutInTheError) {
  Write(FrameHeader{.kind = FrameKind::kValue, .type_bytes = 60'000});
  Write("\x1b[31m\n" + std::string(60'000 - 6, 'x'));
  const absl::Status status = connection_.Receive<int>().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_LT(status.message().size(), 300u);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected int32, got \\x1b[31m\\n"));
}

TEST_F(ConnectionHostileTest, AValueWhoseBytesAreNotOfItsTypeIsDataLossAndTheNextOneArrives) {
  Write(FrameHeader{.kind = FrameKind::kValue, .type_bytes = 6, .body_bytes = 8});
  Write("string" + std::string(8, '\x7f'));
  Write(FrameHeader{.kind = FrameKind::kValue, .type_bytes = 6, .handles = 1, .body_bytes = 4}, 1);
  Write("handle" + std::string("\1\0\0\0", 4));
  Write(FrameHeader{.body_bytes = 2});
  Write("ok");
  EXPECT_EQ(connection_.Receive<std::string>().status().code(), absl::StatusCode::kDataLoss);
  const absl::Status status = connection_.Receive<UniqueFd>().status();
  EXPECT_EQ(status, absl::DataLossError("a handle that refers to a handle that did not come with it"));
  EXPECT_EQ(connection_.ReceiveBytes().value(), "ok");
}

}  // namespace
}  // namespace brood
