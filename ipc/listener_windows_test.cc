// Listener and Dial over pipes of Windows. What is the same on all systems is said once more in listener_test.cc and
// authenticate_test.cc, whose peers are forks; other processes dial in tests/conformance/connection_test.cc.
#include "ipc/listener.h"

#include <windows.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/windows_handle.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ipc/dial.h"
#include "ipc/wait.h"

namespace brood {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr absl::StatusCode kUnauthenticated = absl::StatusCode::kUnauthenticated;

// Other processes of this test, and other tests, have other names.
Address Named(std::string_view name) {
  return Address::Pipe(absl::StrCat("\\\\.\\pipe\\brood-listener-test-", GetCurrentProcessId(), "-", name));
}

TEST(ListenerTest, TwoMeetAtANameOfTheirsAndAtOneThatIsChosen) {
  for (const Address& address : {Named("a"), Address::Pipe(), Address::Local()}) {
    Listener listener = Listener::Create(address, {}).value();
    std::thread dialer([&] {
      Connection connection = Dial(listener.address()).value();
      EXPECT_TRUE(connection.Send(std::string("hello")).ok());
      EXPECT_EQ(connection.Receive<int>().value(), 7);
    });
    Connection connection = listener.Accept(kPatience).value();
    EXPECT_EQ(connection.Receive<std::string>().value(), "hello") << listener.address().ToString();
    ASSERT_TRUE(connection.Send(7).ok());
    dialer.join();
    EXPECT_EQ(connection.Receive<int>().status().code(), absl::StatusCode::kOutOfRange);
  }
}

TEST(ListenerTest, AChosenNameIsKnownAndTravelsAsAValue) {
  const Listener one = Listener::Create(Address::Local()).value();
  const Listener other = Listener::Create(Address::Local()).value();
  EXPECT_NE(one.address(), other.address());
  EXPECT_EQ(one.address().ToString(), "pipe:" + one.address().name);
  EXPECT_EQ(Unpack<Address>(Pack(one.address())).value(), one.address());
}

// Wine 8 makes a second one.
bool SystemKeepsToTheFirstInstance() {
  const auto make = [] {
    return Own(CreateNamedPipeA(Named("probe").name.c_str(), PIPE_ACCESS_DUPLEX | FILE_FLAG_FIRST_PIPE_INSTANCE, PIPE_TYPE_BYTE,
                                PIPE_UNLIMITED_INSTANCES, 4096, 4096, 0, nullptr));
  };
  const UniqueFd first = make();
  EXPECT_TRUE(first.valid());
  return !make().valid();
}

TEST(ListenerTest, ASecondListenerAtTheSameNameIsRefusedAndTheFirstGoesOn) {
  if (!SystemKeepsToTheFirstInstance()) {
    GTEST_SKIP() << "this system lets a second process listen at a pipe with FILE_FLAG_FIRST_PIPE_INSTANCE";
  }
  Listener listener = Listener::Create(Named("b")).value();
  const absl::Status status = Listener::Create(listener.address()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("the address is in use"));
  const Connection dialed = Dial(listener.address()).value();
  EXPECT_TRUE(listener.Accept(absl::ZeroDuration()).ok());
}

TEST(ListenerTest, ANameIsFreeWhenItsListenerAndItsConnectionsAreGone) {
  for (int i = 0; i < 3; ++i) {
    Listener listener = Listener::Create(Named("c")).value();
    const Connection dialed = Dial(listener.address()).value();
    EXPECT_TRUE(listener.Accept(absl::ZeroDuration()).ok());
  }
}

TEST(ListenerTest, BadAddressesAreRefusedWithTheReason) {
  const auto error = [](const Address& address) {
    const absl::Status status = Listener::Create(address).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(Dial(address).status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(error(Address::Pipe("name")), HasSubstr("does not begin with \\\\.\\pipe\\"));
  EXPECT_THAT(error(Address::Pipe("\\\\server\\pipe\\name")), HasSubstr("as the pipes of this machine do"));
  EXPECT_THAT(error(Address::Pipe("\\\\.\\pipe\\")), HasSubstr("no name"));
  EXPECT_THAT(error(Address::Pipe("\\\\.\\pipe\\a\\b")), HasSubstr("backslash"));
  EXPECT_THAT(error(Address::Pipe("\\\\.\\pipe\\" + std::string(248, 'x'))), HasSubstr("257 characters, at most 256"));
  EXPECT_THAT(error(Address::Pipe(std::string("\\\\.\\pipe\\a\0b", 12))), HasSubstr("zero"));
  EXPECT_THAT(error(Address::Pipe("\\\\.\\pipe\\\xff")), HasSubstr("UTF-8"));
  EXPECT_THAT(error(Address::UnixPath("/x")), HasSubstr("Windows has pipes only"));
  EXPECT_THAT(error(Address::Abstract("x")), HasSubstr("Windows has pipes only"));
  EXPECT_THAT(error(Address::Tcp()), HasSubstr("Windows has pipes only"));
  Address unknown;
  unknown.family = static_cast<Address::Family>(9);
  EXPECT_THAT(error(unknown), HasSubstr("no family 9"));
}

TEST(ListenerTest, WhereNobodyListensADialIsUnavailable) {
  EXPECT_EQ(Dial(Named("nobody")).status().code(), absl::StatusCode::kUnavailable);
  Listener listener = Listener::Create(Named("d")).value();
  const Address address = listener.address();
  listener.Close();
  EXPECT_EQ(Dial(address).status().code(), absl::StatusCode::kUnavailable);
}

TEST(ListenerTest, AcceptTimesOutAndClosedListenersRefuse) {
  Listener listener = Listener::Create(Address::Local()).value();
  const AuthKey key = AuthKey::Generate().value();
  for (const absl::Duration timeout : {absl::Seconds(-1), absl::ZeroDuration(), absl::Milliseconds(20)}) {
    EXPECT_EQ(listener.Accept(timeout).status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(listener.AcceptAuthenticated(key, timeout).status().code(), absl::StatusCode::kDeadlineExceeded);
  }
  Connection waiting = Dial(listener.address()).value();
  listener.Close();
  EXPECT_EQ(listener.Accept().status(), absl::FailedPreconditionError("accept: the listener is closed"));
  EXPECT_EQ(listener.AcceptAuthenticated(key).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(listener.descriptor(), -1);
  EXPECT_EQ(Listener().Accept().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(waiting.ReceiveBytes().status().code(), absl::StatusCode::kOutOfRange) << "a peer that was not accepted";
}

TEST(ListenerTest, WhoFindsNoRoomWaitsUntilItsTimeIsOverOrSomebodyIsAccepted) {
  Listener listener = Listener::Create(Address::Local(), {.backlog = 1}).value();
  const Connection first = Dial(listener.address()).value();
  EXPECT_EQ(Dial(listener.address(), {.timeout = absl::Milliseconds(50)}).status().code(), absl::StatusCode::kDeadlineExceeded);
  std::thread late([&] { EXPECT_TRUE(Dial(listener.address(), {.timeout = kPatience}).ok()); });
  EXPECT_TRUE(listener.Accept(kPatience).ok());
  EXPECT_TRUE(listener.Accept(kPatience).ok());
  late.join();
}

TEST(ListenerTest, APeerThatIsGoneBeforeItIsAcceptedLosesNothing) {
  Listener listener = Listener::Create(Address::Local()).value();
  EXPECT_TRUE(Dial(listener.address()).value().Send(5).ok());
  Connection connection = listener.Accept(kPatience).value();
  EXPECT_EQ(connection.Receive<int>({.timeout = kPatience}).value(), 5);
  EXPECT_EQ(connection.Receive<int>({.timeout = kPatience}).status().code(), absl::StatusCode::kOutOfRange);
}

TEST(ListenerTest, DescriptorIsReadableWhenSomebodyComes) {
  Listener listener = Listener::Create(Address::Local()).value();
  EXPECT_TRUE(Wait({listener.descriptor()}, absl::ZeroDuration()).value().empty());
  const Connection first = Dial(listener.address()).value();
  const Connection second = Dial(listener.address()).value();
  EXPECT_EQ(Wait({listener.descriptor()}, kPatience).value().size(), 1u);
  EXPECT_TRUE(listener.Accept(absl::ZeroDuration()).ok());
  EXPECT_EQ(Wait({listener.descriptor()}, kPatience).value().size(), 1u) << "the second still waits";
  EXPECT_TRUE(listener.Accept(kPatience).ok());
  EXPECT_TRUE(Wait({listener.descriptor()}, absl::ZeroDuration()).value().empty());
}

// What a thread has begun ends with it.
TEST(ListenerTest, AListenerOutlivesTheThreadThatMadeIt) {
  Listener listener;
  std::thread([&] { listener = Listener::Create(Address::Local()).value(); }).join();
  std::thread dialer([&] { EXPECT_TRUE(Dial(listener.address()).value().Send(3).ok()); });
  EXPECT_EQ(listener.Accept(kPatience).value().Receive<int>({.timeout = kPatience}).value(), 3);
  dialer.join();
}

class AuthenticatedListenerTest : public testing::Test {
 protected:
  void Listen(const ListenerOptions& options = {}) { listener_ = Listener::Create(Address::Local(), options).value(); }
  // Dials with `key`, and then sends `number`.
  std::thread DialWith(const AuthKey& key, int number) {
    return std::thread([this, key, number] {
      absl::StatusOr<Connection> connection = DialAuthenticated(listener_.address(), key, {.timeout = kPatience});
      ASSERT_TRUE(connection.ok()) << connection.status();
      EXPECT_TRUE(connection->Send(number).ok());
    });
  }

  const AuthKey key_ = AuthKey::Generate().value();
  Listener listener_;
};

TEST_F(AuthenticatedListenerTest, AWrongKeyFailsOnBothSidesAndTheListenerGoesOn) {
  Listen();
  std::thread wrong([&] {
    EXPECT_EQ(DialAuthenticated(listener_.address(), AuthKey::Generate().value()).status().code(), kUnauthenticated);
  });
  EXPECT_EQ(listener_.AcceptAuthenticated(key_, kPatience).status(),
            absl::UnauthenticatedError("accept: authenticate: the peer has another key"));
  wrong.join();
  std::thread right = DialWith(key_, 1);
  EXPECT_EQ(listener_.AcceptAuthenticated(key_, kPatience).value().Receive<int>().value(), 1);
  right.join();
}

TEST_F(AuthenticatedListenerTest, SilentPeersDelayNobody) {
  Listen({.handshake_timeout = absl::Hours(1)});
  std::vector<Connection> silent;
  for (int i = 0; i < 10; ++i) silent.push_back(Dial(listener_.address()).value());
  std::thread honest = DialWith(key_, 2);
  absl::StatusOr<Connection> connection = listener_.AcceptAuthenticated(key_, kPatience);
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->Receive<int>().value(), 2);
  honest.join();
}

TEST_F(AuthenticatedListenerTest, ASilentPeerHasFailedAfterItsTimeout) {
  Listen({.handshake_timeout = absl::Milliseconds(30)});
  Connection silent = Dial(listener_.address()).value();
  EXPECT_EQ(listener_.AcceptAuthenticated(key_).status(),
            absl::UnauthenticatedError("accept: a peer did not answer within 30ms"));
  EXPECT_FALSE(silent.ReceiveBytes().ok()) << "the challenge";
  EXPECT_EQ(silent.ReceiveBytes().status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(AuthenticatedListenerTest, OfTooManySilentPeersTheOldestGoesAndTheHonestOneGetsIn) {
  Listen({.handshake_timeout = absl::Hours(1), .max_handshakes = 3});
  std::vector<Connection> silent;
  for (int i = 0; i < 6; ++i) silent.push_back(Dial(listener_.address()).value());
  std::thread honest = DialWith(key_, 3);
  int dropped = 0;
  absl::StatusOr<Connection> connection = absl::UnauthenticatedError("not yet");
  for (; absl::IsUnauthenticated(connection.status()); ++dropped) connection = listener_.AcceptAuthenticated(key_, kPatience);
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->Receive<int>().value(), 3);
  EXPECT_EQ(dropped - 1, 4);
  EXPECT_FALSE(silent[0].ReceiveBytes().ok()) << "the challenge";
  EXPECT_EQ(silent[0].ReceiveBytes().status().code(), absl::StatusCode::kOutOfRange) << "the oldest was closed";
  EXPECT_FALSE(silent[5].ReceiveBytes().ok()) << "the challenge";
  EXPECT_FALSE(silent[5].Poll().value()) << "the newest was not";
  honest.join();
}

TEST_F(AuthenticatedListenerTest, APeerThatHangsUpOrTalksAtOnceHasFailed) {
  Listen();
  Dial(listener_.address()).value().Close();
  EXPECT_EQ(listener_.AcceptAuthenticated(key_, kPatience).status().code(), kUnauthenticated);
  Connection talker = Dial(listener_.address()).value();
  ASSERT_TRUE(talker.Send(1).ok());
  EXPECT_EQ(listener_.AcceptAuthenticated(key_, kPatience).status().code(), kUnauthenticated);
}

TEST_F(AuthenticatedListenerTest, HandshakesGoOnInTheNextCall) {
  Listen();
  std::thread honest = DialWith(key_, 4);
  absl::StatusOr<Connection> connection = absl::DeadlineExceededError("not yet");
  // As one's own loop does it: a look whenever the descriptor is readable, never a wait.
  while (absl::IsDeadlineExceeded(connection.status())) {
    ASSERT_EQ(Wait({listener_.descriptor()}, kPatience).value().size(), 1u);
    connection = listener_.AcceptAuthenticated(key_, absl::ZeroDuration());
  }
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->Receive<int>().value(), 4);
  EXPECT_TRUE(Wait({listener_.descriptor()}, absl::ZeroDuration()).value().empty()) << "it is out of the listener";
  honest.join();
}

TEST_F(AuthenticatedListenerTest, ManyMayDialAtOnce) {
  Listen();
  std::vector<std::thread> dialers;
  std::set<int> expected, got;
  for (int i = 0; i < 24; ++i) {
    dialers.push_back(DialWith(key_, i));
    expected.insert(i);
  }
  for (int i = 0; i < 24; ++i) {
    absl::StatusOr<Connection> connection = listener_.AcceptAuthenticated(key_, kPatience);
    ASSERT_TRUE(connection.ok()) << connection.status();
    got.insert(connection->Receive<int>().value());
  }
  EXPECT_EQ(got, expected);
  for (std::thread& dialer : dialers) dialer.join();
}

}  // namespace
}  // namespace brood
