#include "serialization/framing.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "absl/time/clock.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    reader = UniqueFd(fds[0]);
    writer = UniqueFd(fds[1]);
  }
  UniqueFd reader;
  UniqueFd writer;
};

// What a reader makes of exactly these bytes.
absl::StatusOr<std::string> ReadFrom(std::string_view bytes, const ReadOptions& options = {}) {
  Pipe pipe;
  EXPECT_EQ(write(pipe.writer.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  pipe.writer.reset();
  return ReadMessage(pipe.reader.get(), MessageType::kResult, options);
}

TEST(FramingTest, MessagesFollowEachOtherOnAPipe) {
  Pipe pipe;
  ASSERT_TRUE(WriteMessage(pipe.writer.get(), MessageType::kResult, "first").ok());
  ASSERT_TRUE(WriteMessage(pipe.writer.get(), MessageType::kResult, "").ok());
  pipe.writer.reset();
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult).value(), "first");
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult).value(), "");
  const absl::Status end = ReadMessage(pipe.reader.get(), MessageType::kResult).status();
  EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(end.message(), "read result: the other end closed without a message");
}

TEST(FramingTest, LongMessagesCrossASmallPipe) {
  Pipe pipe;
  const std::string body(3'000'000, 'x');
  std::thread writer([&] { EXPECT_TRUE(WriteMessage(pipe.writer.get(), MessageType::kResult, body).ok()); });
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult).value(), body);
  writer.join();
}

TEST(FramingTest, WorksOnAMemfd) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC));
  ASSERT_TRUE(WriteMessage(fd.get(), MessageType::kResult, "in memory").ok());
  ASSERT_EQ(lseek(fd.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(ReadMessage(fd.get(), MessageType::kResult).value(), "in memory");
}

TEST(FramingTest, EveryTruncationSaysHowMuchCame) {
  const std::string bytes = FrameMessage(MessageType::kResult, "0123456789");
  for (size_t size = 1; size < bytes.size(); ++size) {
    const absl::Status status = ReadFrom(std::string_view(bytes).substr(0, size)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_NE(status.message().find("ended after"), std::string::npos) << status;
  }
  EXPECT_EQ(ReadFrom(std::string_view(bytes).substr(0, bytes.size() - 3)).status().message(),
            "read result: ended after 7 of 10 bytes");
}

TEST(FramingTest, EveryFlippedBitIsFound) {
  std::string bytes = FrameMessage(MessageType::kResult, "0123456789");
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(ReadFrom(bytes).status().code(), absl::StatusCode::kDataLoss) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST(FramingTest, GarbageIsRefusedWhileTheWriterIsStillThere) {
  Pipe pipe;
  const std::string garbage(kFrameHeaderBytes, 'x');
  ASSERT_EQ(write(pipe.writer.get(), garbage.data(), garbage.size()), static_cast<ssize_t>(garbage.size()));
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult).status().message(),
            "read result: these bytes are no message");
}

TEST(FramingTest, RefusesAnotherTypeAndWhatIsTooLong) {
  EXPECT_EQ(ReadFrom(FrameMessage(MessageType::kJob, "x")).status().message(), "read result: got job");
  EXPECT_EQ(ReadFrom(FrameMessage(MessageType::kResult, "1234"), {.max_bytes = 3}).status().message(),
            "read result: 4 bytes are announced, 3 are allowed");
}

TEST(FramingTest, DeadlineEndsTheWaitForASilentPeer) {
  Pipe pipe;
  const ReadOptions options = {.deadline = absl::Now() + absl::Milliseconds(10)};
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult, options).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(FramingTest, ClosedReaderIsAStatusAndNoSignal) {
  Pipe pipe;
  pipe.reader.reset();
  EXPECT_EQ(WriteMessage(pipe.writer.get(), MessageType::kResult, "x").code(), absl::StatusCode::kUnavailable);
  int sockets[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
  UniqueFd socket(sockets[0]);
  close(sockets[1]);
  EXPECT_EQ(WriteMessage(socket.get(), MessageType::kResult, "x").code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace brood
