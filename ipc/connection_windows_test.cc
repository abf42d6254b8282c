// Connections over pipes of Windows. What is the same on all systems is said once more in connection_test.cc, whose peers are
// forks.
#include "ipc/connection.h"

#include <windows.h>

#include <map>
#include <thread>

#include "base/windows_handle.h"
#include "gtest/gtest.h"
#include "ipc/authenticate.h"
#include "ipc/pipe.h"
#include "ipc/wait.h"

namespace brood {
namespace {

class ConnectionTest : public testing::Test {
 protected:
  void SetUp() override { std::tie(a_, b_) = Pipe().value(); }
  Connection a_;
  Connection b_;
};

TEST_F(ConnectionTest, ValuesArriveEqualAndBoundariesAreKept) {
  const std::map<std::string, std::vector<int>> map = {{"a", {1, 2}}, {"", {}}};
  ASSERT_EQ(a_.Send(map), absl::OkStatus());
  ASSERT_EQ(a_.SendBytes(""), absl::OkStatus());
  ASSERT_EQ(a_.SendBytes(std::string("\0x", 2)), absl::OkStatus());
  EXPECT_EQ((b_.Receive<std::map<std::string, std::vector<int>>>().value()), map);
  EXPECT_EQ(b_.ReceiveBytes().value(), "");
  EXPECT_TRUE(b_.Poll().value());
  EXPECT_EQ(b_.ReceiveBytes().value(), std::string("\0x", 2));
  EXPECT_FALSE(b_.Poll().value());
}

TEST_F(ConnectionTest, SixteenMegabytesGoThroughInBothDirectionsAtOnce) {
  std::string text(size_t{16} << 20, 'x');
  for (size_t i = 0; i < text.size(); i += 4093) text[i] = static_cast<char>(i);
  std::thread other([&] {
    std::thread sends([&] { EXPECT_EQ(b_.SendBytes(text), absl::OkStatus()); });
    EXPECT_EQ(b_.ReceiveBytes().value(), text);
    sends.join();
  });
  std::thread sends([&] { EXPECT_EQ(a_.SendBytes(text), absl::OkStatus()); });
  EXPECT_EQ(a_.ReceiveBytes().value(), text);
  sends.join();
  other.join();
}

TEST_F(ConnectionTest, EndOfThePeerIsOutOfRangeAfterAllThatItSent) {
  ASSERT_EQ(a_.SendBytes("last"), absl::OkStatus());
  a_.Close();
  EXPECT_TRUE(b_.Poll().value());
  EXPECT_EQ(b_.ReceiveBytes().value(), "last");
  EXPECT_EQ(b_.ReceiveBytes().status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(b_.SendBytes("nobody").code(), absl::StatusCode::kUnavailable);
}

// Half a message, written to the pipe itself.
TEST_F(ConnectionTest, APeerThatClosesWithinAMessageIsDataLossForEver) {
  DWORD count = 0;
  OVERLAPPED at = {};
  ASSERT_TRUE(WriteFile(HandleOf(a_.descriptor()), "BRC1\1\0\0\0", 8, nullptr, &at) || GetLastError() == ERROR_IO_PENDING);
  ASSERT_TRUE(GetOverlappedResult(HandleOf(a_.descriptor()), &at, &count, TRUE));
  EXPECT_EQ(b_.ReceiveBytes({.timeout = absl::Milliseconds(10)}).status().code(), absl::StatusCode::kDeadlineExceeded);
  a_.Close();
  EXPECT_EQ(b_.ReceiveBytes().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(b_.ReceiveBytes().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ConnectionTest, TimeoutsPassAndLeaveTheConnectionUsable) {
  EXPECT_EQ(b_.ReceiveBytes({.timeout = absl::ZeroDuration()}).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(b_.ReceiveBytes({.timeout = absl::Milliseconds(20)}).status().code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_EQ(a_.SendBytes("later"), absl::OkStatus());
  EXPECT_EQ(b_.ReceiveBytes({.timeout = absl::Seconds(20)}).value(), "later");
}

TEST_F(ConnectionTest, ASendThatIsCutShortEndsSending) {
  const std::string text(size_t{4} << 20, 'x');
  EXPECT_EQ(a_.SendBytes(text, absl::Milliseconds(20)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(a_.SendBytes("more").code(), absl::StatusCode::kFailedPrecondition);
  a_.Close();
  EXPECT_EQ(b_.ReceiveBytes().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ConnectionTest, EndsOfAOneWayPipeKnowTheirDirection) {
  auto [reader, writer] = Pipe({.kind = PipeKind::kOneWay}).value();
  ASSERT_EQ(writer.Send(7), absl::OkStatus());
  EXPECT_EQ(reader.Receive<int>().value(), 7);
  EXPECT_EQ(reader.Send(7).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(writer.Receive<int>().status().code(), absl::StatusCode::kFailedPrecondition);
  // And the handle does.
  DWORD count = 0;
  OVERLAPPED at = {};
  EXPECT_FALSE(WriteFile(HandleOf(reader.descriptor()), "x", 1, &count, &at));
}

TEST_F(ConnectionTest, WhatIsNoPipeIsRefusedAndHandlesDoNotTravel) {
  UniqueFd event = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  const int handle = event.get();
  EXPECT_EQ(a_.SendHandle(handle).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Connection::Adopt(std::move(event)).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(a_.SendBytes("still whole"), absl::OkStatus());
  EXPECT_EQ(b_.ReceiveBytes().value(), "still whole");
}

TEST_F(ConnectionTest, NoChildInheritsAnEnd) {
  DWORD flags = HANDLE_FLAG_INHERIT;
  ASSERT_TRUE(GetHandleInformation(HandleOf(a_.descriptor()), &flags));
  EXPECT_EQ(flags & HANDLE_FLAG_INHERIT, 0u);
}

TEST_F(ConnectionTest, ConnectionsAndEventsAreWaitedForTogether) {
  const UniqueFd event = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  using Indices = std::vector<size_t>;
  EXPECT_EQ(Wait({event.get(), b_}, absl::Milliseconds(20)).value(), Indices());
  std::thread sends([&] { EXPECT_EQ(a_.Send(1), absl::OkStatus()); });
  EXPECT_EQ(Wait({event.get(), b_}).value(), Indices({1}));
  sends.join();
  SetEvent(HandleOf(event.get()));
  EXPECT_EQ(Wait({event.get(), b_}).value(), Indices({0, 1}));
}

absl::Status Authenticate(const AuthKey& listeners, const AuthKey& dialers, absl::Status* dialer) {
  auto [listener_end, dialer_end] = Pipe().value();
  absl::Status listener;
  std::thread other([&, &end = dialer_end] { *dialer = AuthenticateAsDialer(end, dialers); });
  listener = AuthenticateAsListener(listener_end, listeners);
  other.join();
  return listener;
}

TEST(AuthenticateTest, TheSameKeyOpensAndAnotherIsUnauthenticatedOnBothSides) {
  const AuthKey key = AuthKey::Generate().value();
  absl::Status dialer;
  EXPECT_EQ(Authenticate(key, key, &dialer), absl::OkStatus());
  EXPECT_EQ(dialer, absl::OkStatus());
  EXPECT_EQ(Authenticate(key, AuthKey::Generate().value(), &dialer).code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(dialer.code(), absl::StatusCode::kUnauthenticated);
}

TEST(AuthenticateTest, ASilentPeerEndsWithTheTimeout) {
  auto [silent, waiting] = Pipe().value();
  EXPECT_EQ(AuthenticateAsDialer(waiting, AuthKey::Generate().value(), absl::Milliseconds(20)).code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace brood
