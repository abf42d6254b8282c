// Exit codes that are signals, and those that are too large for a POSIX system.
#include <signal.h>
#include <unistd.h>

#include <string>

#include "bootstrap/exit.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

ExitCode ReturnCode(int code) { return {code}; }
BROOD_TARGET(ReturnCode);

void ExitWith(int code) { Exit(code); }
BROOD_TARGET(ExitWith);

void EndBySignal(int number) {
  signal(number, SIG_DFL);  // A sanitizer may have a handler for it, and would exit instead.
  raise(number);
}
BROOD_TARGET(EndBySignal);

using ExitCodeTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ExitCodeTest);

TEST_P(ExitCodeTest, ACodeOf256IsTheCallersErrorAndNoSuccess) {
  for (const int code : {256, 512, -1, 300, INT32_MAX, INT32_MIN}) {
    const Ended ended = Run(ExitWith, code);
    EXPECT_EQ(ended.outcome.exit_code(), 1) << code;
    EXPECT_NE(ended.err.find(std::to_string(code)), std::string::npos) << ended.err;
    EXPECT_EQ(context_.Call(ReturnCode, code).code(), absl::StatusCode::kAborted);
  }
}

TEST_P(ExitCodeTest, SignalNIsMinusN) {
  for (const int number : {SIGHUP, SIGABRT, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGRTMIN + 1}) {
    EXPECT_EQ(Run(EndBySignal, number).outcome.exit_code(), -number);
  }
}

TEST_P(ExitCodeTest, InterruptIsMinusTwo) {
  Process process = StartWaiting();
  ASSERT_EQ(process.Signal(SIGINT), absl::OkStatus());
  EXPECT_EQ(process.Join()->exit_code(), -SIGINT);
}

}  // namespace
}  // namespace brood
