// A child that starts its own children by a forkserver. CPython hands its server to its children (gh-86354: not reliably);
// ours start one, which has of them what a server has of its owner, and ends with them.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "tests/conformance/conformance.h"

namespace brood {
namespace {

constexpr char kServerName[] = "brood-supervise";

pid_t ServerAbove() { return NearestAbove(getpid(), kServerName); }
BROOD_TARGET(ServerAbove);

// The servers above a child, and above two children that it starts.
using Servers = std::array<pid_t, 3>;

void ServeOwnChildren(const UniqueFd& to, const UniqueFd& may_end) {
  const Context context(StartMethod::kForkServer);
  const Servers servers = {ServerAbove(), context.Call(ServerAbove).value(), context.Call(ServerAbove).value()};
  (void)!write(to.get(), servers.data(), sizeof(servers));
  WaitForEnd(may_end);
}
BROOD_TARGET(ServeOwnChildren);

class NestedServerTest : public ConformanceTest {
 protected:
  // A child that has a server and waits for the end of `may_end_`. Fills in `server_`.
  Process StartOneThatServes() {
    RawPipe from;
    may_end_.emplace();
    Process process = context_.Start(ServeOwnChildren, from.writer, may_end_->reader).value();
    from.writer.reset();
    Servers servers = {};
    EXPECT_TRUE(IsReadable(from.reader.get(), kPatienceMs));
    EXPECT_EQ(read(from.reader.get(), servers.data(), sizeof(servers)), static_cast<ssize_t>(sizeof(servers)));
    const auto& [above, first, second] = servers;
    EXPECT_EQ(above > 0, GetParam() == StartMethod::kForkServer);
    EXPECT_GT(first, 0);
    EXPECT_NE(first, above);
    EXPECT_EQ(first, second);
    server_ = OpenPid(first);
    EXPECT_TRUE(server_.valid());
    EXPECT_FALSE(IsReadable(server_.get()));
    return process;
  }
  void TearDown() override {
    server_.reset();
    may_end_.reset();
    ConformanceTest::TearDown();
  }

  std::optional<RawPipe> may_end_;
  UniqueFd server_;
};
BROOD_FOR_EACH_START_METHOD(NestedServerTest);

TEST_P(NestedServerTest, AChildsChildrenHaveOneServerOfItsOwnThatEndsWithIt) {
  Process process = StartOneThatServes();
  may_end_->writer.reset();
  EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
  EXPECT_TRUE(IsReadable(server_.get(), kPatienceMs));
}

TEST_P(NestedServerTest, AKilledChildLeavesNoServer) {
  Process process = StartOneThatServes();
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), -SIGKILL);
  EXPECT_TRUE(IsReadable(server_.get(), kPatienceMs));
}

int32_t Square(int32_t x) { return x * x; }
BROOD_TARGET(Square);

int32_t SquareOfAServers(int32_t x) { return Context(StartMethod::kForkServer).Call(Square, x).value(); }
BROOD_TARGET(SquareOfAServers);

TEST_P(NestedServerTest, AChildInASandboxMayHaveAServer) {
  LaunchOptions options;
  options.policy = CompilePolicy(BuiltinPolicy("default").value()).value();
  EXPECT_EQ(context_.Call(options, SquareOfAServers, 7), absl::StatusOr<int32_t>(49));
}

}  // namespace
}  // namespace brood
