// How a process ends, and the exit code that tells it (_TestProcess, _TestSubclassingProcess.test_sys_exit).
#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/own_process.h"
#include "base/signals.h"
#include "bootstrap/exit.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

ExitCode ReturnCode(int code) { return {code}; }
BROOD_TARGET(ReturnCode);

void ExitWith(int code) { Exit(code); }
BROOD_TARGET(ExitWith);

void ExitWithoutCode() { Exit(); }
BROOD_TARGET(ExitWithoutCode);

void ExitWithText() { Exit("the reason"); }
BROOD_TARGET(ExitWithText);

void Throw() { throw std::runtime_error("broken"); }
BROOD_TARGET(Throw);

void LeaveAThread(const UniqueFd& pipe) {
  const auto number = std::make_shared<UniqueFd>(Duplicate(pipe.get()));
  std::thread([number] { SleepForEver(); }).detach();
}
BROOD_TARGET(LeaveAThread);

// Says that it is there, and sleeps in a target with a destructor and a finalizer that would be seen.
void SleepTidily(const UniqueFd& pipe) {
  struct Tidy {
    const UniqueFd& pipe;
    ~Tidy() { WriteByte(pipe, 'd'); }
  } const tidy{pipe};
  WriteByte(pipe, 'r');
  SleepForEver();
}
BROOD_TARGET(SleepTidily);

using ExitCodeTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ExitCodeTest);

TEST_P(ExitCodeTest, EveryCodeFrom0To255ArrivesAsItIs) {
  for (const int code : {0, 1, 2, 44, 125, 126, 127, 128, 137, 254, 255}) {
    EXPECT_EQ(Run(ExitWith, code).outcome.exit_code(), code);
    EXPECT_EQ(Run(ReturnCode, code).outcome.exit_code(), code);
  }
}

TEST_P(ExitCodeTest, ReturningAndExitingWithoutACodeAreZero) {
  EXPECT_EQ(Run(Nothing).outcome.exit_code(), 0);
  EXPECT_EQ(Run(Identity, 9).outcome.exit_code(), 0);
  EXPECT_EQ(Run(ExitWithoutCode).outcome.exit_code(), 0);
}

TEST_P(ExitCodeTest, ATextIsPrintedAndGivesOne) {
  const Ended ended = Run(ExitWithText);
  EXPECT_EQ(ended.outcome.exit_code(), 1);
  EXPECT_EQ(ended.err, "the reason\n");
  EXPECT_EQ(ended.out, "");
}

TEST_P(ExitCodeTest, AnUncaughtExceptionIsPrintedWholeAndGivesOne) {
  const Ended ended = Run(Throw);
  EXPECT_EQ(ended.outcome.exit_code(), 1);
  EXPECT_NE(ended.err.find("std::runtime_error: broken\n"), std::string::npos) << ended.err;
  EXPECT_EQ(ended.err.back(), '\n');
}

TEST_P(ExitCodeTest, TerminateAndKillAreTheirSignals) {
  Process terminated = context_.Start(Sleep).value();
  EXPECT_EQ(terminated.Terminate(), absl::OkStatus());
  EXPECT_EQ(terminated.Join()->exit_code(), -kSignalTerminate);
  Process killed = context_.Start(Sleep).value();
  EXPECT_EQ(killed.Kill(), absl::OkStatus());
  EXPECT_EQ(killed.Join()->exit_code(), -kSignalKill);
}

TEST_P(ExitCodeTest, TerminateRunsNoDestructor) {
  RawPipe pipe;
  Process process = context_.Start(SleepTidily, pipe.writer).value();
  ASSERT_EQ(ReadByte(pipe.reader), 'r');
  ASSERT_EQ(process.Terminate(), absl::OkStatus());
  ASSERT_TRUE(process.Join().ok());
  pipe.writer.reset();
  EXPECT_EQ(ReadToEnd(pipe.reader.get()), "");
}

TEST_P(ExitCodeTest, ASignalAfterTheEndReachesNobody) {
  Process process = context_.Start(Nothing).value();
  // Not joined: in CPython's forkserver the number may belong to another process by now.
  ASSERT_TRUE(IsReadable(process.sentinel(), kPatienceMs));
  EXPECT_EQ(process.Terminate(), absl::OkStatus());
  EXPECT_EQ(process.Kill(), absl::OkStatus());
  EXPECT_EQ(process.Join()->exit_code(), 0);
}

// CPython joins such threads; std::thread says itself whether it is waited for.
TEST_P(ExitCodeTest, ADetachedThreadDoesNotKeepTheProcess) {
  RawPipe pipe;
  Process process = context_.Start(LeaveAThread, pipe.writer).value();
  pipe.writer.reset();
  EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
  EXPECT_TRUE(EndsWithinPatience(pipe.reader.get()));
}

TEST_P(ExitCodeTest, TwoThreadsThatJoinOneChildBothGetItsCode) {
  const Context context(GetParam(), {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
  for (int round = 0; round < 10; ++round) {
    Process process = context.Start(ReturnCode, 40 + round).value();
    std::atomic<int> other = -1;
    std::thread joins([&] { other = process.Join()->exit_code(); });
    EXPECT_EQ(process.Join()->exit_code(), 40 + round);
    joins.join();
    EXPECT_EQ(other, 40 + round);
  }
}

}  // namespace
}  // namespace brood
