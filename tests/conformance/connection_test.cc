// Connections between a process and its child (_TestConnection, _TestListenerClient, _TestPicklingConnections).
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/own_process.h"
#include "base/status.h"
#include "ipc/auth_key.h"
#include "ipc/connection.h"
#include "ipc/dial.h"
#include "ipc/listener.h"
#include "ipc/pipe.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

constexpr absl::Duration kPatience = absl::Milliseconds(kPatienceMs);

// Sends back all bytes, until the peer closes.
absl::Status Echo(Connection connection) {
  while (true) {
    const absl::StatusOr<std::string> bytes = connection.ReceiveBytes();
    if (absl::IsOutOfRange(bytes.status())) return absl::OkStatus();
    BROOD_RETURN_IF_ERROR(bytes.status());
    BROOD_RETURN_IF_ERROR(connection.SendBytes(*bytes));
  }
}
BROOD_TARGET(Echo);

using Values = std::tuple<int, std::string, std::vector<double>>;

absl::Status SendValues(Connection connection) {
  BROOD_RETURN_IF_ERROR(connection.Send(Values{7, "seven", {7.5, -1}}));
  return connection.SendBytes("");
}
BROOD_TARGET(SendValues);

// More than the socket holds, while nobody reads.
absl::Status SendPartAndDie(Connection connection) {
  (void)connection.SendBytes(std::string(32 << 20, 'x'), absl::Milliseconds(50));
  EndOwnProcess(0);
}
BROOD_TARGET(SendPartAndDie);

int CodeOfSend(Connection connection) { return static_cast<int>(connection.Send(1).code()); }
BROOD_TARGET(CodeOfSend);

// --- a child that dials its parent ---

absl::Status DialAndSend(const Address& address) {
  BROOD_ASSIGN_OR_RETURN(Connection connection, Dial(address));
  return connection.Send(std::string("hello"));
}
BROOD_TARGET(DialAndSend);

absl::Status DialWithOwnKey(const Address& address) {
  BROOD_ASSIGN_OR_RETURN(const AuthKey key, CurrentAuthKey());
  BROOD_ASSIGN_OR_RETURN(Connection connection, DialAuthenticated(address, key));
  return connection.Send(std::string("hello"));
}
BROOD_TARGET(DialWithOwnKey);

absl::Status DialWithAnotherKey(const Address& address) {
  BROOD_ASSIGN_OR_RETURN(const AuthKey key, AuthKey::Generate());
  return DialAuthenticated(address, key).status();
}
BROOD_TARGET(DialWithAnotherKey);

class ChildConnectionTest : public ConformanceTest {
 protected:
  Process StartWithPipe(absl::Status (*target)(Connection)) {
    auto [mine, childs] = Pipe().value();
    mine_ = std::move(mine);
    return context_.Start(target, childs).value();  // After this the child's end is the only other one.
  }
  void TearDown() override {
    mine_.Close();
    ConformanceTest::TearDown();
  }
  Connection mine_;
};
BROOD_FOR_EACH_START_METHOD(ChildConnectionTest);

TEST_P(ChildConnectionTest, BytesOfEverySizeGoThereAndBack) {
  Process process = StartWithPipe(Echo);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{16384}, size_t{65537}, size_t{16} << 20}) {
    const std::string bytes(size, 'b');
    ASSERT_EQ(mine_.SendBytes(bytes), absl::OkStatus());
    EXPECT_EQ(mine_.ReceiveBytes({.timeout = kPatience}).value(), bytes);
  }
  mine_.Close();  // The child sees the end, and ends.
  EXPECT_EQ(process.Result<void>(), absl::OkStatus());
}

TEST_P(ChildConnectionTest, ValuesArriveEqualAndThenTheEnd) {
  Process process = StartWithPipe(SendValues);
  EXPECT_EQ(mine_.Receive<Values>({.timeout = kPatience}).value(), (Values{7, "seven", {7.5, -1}}));
  EXPECT_EQ(mine_.ReceiveBytes({.timeout = kPatience}).value(), "");
  EXPECT_EQ(mine_.Receive<int>({.timeout = kPatience}).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(mine_.Send(1).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(process.Result<void>(), absl::OkStatus());
}

TEST_P(ChildConnectionTest, AChildThatEndsWithinAMessageIsDataLoss) {
  Process process = StartWithPipe(SendPartAndDie);
  ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  EXPECT_EQ(mine_.ReceiveBytes({.timeout = kPatience}).status().code(), absl::StatusCode::kDataLoss);
}

TEST_P(ChildConnectionTest, AOneWayEndKnowsItsDirectionInTheChildToo) {
  auto [receiver, sender] = Pipe({.kind = PipeKind::kOneWay}).value();
  EXPECT_EQ(context_.Call(CodeOfSend, sender).value(), static_cast<int>(absl::StatusCode::kOk));
  EXPECT_EQ(receiver.Receive<int>({.timeout = kPatience}).value(), 1);
  EXPECT_EQ(context_.Call(CodeOfSend, receiver).value(), static_cast<int>(absl::StatusCode::kFailedPrecondition));
}

TEST_P(ChildConnectionTest, PollSeesWhatTheChildSendsAndItsEnd) {
  auto [mine, childs] = Pipe().value();
  EXPECT_FALSE(mine.Poll(-absl::Seconds(1)).value());
  ASSERT_EQ(context_.Call(SendValues, childs), absl::OkStatus());
  childs.Close();
  EXPECT_TRUE(mine.Poll(kPatience).value());
  EXPECT_TRUE(mine.Receive<Values>().ok());
  EXPECT_TRUE(mine.ReceiveBytes().ok());
  EXPECT_TRUE(mine.Poll(kPatience).value());  // The end.
}

TEST_P(ChildConnectionTest, AChildDialsItsParentAndMayBeGoneBeforeItIsAccepted) {
  Listener listener = Listener::Create(Address::Local()).value();
  ASSERT_EQ(context_.Call(DialAndSend, listener.address()), absl::OkStatus());
  Connection connection = listener.Accept(kPatience).value();
  EXPECT_TRUE(connection.Poll().value());
  EXPECT_EQ(connection.Receive<std::string>().value(), "hello");
}

TEST_P(ChildConnectionTest, AChildProvesItsKeyWithoutBeingTold) {
  Listener listener = Listener::Create(Address::Local()).value();
  Process process = context_.Start(DialWithOwnKey, listener.address()).value();
  absl::StatusOr<Connection> connection = listener.AcceptAuthenticated(CurrentAuthKey().value(), kPatience);
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->Receive<std::string>({.timeout = kPatience}).value(), "hello");
  EXPECT_EQ(process.Result<void>(), absl::OkStatus());
}

TEST_P(ChildConnectionTest, AnotherKeyIsUnauthenticatedOnBothSidesAndTheListenerGoesOn) {
  Listener listener = Listener::Create(Address::Local()).value();
  LaunchOptions quiet;
  quiet.stderr_spec = Stdio::Null();
  Process stranger = context_.Start(quiet, DialWithAnotherKey, listener.address()).value();
  const AuthKey key = CurrentAuthKey().value();
  EXPECT_EQ(listener.AcceptAuthenticated(key, kPatience).status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(stranger.Result<void>().code(), absl::StatusCode::kUnauthenticated);
  Process friendly = context_.Start(DialWithOwnKey, listener.address()).value();
  EXPECT_TRUE(listener.AcceptAuthenticated(key, kPatience).ok());
  EXPECT_TRUE(friendly.Join().ok());
}

}  // namespace
}  // namespace brood
