// Who starts children before its own start is over is refused (TestNoForkBomb): its children would do the same, without
// end. In C++ that is a program that has not called Bootstrap, or not yet.
#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "launcher/process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

class ForkBombTest : public ConformanceTest {
 protected:
  // What the program prints, having been executed once only.
  std::string RunStartsEarly(const std::string& when, std::vector<std::string> environment) {
    LaunchOptions options;
    options.argv = {"tests/conformance/starts_early", std::string(StartMethodName(GetParam())), when};
    options.env = std::move(environment);
    options.stdout_spec = Stdio::Capture();
    options.stderr_spec = Stdio::Capture();
    Process process = Process::Start(options).value();
    EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
    EXPECT_EQ(ReadFromStart(process.TakeStderr()), "here\n");
    return ReadFromStart(process.TakeStdout());
  }
};
BROOD_FOR_EACH_START_METHOD(ForkBombTest);

TEST_P(ForkBombTest, AProgramWithoutBootstrapStartsNoCopyOfItself) {
  const std::string said = RunStartsEarly("never", {});
  // A fork executes nothing, and its child does not come here again.
  EXPECT_TRUE(absl::StartsWith(said, IsFork() ? "OK" : "FAILED_PRECONDITION: ")) << said;
  EXPECT_EQ(absl::StrContains(said, "call brood::Bootstrap(argc, argv) first in main"), !IsFork()) << said;
}

TEST_P(ForkBombTest, AStaticObjectStartsNoCopyOfItsProgram) {
  const std::string said = RunStartsEarly("early", {"BROOD_STARTS_EARLY=" + std::string(StartMethodName(GetParam()))});
  EXPECT_TRUE(absl::StartsWith(said, IsFork() ? "OK" : "FAILED_PRECONDITION: ")) << said;
}

}  // namespace
}  // namespace brood
