#include "ipc/authenticate.h"

#include <stdlib.h>
#include <sys/socket.h>

#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ipc/connection_access.h"
#include "ipc/dial.h"
#include "ipc/listener.h"
#include "ipc/pipe.h"
#include "ipc/testing.h"
#include "ipc/wait.h"

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

TEST_F(AuthenticateTest, OtherMessagesLongOnesHandlesAndTheEndAreRefused) {
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
  ASSERT_TRUE(theirs_.SendHandle(0).ok());
  ASSERT_TRUE(theirs_.SendHandle(0).ok());
  expect_refused("handles");

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

// --- with listeners ---

class AuthenticatedListenerTest : public testing::Test {
 protected:
  void Listen(const ListenerOptions& options = {}) {
    listener_ = Listener::Create(Address::Abstract(), options).value();
  }
  // Another process that dials with `key`, and then sends its pid.
  std::unique_ptr<PeerProcess> DialFromProcess(const AuthKey& key, bool succeeds = true) {
    return std::make_unique<PeerProcess>([this, key, succeeds] {
      absl::StatusOr<Connection> connection = DialAuthenticated(listener_.address(), key);
      if (!succeeds) return absl::IsUnauthenticated(connection.status());
      return connection.ok() && connection->Send(int{getpid()}).ok();
    });
  }

  NoDescriptorLeaks no_leaks_;
  const AuthKey key_ = AuthKey::Generate().value();
  Listener listener_;
};

TEST_F(AuthenticatedListenerTest, AWrongKeyFailsOnBothSidesAndTheListenerGoesOn) {
  Listen();
  const auto wrong = DialFromProcess(AuthKey::Generate().value(), false);
  EXPECT_EQ(listener_.AcceptAuthenticated(key_).status(),
            absl::UnauthenticatedError("accept: authenticate: the peer has another key"));
  EXPECT_EQ(wrong->Join(), 0);
  const auto right = DialFromProcess(key_);
  Connection connection = listener_.AcceptAuthenticated(key_).value();
  EXPECT_EQ(connection.Receive<int>().value(), right->pid());
}

TEST_F(AuthenticatedListenerTest, SilentPeersDelayNobody) {
  Listen({.handshake_timeout = absl::Hours(1)});
  std::vector<Connection> silent;
  for (int i = 0; i < 10; ++i) silent.push_back(Dial(listener_.address()).value());
  const auto honest = DialFromProcess(key_);
  absl::StatusOr<Connection> connection = listener_.AcceptAuthenticated(key_, absl::Seconds(60));
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->Receive<int>().value(), honest->pid());
}

TEST_F(AuthenticatedListenerTest, ASilentPeerHasFailedAfterItsTimeout) {
  Listen({.handshake_timeout = absl::Milliseconds(30)});
  Connection silent = Dial(listener_.address()).value();
  const absl::Status status = listener_.AcceptAuthenticated(key_).status();
  EXPECT_EQ(status, absl::UnauthenticatedError("accept: a peer did not answer within 30ms"));
  EXPECT_FALSE(silent.ReceiveBytes().ok()) << "the challenge";
  EXPECT_EQ(silent.ReceiveBytes().status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(AuthenticatedListenerTest, OfTooManySilentPeersTheOldestGoesAndTheHonestOneGetsIn) {
  Listen({.handshake_timeout = absl::Hours(1), .max_handshakes = 3});
  std::vector<Connection> silent;
  for (int i = 0; i < 6; ++i) silent.push_back(Dial(listener_.address()).value());
  const auto honest = DialFromProcess(key_);
  int dropped = 0;
  while (true) {
    absl::StatusOr<Connection> connection = listener_.AcceptAuthenticated(key_, absl::Seconds(60));
    if (absl::IsUnauthenticated(connection.status())) {
      ++dropped;
      continue;
    }
    ASSERT_TRUE(connection.ok()) << connection.status();
    EXPECT_EQ(connection->Receive<int>().value(), honest->pid());
    break;
  }
  EXPECT_EQ(dropped, 4);
  EXPECT_FALSE(silent[0].ReceiveBytes().ok()) << "the challenge";
  EXPECT_EQ(silent[0].ReceiveBytes().status().code(), absl::StatusCode::kOutOfRange) << "the oldest was closed";
  EXPECT_FALSE(silent[5].ReceiveBytes().ok()) << "the challenge";
  EXPECT_FALSE(silent[5].Poll().value()) << "the newest was not";
}

TEST_F(AuthenticatedListenerTest, APeerThatHangsUpOrTalksAtOnceHasFailed) {
  Listen();
  Dial(listener_.address()).value().Close();
  EXPECT_EQ(listener_.AcceptAuthenticated(key_).status().code(), kUnauthenticated);
  Connection talker = Dial(listener_.address()).value();
  ASSERT_TRUE(talker.Send(1).ok());
  EXPECT_EQ(listener_.AcceptAuthenticated(key_).status().code(), kUnauthenticated);
}

TEST_F(AuthenticatedListenerTest, HandshakesGoOnInTheNextCall) {
  Listen();
  const auto honest = DialFromProcess(key_);
  absl::StatusOr<Connection> connection = absl::DeadlineExceededError("not yet");
  // As one's own loop does it: a look whenever the descriptor is readable, never a wait.
  while (absl::IsDeadlineExceeded(connection.status())) {
    ASSERT_EQ(Wait({listener_.descriptor()}, absl::Seconds(60)).value().size(), 1u);
    connection = listener_.AcceptAuthenticated(key_, absl::ZeroDuration());
  }
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->Receive<int>().value(), honest->pid());
  EXPECT_TRUE(Wait({listener_.descriptor()}, absl::ZeroDuration()).value().empty()) << "it is out of the listener";
}

// A forked child has a copy of every candidate's socket; dropping one here must not leave it in epoll for ever.
TEST_F(AuthenticatedListenerTest, ADroppedPeerIsForgottenAlsoWhenAForkHasIt) {
  Listen({.handshake_timeout = absl::Milliseconds(20)});
  Connection peer = Dial(listener_.address()).value();
  EXPECT_EQ(listener_.AcceptAuthenticated(key_, absl::ZeroDuration()).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  auto [hold, release] = Pipe().value();
  PeerProcess fork([&, &hold = hold, &release = release] {
    release.Close();
    return absl::IsOutOfRange(hold.ReceiveBytes().status());
  });
  EXPECT_EQ(listener_.AcceptAuthenticated(key_).status().code(), kUnauthenticated);
  ASSERT_TRUE(peer.Send(1).ok());
  EXPECT_TRUE(Wait({listener_.descriptor()}, absl::ZeroDuration()).value().empty());
  release.Close();
  EXPECT_EQ(fork.Join(), 0);
}

TEST_F(AuthenticatedListenerTest, WorksOverTcpAndFromManyProcessesAtOnce) {
  listener_ = Listener::Create(Address::Tcp()).value();
  std::vector<std::unique_ptr<PeerProcess>> dialers;
  std::set<int> expected;
  for (int i = 0; i < 8; ++i) {
    dialers.push_back(DialFromProcess(key_));
    expected.insert(dialers.back()->pid());
  }
  std::set<int> got;
  for (int i = 0; i < 8; ++i) {
    absl::StatusOr<Connection> connection = listener_.AcceptAuthenticated(key_, absl::Seconds(60));
    ASSERT_TRUE(connection.ok()) << connection.status();
    got.insert(connection->Receive<int>().value());
  }
  EXPECT_EQ(got, expected);
  for (const auto& dialer : dialers) EXPECT_EQ(dialer->Join(), 0);
}

}  // namespace
}  // namespace brood
