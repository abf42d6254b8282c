// Connections as arguments of targets, with each start method, in and out of sandboxes.
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ipc/connection.h"
#include "ipc/pipe.h"
#include "ipc/wait.h"
#include "launcher/context.h"
#include "sandbox/plan.h"

namespace brood {
namespace {

void SquareUntilTheEnd(Connection connection) {
  while (true) {
    const absl::StatusOr<int> number = connection.Receive<int>();
    if (!number.ok() || !connection.Send(*number * *number).ok()) return;
  }
}
BROOD_TARGET(SquareUntilTheEnd);

// Its answers go over a connection that comes in a message.
absl::Status AnswerWhereAsked(Connection requests) {
  absl::StatusOr<Connection> answers = requests.Receive<Connection>();
  if (!answers.ok()) return answers.status();
  return answers->Send(std::string("here"));
}
BROOD_TARGET(AnswerWhereAsked);

// `strict` has no calls for sockets. Who hands a connection to a child in it says so.
Policy StrictWithConnections() {
  Policy policy = BuiltinPolicy("strict").value();
  policy.syscalls.push_back({.names = {"sendmsg", "recvmsg", "getsockopt", "shutdown"}, .args = {}, .layer = 1});
  return policy;
}

struct Case {
  std::string name;
  StartMethod method;
  Policy policy;
};

class ArgumentConnectionsTest : public testing::TestWithParam<Case> {
 protected:
  LaunchOptions Options() const { return {.policy = CompilePolicy(GetParam().policy).value()}; }
  const Context context_{GetParam().method};
};

INSTANTIATE_TEST_SUITE_P(StartMethods, ArgumentConnectionsTest,
                         testing::Values(Case{"spawn", StartMethod::kSpawn, BuiltinPolicy("none").value()},
                                         Case{"fork", StartMethod::kFork, BuiltinPolicy("none").value()},
                                         Case{"spawn_default", StartMethod::kSpawn, BuiltinPolicy("default").value()},
                                         Case{"spawn_strict", StartMethod::kSpawn, StrictWithConnections()},
                                         Case{"forkserver", StartMethod::kForkServer, BuiltinPolicy("none").value()},
                                         Case{"forkserver_strict", StartMethod::kForkServer, StrictWithConnections()},
                                         Case{"fork_strict", StartMethod::kFork, StrictWithConnections()}),
                         [](const auto& info) { return info.param.name; });

// Python's test_spawn_close: the parent closes its copy of the child's end right after the start.
TEST_P(ArgumentConnectionsTest, TheChildHasTheOnlyOtherEnd) {
  auto [mine, childs] = Pipe().value();
  absl::StatusOr<Process> process = context_.Start(Options(), SquareUntilTheEnd, childs);
  ASSERT_TRUE(process.ok()) << process.status();
  childs.Close();
  ASSERT_TRUE(mine.Send(7).ok());
  const absl::StatusOr<int> answer = mine.Receive<int>({.timeout = absl::Seconds(60)});
  ASSERT_TRUE(answer.ok()) << answer.status() << "; the child " << process->Join().value().ToString();
  EXPECT_EQ(*answer, 49);
  EXPECT_TRUE(process->Terminate().ok());
  EXPECT_FALSE(Wait({mine, process->sentinel()}, absl::Seconds(60)).value().empty());
  EXPECT_EQ(mine.Receive<int>({.timeout = absl::Seconds(60)}).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_P(ArgumentConnectionsTest, AConnectionThatComesInAMessageWorksToo) {
  auto [requests, childs] = Pipe().value();
  auto [answers, answering] = Pipe({.kind = PipeKind::kOneWay}).value();
  absl::StatusOr<Process> process = context_.Start(Options(), AnswerWhereAsked, childs);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_TRUE(requests.Send(answering).ok());
  answering.Close();
  EXPECT_EQ(answers.Receive<std::string>({.timeout = absl::Seconds(60)}).value_or("nothing"), "here");
  EXPECT_EQ(process->Join().value().ToString(), "exited with code 0");
}

TEST(ConnectionsInStrictTest, WithoutTheCallsTheChildIsAViolationAndThePeerSeesItsEnd) {
  auto [mine, childs] = Pipe().value();
  const Context context(StartMethod::kSpawn);
  absl::StatusOr<Process> process =
      context.Start({.policy = CompilePolicy(BuiltinPolicy("strict").value()).value()}, SquareUntilTheEnd, childs);
  ASSERT_TRUE(process.ok()) << process.status();
  childs.Close();
  EXPECT_EQ(mine.Receive<int>({.timeout = absl::Seconds(60)}).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(process->Join().value().ToString(), testing::HasSubstr("system call getsockopt"));
}

}  // namespace
}  // namespace brood
