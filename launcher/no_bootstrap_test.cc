// A program whose main function does not call brood::Bootstrap.
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "bootstrap/bootstrap.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"

namespace brood {
namespace {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

constexpr char kSelf[] = "/proc/self/exe";

TEST(NoBootstrapTest, ItsOwnProgramIsNotStartedOnceMore) {
  const Context context(StartMethod::kForkServer);
  for (const absl::Status& status : {context.StartServer(), context.Call(Square, 7).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_NE(status.message().find("brood::Bootstrap"), std::string::npos) << status;
  }
}

TEST(NoBootstrapTest, AProgramThatReturnsIsNoServer) {
  setenv("BROOD_TEST_MAIN", "returns", 1);
  const absl::Status status = Context(StartMethod::kForkServer, {.executable = kSelf}).StartServer();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(status.message().find("brood::Bootstrap"), std::string::npos) << status;
}

TEST(NoBootstrapTest, AProgramThatDoesOtherThingsIsEndedAfterTheTimeOfTheStart) {
  Ends pipe = MakePipe();
  EXPECT_EQ(InFork([&]() -> std::string {
              dup2(pipe.writer.get(), 1);  // The program has it, too.
              pipe.writer.reset();
              setenv("BROOD_TEST_MAIN", "stays", 1);
              const absl::Status status =
                  Context(StartMethod::kForkServer, {.executable = kSelf, .preload_timeout = absl::Milliseconds(200)}).StartServer();
              const bool clear = absl::IsDeadlineExceeded(status) && status.message().find("brood::Bootstrap") != std::string::npos;
              return clear ? "" : status.ToString();
            }),
            "");
  pipe.writer.reset();
  pollfd ended = {.fd = pipe.reader.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&ended, 1, 20'000), 1) << "the program runs still";
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == brood::internal::kServerFlag) {
    while (std::string_view(getenv("BROOD_TEST_MAIN")) == "stays") pause();
    return 0;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
