// What of connections between a process and its child only Linux has: descriptors that travel, and TCP.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/status.h"
#include "ipc/connection.h"
#include "ipc/dial.h"
#include "ipc/listener.h"
#include "ipc/pipe.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

constexpr absl::Duration kPatience = absl::Milliseconds(kPatienceMs);

absl::Status WriteIntoReceivedFile(Connection connection) {
  BROOD_ASSIGN_OR_RETURN(const UniqueFd file, connection.ReceiveHandle());
  if (write(file.get(), "from the child", 14) != 14) return ErrnoStatus(errno, "write");
  return absl::OkStatus();
}
BROOD_TARGET(WriteIntoReceivedFile);

absl::Status AnswerOverAnother(Connection connection) {
  BROOD_ASSIGN_OR_RETURN(Connection other, connection.Receive<Connection>());
  return other.Send(std::string("over the other"));
}
BROOD_TARGET(AnswerOverAnother);

absl::Status DialAndSend(const Address& address) {
  BROOD_ASSIGN_OR_RETURN(Connection connection, Dial(address));
  return connection.Send(std::string("hello"));
}
BROOD_TARGET(DialAndSend);

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

TEST_P(ChildConnectionTest, ADescriptorAbove256Arrives) {
  Process process = StartWithPipe(WriteIntoReceivedFile);
  RawPipe pipe;
  const UniqueFd high(fcntl(pipe.writer.get(), F_DUPFD_CLOEXEC, 300));
  ASSERT_GE(high.get(), 300);
  ASSERT_EQ(mine_.SendHandle(high.get()), absl::OkStatus());
  EXPECT_EQ(process.Result<void>(), absl::OkStatus());
  char text[14];
  ASSERT_EQ(read(pipe.reader.get(), text, sizeof(text)), 14);
  EXPECT_EQ(std::string(text, 14), "from the child");
}

TEST_P(ChildConnectionTest, AConnectionGoesOverAConnection) {
  Process process = StartWithPipe(AnswerOverAnother);
  auto [mine, others] = Pipe().value();
  ASSERT_EQ(mine_.Send(others), absl::OkStatus());
  others.Close();
  EXPECT_EQ(mine.Receive<std::string>({.timeout = kPatience}).value(), "over the other");
  EXPECT_EQ(process.Result<void>(), absl::OkStatus());
}

TEST_P(ChildConnectionTest, AChildDialsItsParentOverTcp) {
  Listener listener = Listener::Create(Address::Tcp()).value();
  ASSERT_EQ(context_.Call(DialAndSend, listener.address()), absl::OkStatus());
  EXPECT_EQ(listener.Accept(kPatience).value().Receive<std::string>().value(), "hello");
}

}  // namespace
}  // namespace brood
