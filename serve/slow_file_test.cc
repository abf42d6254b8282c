// Clients whose files' server says nothing any more: whoever touches them waits, and nobody else does.
#include <sys/mman.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "sandbox/policy.h"
#include "serve/serve_testing.h"
#include "serve/slow_file_testing.h"

namespace brood {
namespace {

int Add(int a, int b) { return a + b; }
BROOD_TARGET(Add);

void Nothing() {}
BROOD_TARGET(Nothing);

BROOD_TARGET(ServerAbove);

ServeOptions Options(const char* policy) {
  ServeOptions options;
  options.policy = BuiltinPolicy(policy).value();
  return options;
}

class SlowFileTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can mount a file system of its own without fusermount";
    if (access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/fuse here";
  }

  static Context Served(const ServerProcess& server) {
    ContextOptions options;
    options.server = server.path();
    options.server_timeout = absl::Seconds(20);
    return Context(StartMethod::kForkServer, options);
  }

  static void ExpectServes(const ServerProcess& server) {
    EXPECT_TRUE(Serves(server.path()));
    GoodLaunch fresh("exit 4");  // Its guardian is a fork of the server.
    fresh.launch.fresh = true;
    const RawClient client(server.path());
    EXPECT_EQ(client.Launch(fresh.launch), absl::OkStatus());
    EXPECT_EQ(client.End().exit_code(), 4);
    EXPECT_EQ(Served(server).Call(Add, 1, 2), absl::StatusOr<int>(3));
  }

  // A client that asks for `sleep` with the file in the place of a stream, and does not wait.
  static std::unique_ptr<RawClient> Ask(const ServerProcess& server, int stream, const SlowFile& file) {
    auto client = std::make_unique<RawClient>(server.path());
    GoodLaunch good("exec sleep 1000");
    good.launch.streams[stream].fd = file.get();
    EXPECT_EQ(client->Launch(good.launch), absl::OkStatus());
    return client;
  }
};

TEST_F(SlowFileTest, AProgramWithOneHoldsUpNobodyElse) {
  for (const char* policy : {"none", "default", "strict"}) {
    ServerProcess server(Options(policy));
    const SlowFile file(O_RDWR);
    ASSERT_TRUE(file.valid());
    const std::unique_ptr<RawClient> first = Ask(server, 0, file), second = Ask(server, 1, file);
    ExpectServes(server);
  }
}

TEST_F(SlowFileTest, AFunctionWithOneHoldsUpNobodyElse) {
  for (const char* policy : {"none", "default", "strict"}) {
    ServerProcess server(Options(policy));
    const SlowFile in(O_RDONLY);
    ASSERT_TRUE(in.valid());
    const pid_t client = fork();
    if (client == 0) {
      LaunchOptions options;
      options.stdin_spec = Stdio::Fd(in.get());
      const absl::StatusOr<Process> process = Served(server).Start(options, Nothing);
      for (;;) pause();
    }
    for (int i = 0; i < 20; ++i) ExpectServes(server);
    kill(client, SIGKILL);
    ExpectServes(server);
  }
}

TEST_F(SlowFileTest, ManyThatAreRefusedHoldUpNobodyElse) {
  ServerProcess server(Options("default"));
  const SlowFile file(O_RDONLY);
  ASSERT_TRUE(file.valid());
  constexpr int kRequests = 200;
  for (int i = 0; i < kRequests; ++i) {
    const RawClient client(server.path());
    EXPECT_EQ(client.Ask(internal::ServeTag::Kind::kAskStatus, "", {file.get()}), absl::OkStatus());
    EXPECT_FALSE(client.Refusal().ok());
    if (i % 10 == 0) ExpectServes(server);
  }
}

TEST_F(SlowFileTest, WhoHasTooManyOfThemIsToldSo) {
  ServerProcess server(Options("default"));
  const SlowFile file(O_RDONLY);
  ASSERT_TRUE(file.valid());
  absl::Status refusal;
  for (int i = 0; i < 300 && !absl::IsResourceExhausted(refusal); ++i) {
    const RawClient client(server.path());
    client.Ask(internal::ServeTag::Kind::kAskStatus, "", {file.get()}).IgnoreError();
    refusal = client.Refusal();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(refusal)) << refusal;
  EXPECT_TRUE(absl::StrContains(refusal.message(), "256 descriptors that user 0 has sent wait")) << refusal;
}

TEST_F(SlowFileTest, ManyInOneRequestHoldUpNobodyElse) {
  ServerProcess server(Options("none"));
  const SlowFile file(O_RDONLY);
  ASSERT_TRUE(file.valid());
  const RawClient client(server.path());
  EXPECT_EQ(client.Ask(internal::ServeTag::Kind::kAskStatus, "", std::vector<int>(5000, file.get())), absl::OkStatus());
  const absl::Status refusal = client.Refusal();
  EXPECT_TRUE(absl::IsResourceExhausted(refusal)) << refusal;
  ExpectServes(server);
}

TEST_F(SlowFileTest, AForkserverThatIsKilledIsStartedAgainBesideOne) {
  ServerProcess server(Options("none"));
  const SlowFile file(O_RDONLY);
  ASSERT_TRUE(file.valid());
  ASSERT_EQ(kill(static_cast<pid_t>(Served(server).Call(ServerAbove).value()), SIGKILL), 0);
  const pid_t client = fork();
  if (client == 0) {
    LaunchOptions options;
    options.stdin_spec = Stdio::Fd(file.get());
    const absl::StatusOr<Process> process = Served(server).Start(options, Nothing);
    for (;;) pause();
  }
  for (int i = 0; i < 5; ++i) ExpectServes(server);
  kill(client, SIGKILL);
}

}  // namespace
}  // namespace brood
