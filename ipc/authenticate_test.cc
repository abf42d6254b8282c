#include "ipc/authenticate.h"

#include <string>
#include <thread>
#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ipc/connection_access.h"
#include "ipc/descriptor_leaks.h"
#include "ipc/pipe.h"

namespace brood {
namespace {

using internal::ConnectionAccess;
using testing::HasSubstr;

constexpr absl::StatusCode kUnauthenticated = absl::StatusCode::kUnauthenticated;

std::string ReceivePart(Connection& connection) {
  return ConnectionAccess::ReceiveAuth(connection, absl::InfiniteDuration()).value();
}
void SendPart(Connection& connection, std::string_view part) {
  ASSERT_TRUE(ConnectionAccess::SendAuth(connection, part, absl::InfiniteDuration()).ok());
}

class AuthenticateTest : public testing::Test {
 protected:
  void SetUp() override { std::tie(ours_, theirs_) = Pipe().value(); }

  NoDescriptorLeaks no_leaks_;
  const AuthKey key_ = AuthKey::Generate().value();
  const AuthKey other_key_ = AuthKey::Generate().value();
  Connection ours_;    // What the function under test has.
  Connection theirs_;  // The attacker's end, or the honest peer's.
};

TEST_F(AuthenticateTest, TheSameKeyOpensTheConnectionForMessages) {
  std::thread dialer([&] {
    EXPECT_TRUE(AuthenticateAsDialer(theirs_, key_).ok());
    EXPECT_TRUE(theirs_.Send(1).ok());
  });
  EXPECT_TRUE(AuthenticateAsListener(ours_, key_).ok());
  EXPECT_EQ(ours_.Receive<int>().value(), 1);
  dialer.join();
}

// Python's test_deliver_challenge_auth_failure and test_answer_challenge_auth_failure.
TEST_F(AuthenticateTest, AnotherKeyIsUnauthenticatedOnBothSides) {
  std::thread dialer([&] {
    EXPECT_EQ(AuthenticateAsDialer(theirs_, other_key_),
              absl::UnauthenticatedError("authenticate: the listener has another key"));
  });
  EXPECT_EQ(AuthenticateAsListener(ours_, key_), absl::UnauthenticatedError("authenticate: the peer has another key"));
  dialer.join();
}

// A listener that takes everybody in, and has not got the key.
TEST_F(AuthenticateTest, ADialerTrustsNoListenerThatCannotProveTheKey) {
  for (const std::string& proof : {std::string(), "brood-auth-1 sha256 listener:" + std::string(32, '\0'),
                                   std::string("brood-auth-1 sha256 listener:")}) {
    std::tie(ours_, theirs_) = Pipe().value();
    std::thread rogue([&] {
      SendPart(theirs_, "brood-auth-1 sha256 hello:" + std::string(32, 'c'));
      ReceivePart(theirs_);
      SendPart(theirs_, proof);
    });
    const absl::Status status = AuthenticateAsDialer(ours_, key_);
    EXPECT_EQ(status.code(), kUnauthenticated);
    EXPECT_THAT(std::string(status.message()), HasSubstr("does not prove"));
    rogue.join();
  }
}

// The peer sends back to us what we send, in every form that has the right beginning.
TEST_F(AuthenticateTest, OurOwnWordsSentBackToUsProveNothing) {
  std::thread mirror_for_dialer([&] {
    SendPart(theirs_, "brood-auth-1 sha256 hello:" + std::string(32, 'c'));
    const std::string answer = ReceivePart(theirs_);
    const std::string mac = answer.substr(answer.size() - 32);
    SendPart(theirs_, "brood-auth-1 sha256 listener:" + mac);
  });
  EXPECT_EQ(AuthenticateAsDialer(ours_, key_).code(), kUnauthenticated);
  mirror_for_dialer.join();

  // Literally each frame, for both roles.
  for (const bool as_listener : {true, false}) {
    std::tie(ours_, theirs_) = Pipe().value();
    std::thread mirror([&] {
      if (!as_listener) SendPart(theirs_, "brood-auth-1 sha256 hello:" + std::string(32, 'c'));
      SendPart(theirs_, ReceivePart(theirs_));
    });
    EXPECT_EQ((as_listener ? AuthenticateAsListener(ours_, key_) : AuthenticateAsDialer(ours_, key_)).code(),
              kUnauthenticated);
    mirror.join();
  }
}

// A listener is no oracle: the attacker, who dials twice, hands it its own challenge and asks for the answer.
TEST_F(AuthenticateTest, TwoConnectionsToOneListenerDoNotAnswerForEachOther) {
  internal::ListenerHandshake first(key_);
  internal::ListenerHandshake second(key_);
  auto [ours2, theirs2] = Pipe().value();
  ASSERT_TRUE(first.Begin(ours_).ok());
  ASSERT_TRUE(second.Begin(ours2).ok());
  const std::string hello = ReceivePart(theirs_);
  ReceivePart(theirs2);
  // To the second listener: the first one's challenge as the dialer's own, with a made-up proof.
  SendPart(theirs2, "brood-auth-1 sha256 dialer:" + hello.substr(hello.size() - 32) + std::string(32, 'm'));
  EXPECT_EQ(second.Continue(ours2, absl::InfiniteDuration()).status().code(), kUnauthenticated);
  EXPECT_EQ(ReceivePart(theirs2), "brood-auth-1 refused") << "no MAC of anything comes out of it";
}

TEST_F(AuthenticateTest, AnAnswerThatWasRecordedIsWorthNothingLater) {
  std::string recorded;
  std::thread relay([&] {
    auto [to_dialer, dialers] = Pipe().value();
    std::thread dialer([&, &dialers = dialers] { EXPECT_TRUE(AuthenticateAsDialer(dialers, key_).ok()); });
    SendPart(to_dialer, ReceivePart(theirs_));
    recorded = ReceivePart(to_dialer);
    SendPart(theirs_, recorded);
    SendPart(to_dialer, ReceivePart(theirs_));
    dialer.join();
  });
  ASSERT_TRUE(AuthenticateAsListener(ours_, key_).ok());
  relay.join();

  std::tie(ours_, theirs_) = Pipe().value();
  std::thread replay([&] {
    ReceivePart(theirs_);
    SendPart(theirs_, recorded);
    EXPECT_EQ(ReceivePart(theirs_), "brood-auth-1 refused");
  });
  EXPECT_EQ(AuthenticateAsListener(ours_, key_).code(), kUnauthenticated);
  replay.join();
}

TEST_F(AuthenticateTest, OtherVersionsDigestsAndLengthsAreRefused) {
  for (const std::string& hello :
       {std::string(), std::string("brood-auth-1 sha256 hello:"), "brood-auth-1 md5 hello:" + std::string(32, 'c'),
        "brood-auth-2 sha256 hello:" + std::string(32, 'c'), "brood-auth-1 sha256 hello:" + std::string(31, 'c'),
        "brood-auth-1 sha256 hello:" + std::string(33, 'c'), "#CHALLENGE#{sha256}" + std::string(40, 'c')}) {
    std::tie(ours_, theirs_) = Pipe().value();
    SendPart(theirs_, hello);
    EXPECT_EQ(AuthenticateAsDialer(ours_, key_).code(), kUnauthenticated) << hello;
  }
  for (const std::string& answer :
       {std::string(), "brood-auth-1 sha256 dialer:" + std::string(63, 'c'),
        "brood-auth-1 sha256 dialer:" + std::string(65, 'c'), "brood-auth-1 md5 dialer:" + std::string(64, 'c')}) {
    std::tie(ours_, theirs_) = Pipe().value();
    SendPart(theirs_, answer);
    EXPECT_EQ(AuthenticateAsListener(ours_, key_).code(), kUnauthenticated) << answer;
  }
}

TEST_F(AuthenticateTest, OtherMessagesLongOnesAndTheEndAreRefused) {
  const auto expect_refused = [&](std::string_view why) {
    for (const bool as_listener : {true, false}) {
      const absl::Status status = as_listener ? AuthenticateAsListener(ours_, key_) : AuthenticateAsDialer(ours_, key_);
      EXPECT_EQ(status.code(), kUnauthenticated) << why << ": " << status;
    }
  };
  SendPart(theirs_, std::string(257, 'x'));
  expect_refused("257 bytes");

  std::tie(ours_, theirs_) = Pipe().value();
  ASSERT_TRUE(theirs_.Send(1).ok());
  ASSERT_TRUE(theirs_.Send(1).ok());
  expect_refused("values");

  std::tie(ours_, theirs_) = Pipe().value();
  theirs_.Close();
  expect_refused("the end");
}

TEST_F(AuthenticateTest, ASilentPeerEndsWithTheTimeout) {
  EXPECT_EQ(AuthenticateAsListener(ours_, key_, absl::Milliseconds(20)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(AuthenticateAsDialer(ours_, key_, absl::Milliseconds(20)).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(AuthenticateTest, WhoDoesNotAuthenticateIsToldThatItIsAskedFor) {
  internal::ListenerHandshake handshake(key_);
  ASSERT_TRUE(handshake.Begin(ours_).ok());
  const absl::Status status = theirs_.ReceiveBytes().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the peer asks for it"));
}

}  // namespace
}  // namespace brood
