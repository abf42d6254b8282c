// Functions as processes on Windows: real children, under Wine where there is no Windows.
#include <windows.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/own_process.h"
#include "base/windows_handle.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/current_process.h"
#include "bootstrap/exit.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "ipc/connection.h"
#include "ipc/pipe.h"
#include "launcher/children.h"
#include "launcher/context.h"

namespace brood {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

std::string Echo(const std::string& text) { return text; }
BROOD_TARGET(Echo);

int OwnNumber() { return OwnProcessNumber(); }
BROOD_TARGET(OwnNumber);

void Throws() { throw std::runtime_error("broken"); }
BROOD_TARGET(Throws);

absl::Status Fails() { return absl::NotFoundError("nothing there"); }
BROOD_TARGET(Fails);

ExitCode Seven() { return ExitCode{7}; }
BROOD_TARGET(Seven);

void ExitsWithText() { Exit("that is why"); }
BROOD_TARGET(ExitsWithText);

void CallsExit() {
  AddFinalizer([] { std::fputs("finalizer\n", stdout); });
  std::exit(9);
}
BROOD_TARGET(CallsExit);

void EndsWith(uint32_t code) { TerminateProcess(GetCurrentProcess(), code); }
BROOD_TARGET(EndsWith);

void Crashes() { *static_cast<volatile int*>(nullptr) = 1; }
BROOD_TARGET(Crashes);

void SleepsForEver() { SleepForEver(); }
BROOD_TARGET(SleepsForEver);

void Signals(const UniqueFd& event) { SetEvent(HandleOf(event.get())); }
BROOD_TARGET(Signals);

// The only end besides the test's: when that closes, this ends.
void SquareUntilTheEnd(Connection connection) {
  for (;;) {
    const absl::StatusOr<int> number = connection.Receive<int>();
    if (!number.ok() || !connection.Send(*number * *number).ok()) return;
  }
}
BROOD_TARGET(SquareUntilTheEnd);

// Name, daemon, start method; and whether the parent is who it should be, seen by a handle that can do nothing but wait.
std::string WhoAmI(int parent_pid) {
  const ProcessIdentity& self = CurrentProcess();
  const Parent* parent = ParentProcess();
  if (parent == nullptr) return "no parent";
  const bool waits = parent->Join(absl::ZeroDuration()).code() == absl::StatusCode::kDeadlineExceeded;
  const bool harmless = GetProcessId(HandleOf(parent->sentinel())) == 0 && !TerminateProcess(HandleOf(parent->sentinel()), 1);
  return absl::StrCat(self.name, " ", self.daemon ? "daemon" : "no daemon", " ", parent->name(), " ",
                      parent->pid() == parent_pid ? "pid" : "other pid", " ", waits ? "waits" : "does not wait", " ",
                      harmless ? "harmless" : "harmful");
}
BROOD_TARGET(WhoAmI);

namespace {

class SpawnTest : public testing::Test {
 protected:
  const Context context_{StartMethod::kSpawn};
};

TEST_F(SpawnTest, AFunctionReturnsItsValue) {
  const absl::StatusOr<int> squared = context_.Call(Square, 7);
  ASSERT_TRUE(squared.ok()) << squared.status();
  EXPECT_EQ(*squared, 49);
}

TEST_F(SpawnTest, ItRunsInAnotherProcessWhichTheCallerKnowsByNumber) {
  absl::StatusOr<Process> process = context_.Start(OwnNumber);
  ASSERT_TRUE(process.ok()) << process.status();
  const int number = process->pid();
  EXPECT_NE(number, OwnProcessNumber());
  EXPECT_EQ(process->Result<int>().value(), number);
}

TEST_F(SpawnTest, AConnectionAsAnArgumentIsTheOnlyOtherEnd) {
  auto [ours, theirs] = Pipe().value();
  Process process = context_.Start(SquareUntilTheEnd, theirs).value();
  theirs.Close();
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(ours.Send(i), absl::OkStatus());
    ASSERT_EQ(ours.Receive<int>({.timeout = absl::Seconds(20)}).value(), i * i);
  }
  // The child's end is seen when it is gone, and ours by it.
  Process killed = std::move(process);
  ASSERT_EQ(killed.Kill(), absl::OkStatus());
  EXPECT_EQ(ours.Receive<int>({.timeout = absl::Seconds(20)}).status().code(), absl::StatusCode::kOutOfRange);
  auto [second_ours, second_theirs] = Pipe().value();
  Process second = context_.Start(SquareUntilTheEnd, second_theirs).value();
  second_theirs.Close();
  second_ours.Close();
  EXPECT_EQ(second.Join(absl::Seconds(20)).value().exit_code(), 0);
}

TEST_F(SpawnTest, LargeArgumentsAndResultsGoThrough) {
  const std::string text(3'000'000, 'x');
  const absl::StatusOr<std::string> echoed = context_.Call(Echo, text);
  ASSERT_TRUE(echoed.ok()) << echoed.status();
  EXPECT_EQ(*echoed, text);
}

TEST_F(SpawnTest, ExceptionsAndStatusesArriveAsErrors) {
  EXPECT_EQ(context_.Call(Throws).message(), "std::runtime_error: broken");
  EXPECT_EQ(context_.Call(Fails), absl::NotFoundError("nothing there"));
}

TEST_F(SpawnTest, ExitCodesAreThoseOfTheBootstrap) {
  const auto code = [&](auto function) { return context_.Start(function).value().Join().value().exit_code(); };
  EXPECT_EQ(code(Seven), 7);
  EXPECT_EQ(code(ExitsWithText), 1);
  EXPECT_EQ(code(Throws), 1);
  EXPECT_EQ(code(CallsExit), 9);
}

TEST_F(SpawnTest, FinalizersRunAtExit) {
  LaunchOptions options;
  options.stdout_spec = Stdio::Capture();
  Process process = context_.Start(options, CallsExit).value();
  const Outcome outcome = process.Join().value();
  EXPECT_EQ(outcome.stdout_result.bytes, std::string("finalizer\r\n").size());
}

// 0x10000 and 0x10001 are the codes with which brood ends processes.
TEST_F(SpawnTest, ExitCodesHave32BitsAndOnesOfBroodsOwnAreNotTakenForItsDoing) {
  for (const uint32_t code : {259u, 0x10000u, 0x10001u, 0x10002u, 0xffffffffu}) {
    const Outcome outcome = context_.Start(EndsWith, code).value().Join().value();
    EXPECT_EQ(outcome.exit_code(), int64_t{code});
    EXPECT_EQ(outcome.StatusWord(), "failed");
  }
}

TEST_F(SpawnTest, ACrashIsItsExceptionCode) {
  EXPECT_EQ(context_.Start(Crashes).value().Join().value().exit_code(), int64_t{0xC0000005});
}

TEST_F(SpawnTest, TerminateAndKillAreTheirOwnStatus) {
  Process terminated = context_.Start(SleepsForEver).value();
  ASSERT_EQ(terminated.Terminate(), absl::OkStatus());
  EXPECT_EQ(terminated.Join().value().exit_code(), -15);
  EXPECT_EQ(terminated.Join().value().StatusWord(), "signaled");
  Process killed = context_.Start(SleepsForEver).value();
  ASSERT_EQ(killed.Kill(), absl::OkStatus());
  EXPECT_EQ(killed.Join().value().exit_code(), -9);
  EXPECT_EQ(killed.Terminate(), absl::OkStatus());  // It has ended, and stays what it was.
  EXPECT_EQ(killed.Join().value().exit_code(), -9);
}

TEST_F(SpawnTest, JoinWithATimeoutLeavesTheChildRunning) {
  Process process = context_.Start(SleepsForEver).value();
  EXPECT_EQ(process.Join(absl::Milliseconds(20)).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(process.IsAlive());
  EXPECT_EQ(process.exit_code(), std::nullopt);
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  EXPECT_EQ(WaitForSingleObject(HandleOf(process.sentinel()), 20'000), WAIT_OBJECT_0);
  EXPECT_FALSE(process.IsAlive());
}

TEST_F(SpawnTest, AHandleIsAnArgument) {
  const UniqueFd event = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  const absl::Status called = context_.Call(Signals, Duplicate(event.get()));
  EXPECT_EQ(called, absl::OkStatus());
  EXPECT_EQ(WaitForSingleObject(HandleOf(event.get()), 0), WAIT_OBJECT_0);
}

TEST_F(SpawnTest, TheChildKnowsItselfAndItsParentAndCanOnlyWaitForThat) {
  EXPECT_EQ(context_.Call({.name = "worker", .daemon = true}, WhoAmI, OwnProcessNumber()).value(),
            "worker daemon MainProcess pid waits harmless");
}

TEST_F(SpawnTest, OtherMethodsSayThatThereIsNoFork) {
  for (const StartMethod method : {StartMethod::kFork, StartMethod::kForkServer}) {
    const absl::Status status = Context(method).Call(Square, 7).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_TRUE(absl::StrContains(status.message(), "Windows cannot fork; use spawn")) << status;
  }
}

TEST_F(SpawnTest, ATargetThatNobodyRegisteredIsAnErrorOfTheStart) {
  EXPECT_EQ(context_.StartByName({}, "Nobody", {}).status().code(), absl::StatusCode::kNotFound);
  const absl::Status wrong = context_.StartByName({}, "Square", {Pack(std::string("seven"))}).status();
  EXPECT_TRUE(absl::StrContains(wrong.message(), "bootstrap: target Square")) << wrong;
}

TEST_F(SpawnTest, AProcessThatIsDroppedIsKilled) {
  UniqueFd sentinel;
  {
    const Process process = context_.Start(SleepsForEver).value();
    sentinel = Duplicate(process.sentinel());
  }
  EXPECT_EQ(WaitForSingleObject(HandleOf(sentinel.get()), 20'000), WAIT_OBJECT_0);
  EXPECT_TRUE(ActiveChildren().empty());
}

TEST_F(SpawnTest, NoHandleStaysBehind) {
  const auto handles = [] {
    DWORD count = 0;
    GetProcessHandleCount(GetCurrentProcess(), &count);
    return count;
  };
  const auto use = [&] {
    EXPECT_EQ(context_.Call(Square, 7).value(), 49);
    EXPECT_FALSE(context_.StartByName({}, "Square", {Pack(std::string("seven"))}).ok());
    const Process dropped = context_.Start(SleepsForEver).value();
  };
  use();
  const DWORD before = handles();
  for (int i = 0; i < 5; ++i) use();
  EXPECT_EQ(handles(), before);
}

}  // namespace
}  // namespace brood
