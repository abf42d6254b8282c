#include "ipc/connection.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ipc/pipe.h"
#include "ipc/testing.h"

namespace brood {
namespace {

using testing::HasSubstr;

struct Point {
  int x = 0;
  std::vector<double> y;
  bool operator==(const Point&) const = default;
};
BROOD_FIELDS(Point, x, y);

class ConnectionTest : public testing::Test {
 protected:
  void Open(const PipeOptions& options = {}) {
    auto ends = Pipe(options);
    ASSERT_TRUE(ends.ok()) << ends.status();
    std::tie(a_, b_) = *std::move(ends);
  }
  void SetUp() override { Open(); }

  NoDescriptorLeaks no_leaks_;  // First, so that it looks last.
  Connection a_;
  Connection b_;
};

TEST_F(ConnectionTest, ValuesArriveEqual) {
  const Point point = {.x = -3, .y = {1.5, 2.5}};
  const std::map<std::string, std::vector<int>> map = {{"a", {1, 2}}, {"", {}}};
  ASSERT_TRUE(a_.Send(point).ok());
  ASSERT_TRUE(a_.Send(map).ok());
  ASSERT_TRUE(a_.Send(absl::NotFoundError("gone")).ok());
  EXPECT_EQ(b_.Receive<Point>().value(), point);
  EXPECT_EQ((b_.Receive<std::map<std::string, std::vector<int>>>().value()), map);
  absl::Status status;
  ASSERT_TRUE(b_.ReceiveInto(status).ok());
  EXPECT_EQ(status, absl::NotFoundError("gone"));
}

TEST_F(ConnectionTest, AnotherProcessAnswers) {
  PeerProcess child([&] {
    a_.Close();
    while (true) {
      const absl::StatusOr<int> value = b_.Receive<int>();
      if (!value.ok()) return absl::IsOutOfRange(value.status());
      if (!b_.Send(*value * *value).ok()) return false;
    }
  });
  b_.Close();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(a_.Send(i).ok());
    ASSERT_EQ(a_.Receive<int>().value(), i * i);
  }
  a_.Close();
  EXPECT_EQ(child.Join(), 0);
}

TEST_F(ConnectionTest, BoundariesAreKeptAndAnEmptyMessageIsOne) {
  ASSERT_TRUE(a_.SendBytes("first").ok());
  ASSERT_TRUE(a_.SendBytes("").ok());
  ASSERT_TRUE(a_.SendBytes(std::string("\0x", 2)).ok());
  EXPECT_EQ(b_.ReceiveBytes().value(), "first");
  EXPECT_TRUE(b_.Poll().value());
  EXPECT_EQ(b_.ReceiveBytes().value(), "");
  EXPECT_EQ(b_.ReceiveBytes().value(), std::string("\0x", 2));
  EXPECT_FALSE(b_.Poll().value());
}

TEST_F(ConnectionTest, SixteenMegabytesGoThroughInBothDirections) {
  std::string text(size_t{16} << 20, 'x');
  for (size_t i = 0; i < text.size(); i += 4093) text[i] = static_cast<char>(i);
  std::thread echo([&] {
    const std::string got = b_.ReceiveBytes().value();
    EXPECT_TRUE(b_.SendBytes(got).ok());
  });
  ASSERT_TRUE(a_.SendBytes(text).ok());
  EXPECT_TRUE(a_.ReceiveBytes().value() == text);
  echo.join();
}

TEST_F(ConnectionTest, TheLargestMessagePassesAPeerThatReadsInSmallSteps) {
  const std::string text(size_t{64} << 20, 'y');
  std::thread reader([&] {
    // Many receives that time out at once, each with what was there: the message is put together across them.
    while (true) {
      const absl::StatusOr<std::string> got = b_.ReceiveBytes({.timeout = absl::ZeroDuration()});
      if (absl::IsDeadlineExceeded(got.status())) continue;
      ASSERT_TRUE(got.ok()) << got.status();
      EXPECT_TRUE(*got == text);
      return;
    }
  });
  EXPECT_TRUE(a_.SendBytes(text, absl::Seconds(60)).ok());
  reader.join();
}

TEST_F(ConnectionTest, AnotherTypeIsAnErrorThatNamesBothAndTheNextMessageArrives) {
  ASSERT_TRUE(a_.Send(std::vector<int>{1}).ok());
  ASSERT_TRUE(a_.SendBytes("raw").ok());
  ASSERT_TRUE(a_.Send(7).ok());
  ASSERT_TRUE(a_.Send(8).ok());
  EXPECT_EQ(b_.Receive<std::string>().status(),
            absl::InvalidArgumentError("receive: expected string, got vector<int32>"));
  EXPECT_EQ(b_.Receive<int>().status(), absl::InvalidArgumentError("receive: expected a value, got bytes"));
  EXPECT_EQ(b_.ReceiveBytes().status(), absl::InvalidArgumentError("receive: expected bytes, got a value"));
  EXPECT_EQ(b_.Receive<int>().value(), 8);
}

TEST_F(ConnectionTest, TooLongToSendNamesBothSizesAndSendsNothing) {
  Open({.connection = {.max_message_bytes = 10}});
  EXPECT_EQ(a_.SendBytes("0123456789a").message(), "send: the message has 11 bytes, 10 are allowed");
  EXPECT_EQ(a_.Send(std::string("0123")).message(), "send: the message has 12 bytes, 10 are allowed");
  ASSERT_TRUE(a_.SendBytes("0123456789").ok());
  EXPECT_EQ(b_.ReceiveBytes().value(), "0123456789");
}

TEST_F(ConnectionTest, TooLongToReceiveNamesBothSizesAndStaysUntilTheBoundIsLarger) {
  ASSERT_TRUE(a_.SendBytes("0123456789").ok());
  ASSERT_TRUE(a_.SendBytes("next").ok());
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = b_.ReceiveBytes({.max_bytes = 9}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("the message has 10 bytes, 9 are allowed"));
  }
  EXPECT_EQ(b_.ReceiveBytes({.max_bytes = 10}).value(), "0123456789");
  EXPECT_EQ(b_.ReceiveBytes({.max_bytes = 10}).value(), "next");
}

TEST_F(ConnectionTest, EndOfThePeerIsOutOfRangeAfterAllThatItSent) {
  ASSERT_TRUE(a_.Send(1).ok());
  a_.Close();
  EXPECT_EQ(b_.Receive<int>().value(), 1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(b_.Poll().value()) << "the end can be received";
    EXPECT_EQ(b_.Receive<int>().status(), absl::OutOfRangeError("receive: the peer has closed"));
  }
}

TEST_F(ConnectionTest, APeerThatClosesWithoutReadingLosesNothingThatItSent) {
  ASSERT_TRUE(b_.SendBytes("never read").ok());
  ASSERT_TRUE(a_.Send(1).ok());
  a_.Close();
  EXPECT_EQ(b_.Receive<int>().value(), 1);
  EXPECT_EQ(b_.Receive<int>().status().code(), absl::StatusCode::kOutOfRange) << "not ECONNRESET";
}

TEST_F(ConnectionTest, SendingToAClosedPeerIsUnavailableAndRaisesNoSignal) {
  b_.Close();
  EXPECT_EQ(a_.Send(1), absl::UnavailableError("send: the peer has closed"));
  EXPECT_EQ(a_.SendHandle(a_.descriptor()), absl::UnavailableError("send: the peer has closed"));
}

TEST_F(ConnectionTest, APeerKilledWithinAMessageIsDataLossForEver) {
  PeerProcess child([&] {
    b_.Close();
    return a_.SendBytes(std::string(size_t{32} << 20, 'z')).ok();  // More than the socket holds: killed within it.
  });
  a_.Close();
  const absl::Status first = b_.ReceiveBytes({.timeout = absl::ZeroDuration(), .max_bytes = 0}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(first) || absl::IsInvalidArgument(first)) << first;
  ASSERT_TRUE(b_.Poll(absl::Seconds(30)).value());
  child.Kill();
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = b_.ReceiveBytes().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("of 33554432 bytes of a message"));
  }
}

TEST_F(ConnectionTest, TimeoutsPassAndLeaveTheConnectionUsable) {
  const absl::Time start = absl::Now();
  EXPECT_EQ(b_.Receive<int>({.timeout = absl::Milliseconds(30)}).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(b_.Poll(absl::Milliseconds(30)).value());
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(59));
  EXPECT_FALSE(b_.Poll(absl::Seconds(-5)).value()) << "a negative timeout only looks";
  ASSERT_TRUE(a_.Send(5).ok());
  EXPECT_TRUE(b_.Poll(absl::Seconds(30)).value());
  EXPECT_EQ(b_.Receive<int>({.timeout = absl::Seconds(-1)}).value(), 5);
}

TEST_F(ConnectionTest, APollInProgressEndsWhenTheMessageComes) {
  std::thread sender([&] { EXPECT_TRUE(a_.Send(5).ok()); });
  EXPECT_TRUE(b_.Poll(absl::InfiniteDuration()).value());
  sender.join();
}

TEST_F(ConnectionTest, ASendThatFindsNoRoomLeavesTheConnectionAsItWas) {
  int sent = 0;
  const std::string text(1000, 'x');
  absl::Status status;
  while ((status = a_.SendBytes(text, absl::ZeroDuration())).ok()) ++sent;
  // Not even a part of the last one: a thousand bytes are taken by the kernel in one piece.
  EXPECT_EQ(status, absl::DeadlineExceededError("send: the peer did not read in time; nothing was sent"));
  for (int i = 0; i < sent; ++i) ASSERT_TRUE(b_.ReceiveBytes().value() == text);
  EXPECT_FALSE(b_.Poll().value());
  EXPECT_TRUE(a_.Send(1).ok());
  EXPECT_EQ(b_.Receive<int>().value(), 1);
}

TEST_F(ConnectionTest, ASendThatIsCutShortEndsSendingAndThePeerSeesIt) {
  const absl::Status status = a_.SendBytes(std::string(size_t{8} << 20, 'x'), absl::Milliseconds(30));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("none can follow it"));
  EXPECT_EQ(a_.Send(1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(b_.ReceiveBytes().status().code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(b_.Send(2).ok()) << "the other direction goes on";
  EXPECT_EQ(a_.Receive<int>().value(), 2);
}

TEST_F(ConnectionTest, EndsOfAOneWayPipeKnowTheirDirection) {
  Open({.kind = PipeKind::kOneWay});
  EXPECT_TRUE(a_.readable() && !a_.writable() && b_.writable() && !b_.readable());
  EXPECT_EQ(a_.Send(1), absl::FailedPreconditionError("send: this end of the connection only receives"));
  EXPECT_EQ(b_.Receive<int>().status(),
            absl::FailedPreconditionError("receive: this end of the connection only sends"));
  EXPECT_EQ(b_.Poll().status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(b_.Send(1).ok());
  EXPECT_EQ(a_.Receive<int>().value(), 1);
  a_.Close();
  EXPECT_EQ(b_.Send(1).code(), absl::StatusCode::kUnavailable);
}

TEST_F(ConnectionTest, AClosedConnectionRefusesEverything) {
  a_.Close();
  EXPECT_TRUE(a_.closed() && !a_.readable() && !a_.writable());
  EXPECT_EQ(a_.descriptor(), -1);
  EXPECT_EQ(a_.Send(1), absl::FailedPreconditionError("send: the connection is closed"));
  EXPECT_EQ(a_.Receive<int>().status(), absl::FailedPreconditionError("receive: the connection is closed"));
  EXPECT_EQ(a_.Poll().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Connection().Send(1).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ConnectionTest, MovingTakesEverythingAlong) {
  ASSERT_TRUE(a_.SendBytes("0123456789").ok());
  EXPECT_FALSE(b_.ReceiveBytes({.max_bytes = 1}).ok());  // Its header is in the connection now.
  Connection moved = std::move(b_);
  EXPECT_TRUE(b_.closed());  // NOLINT(bugprone-use-after-move): that is the claim.
  EXPECT_EQ(moved.ReceiveBytes().value(), "0123456789");
}

TEST_F(ConnectionTest, AdoptsStreamSocketsOnlyAndMakesThemCloseOnExec) {
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  UniqueFd reader(pipe_fds[0]);
  UniqueFd writer(pipe_fds[1]);
  EXPECT_EQ(Connection::Adopt(std::move(reader)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Connection::Adopt(UniqueFd()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Connection::Adopt(UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))).status().code(),
            absl::StatusCode::kInvalidArgument);
  UniqueFd copy(dup(a_.descriptor()));
  ASSERT_EQ(fcntl(copy.get(), F_GETFD) & FD_CLOEXEC, 0);
  const Connection adopted = Connection::Adopt(std::move(copy)).value();
  EXPECT_NE(fcntl(adopted.descriptor(), F_GETFD) & FD_CLOEXEC, 0);
}

// Python's test_timeout: what others set on the socket does not leak into the connection.
TEST_F(ConnectionTest, NeitherNonBlockingModeNorSocketTimeoutsChangeAnything) {
  const timeval soon = {.tv_sec = 0, .tv_usec = 1000};
  for (const Connection* end : {&a_, &b_}) {
    ASSERT_EQ(setsockopt(end->descriptor(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
    ASSERT_EQ(setsockopt(end->descriptor(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
  }
  const std::string text(size_t{4} << 20, 'x');
  std::thread peer([&] {
    EXPECT_EQ(b_.ReceiveBytes().value().size(), text.size());
    EXPECT_EQ(fcntl(b_.descriptor(), F_SETFL, O_NONBLOCK), 0);
    EXPECT_EQ(b_.Receive<int>().value(), 1);
    EXPECT_TRUE(b_.SendBytes(text).ok());
  });
  const absl::StatusOr<bool> nothing_came = a_.Poll(absl::Milliseconds(20));
  EXPECT_FALSE(nothing_came.value());
  ASSERT_TRUE(a_.SendBytes(text).ok());
  ASSERT_TRUE(a_.Send(1).ok());
  EXPECT_EQ(a_.ReceiveBytes().value().size(), text.size());
  peer.join();
}

// Python's TestIgnoreEINTR: handlers run all the time, without SA_RESTART, in the midst of both directions.
TEST_F(ConnectionTest, AStormOfSignalsDisturbsNeitherSendNorReceive) {
  static std::atomic<int> handled = 0;
  struct sigaction action = {};
  action.sa_handler = [](int) { ++handled; };
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  std::atomic<bool> done = false;
  std::atomic<bool> echo_done = false;
  std::string text(size_t{8} << 20, 'x');
  std::thread echo([&] {
    for (int i = 0; i < 3; ++i) {
      const absl::StatusOr<std::string> got = b_.ReceiveBytes();
      EXPECT_TRUE(got.ok()) << got.status();
      EXPECT_TRUE(b_.SendBytes(*got).ok());
    }
    echo_done = true;
    while (!done) std::this_thread::yield();
  });
  const pthread_t main_thread = pthread_self();
  std::thread storm([&] {
    while (!done) {
      pthread_kill(main_thread, SIGUSR1);
      if (!echo_done) pthread_kill(echo.native_handle(), SIGUSR1);
      std::this_thread::yield();
    }
  });
  for (int i = 0; i < 3; ++i) {
    const absl::Status sent = a_.SendBytes(text, i == 1 ? absl::Seconds(60) : absl::InfiniteDuration());
    EXPECT_TRUE(sent.ok()) << sent;
    const absl::StatusOr<std::string> got = a_.ReceiveBytes();
    EXPECT_TRUE(got.ok()) << got.status();
    EXPECT_TRUE(got.ok() && *got == text);
  }
  // A wait of known length is neither cut short nor prolonged for ever.
  const absl::Time start = absl::Now();
  EXPECT_FALSE(a_.Poll(absl::Milliseconds(50)).value());
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(49));
  done = true;
  storm.join();
  echo.join();
  EXPECT_GT(handled, 0);
  ASSERT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST_F(ConnectionTest, PeerCredentialsAreTheMakersOfTheSocketPair) {
  const PeerCredentials credentials = a_.peer_credentials().value();
  EXPECT_EQ(credentials.pid, getpid());
  EXPECT_EQ(credentials.uid, getuid());
  EXPECT_EQ(credentials.gid, getgid());
  a_.Close();
  EXPECT_EQ(a_.peer_credentials().status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace brood
