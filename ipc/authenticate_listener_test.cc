// Authentication with listeners, whose peers are processes, and with descriptors. On Windows: listener_windows_test.cc.
#include <unistd.h>

#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "ipc/authenticate.h"
#include "ipc/dial.h"
#include "ipc/listener.h"
#include "ipc/pipe.h"
#include "ipc/testing.h"
#include "ipc/wait.h"

namespace brood {
namespace {

constexpr absl::StatusCode kUnauthenticated = absl::StatusCode::kUnauthenticated;

TEST(AuthenticateTest, HandlesInPlaceOfAnAnswerAreRefused) {
  const AuthKey key = AuthKey::Generate().value();
  for (const bool as_listener : {true, false}) {
    auto [ours, theirs] = Pipe().value();
    ASSERT_TRUE(theirs.SendHandle(0).ok());
    EXPECT_EQ((as_listener ? AuthenticateAsListener(ours, key) : AuthenticateAsDialer(ours, key)).code(), kUnauthenticated);
  }
}

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
