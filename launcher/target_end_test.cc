// Every way in which a target can end its process, by each start method.

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "bootstrap/exit.h"
#include "bootstrap/finalizer.h"
#include "gtest/gtest.h"
#include "launcher/context.h"

namespace brood {

[[gnu::noinline]] void ThrowFromHere() { throw std::runtime_error("broken"); }

namespace {

// --- targets: one behaviour each ---

void Say(const char* text) { std::fputs(text, stdout); }
void SayAtTheEnd() {
  AddFinalizer([] { Say("finalizer "); });
}

struct SaysDestructor {
  ~SaysDestructor() { Say("destructor "); }
};

void Throws() {
  SayAtTheEnd();
  const SaysDestructor object;
  ThrowFromHere();
}
BROOD_TARGET(Throws);

void ThrowsHuge(size_t bytes) { throw std::runtime_error(std::string(bytes, 'x')); }
BROOD_TARGET(ThrowsHuge);

void ThrowsNumber() { throw 42; }
BROOD_TARGET(ThrowsNumber);

struct Spiteful : std::exception {
  const char* what() const noexcept override {
    ThrowFromHere();
    return "";
  }
};
void ThrowsSpiteful() { throw Spiteful(); }
BROOD_TARGET(ThrowsSpiteful);

void ThrowsInAThread() {
  std::thread([] { ThrowFromHere(); }).join();
}
BROOD_TARGET(ThrowsInAThread);

void ThrowsThroughNoexcept() noexcept { ThrowFromHere(); }
BROOD_TARGET(ThrowsThroughNoexcept);

void ExitsThroughNoexcept() {
  []() noexcept { Exit(3); }();
}
BROOD_TARGET(ExitsThroughNoexcept);

void ThrowsInAFinalizer() {
  AddFinalizer([] { Say("other finalizer "); }, {.priority = -1});
  AddFinalizer([] { ThrowFromHere(); });
}
BROOD_TARGET(ThrowsInAFinalizer);

void ExitsInAFinalizer(int code) {
  AddFinalizer([] { Say("other finalizer "); }, {.priority = -1});
  AddFinalizer([code] { Exit(code); });
}
BROOD_TARGET(ExitsInAFinalizer);

void CallsExit3InAFinalizer(int code) {
  AddFinalizer([] { Say("other finalizer "); }, {.priority = -1});
  AddFinalizer([code] { exit(code); });
  exit(99);
}
BROOD_TARGET(CallsExit3InAFinalizer);

void Exits(int code) {
  SayAtTheEnd();
  const SaysDestructor object;
  [code] { [code] { Exit(code); }(); }();
}
BROOD_TARGET(Exits);

int ExitsInsteadOfReturning() { Exit(0); }
BROOD_TARGET(ExitsInsteadOfReturning);

void CallsExit3(int code) {
  SayAtTheEnd();
  std::atexit([] { Say("own handler "); });
  exit(code);
}
BROOD_TARGET(CallsExit3);

void CallsExit3InAThread(int code) {
  SayAtTheEnd();
  std::thread([code] { exit(code); }).join();
}
BROOD_TARGET(CallsExit3InAThread);

void CallsUnderscoreExit(int code) {
  SayAtTheEnd();
  _exit(code);
}
BROOD_TARGET(CallsUnderscoreExit);

void CallsQuickExit(int code) { quick_exit(code); }
BROOD_TARGET(CallsQuickExit);

void Aborts() { abort(); }
BROOD_TARGET(Aborts);

// The thread goes on when the main thread is gone: it may still say something.
void EndsItsMainThread() {
  SayAtTheEnd();
  std::thread([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // The work; nothing waits for it but the process.
    Say("thread ");
  }).detach();
  pthread_exit(nullptr);
}
BROOD_TARGET(EndsItsMainThread);

void ReturnsWhileAThreadRuns() {
  std::thread([] { pause(); }).detach();
}
BROOD_TARGET(ReturnsWhileAThreadRuns);

// A thread ends the process while the main thread is doing so: each finalizer runs once, and whole.
void EndsTwiceAtOnce() {
  static int fds[2];
  if (pipe(fds) != 0) abort();
  AddFinalizer([] {
    if (write(fds[1], "x", 1) != 1) abort();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // Time for the thread to be wrong.
    Say("whole ");
  });
  std::thread([] {
    char byte;
    if (read(fds[0], &byte, 1) != 1) abort();
    Exit(5);
  }).detach();
  Exit(4);
}
BROOD_TARGET(EndsTwiceAtOnce);

void LosesItsOutput() {
  Say("text");
  close(1);
}
BROOD_TARGET(LosesItsOutput);

void UsesCout() {
  std::cout << "cout ";
  Say("stdio");
}
BROOD_TARGET(UsesCout);

struct ThrowsWhenMade {
  int x = 0;
  ThrowsWhenMade() = default;
  bool operator<(const ThrowsWhenMade&) const { throw std::logic_error("not comparable"); }
};
BROOD_FIELDS(ThrowsWhenMade, x);
void TakesASet(const std::set<ThrowsWhenMade>& values) { (void)values; }
BROOD_TARGET(TakesASet);

struct ThrowsWhenDestroyed {
  int x = 0;
  ThrowsWhenDestroyed() = default;
  ThrowsWhenDestroyed(const ThrowsWhenDestroyed&) = default;
  ~ThrowsWhenDestroyed() noexcept(false) {
    if (x == 7) throw std::logic_error("destructor");
  }
};
BROOD_FIELDS(ThrowsWhenDestroyed, x);
void TakesOneThatThrows(const ThrowsWhenDestroyed&) {}
BROOD_TARGET(TakesOneThatThrows);

absl::Status Nested(int depth);
int Seven() { return 7; }
BROOD_TARGET(Seven);
BROOD_TARGET(Nested);
absl::Status Nested(int depth) {
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    const Context context(method);
    if (depth > 0) {
      if (absl::Status status = context.Call(Nested, depth - 1); !status.ok()) return status;
    }
    const absl::StatusOr<int> seven = context.Call(Seven);
    if (!seven.ok()) return seven.status();
  }
  return absl::OkStatus();
}

// --- the tests ---

std::string TextOf(UniqueFd fd) {
  std::string text;
  char buffer[4096];
  off_t offset = 0;
  for (ssize_t count; (count = pread(fd.get(), buffer, sizeof(buffer), offset)) > 0; offset += count) {
    text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

struct Ended {
  int64_t code = -1;
  std::string out;
  std::string err;
};

class TargetEndTest : public testing::TestWithParam<StartMethod> {
 protected:
  template <typename Function, typename... Arguments>
  Ended Run(Function function, Arguments... arguments) {
    LaunchOptions options;
    options.stdout_spec = Stdio::Capture();
    options.stderr_spec = Stdio::Capture();
    absl::StatusOr<Process> process = context_.Start(options, function, arguments...);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return {};
    const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(20));
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    if (!outcome.ok()) return {};
    return {outcome->exit_code(), TextOf(process->TakeStdout()), TextOf(process->TakeStderr())};
  }

  const Context context_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(StartMethods, TargetEndTest, testing::Values(StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer),
                         [](const auto& info) { return std::string(StartMethodName(info.param)); });

TEST_P(TargetEndTest, AnUncaughtExceptionUnwindsAndShowsWhereItWasThrown) {
  const Ended ended = Run(Throws);
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.out, "destructor finalizer ");
  EXPECT_TRUE(absl::StartsWith(ended.err, "target Throws ended by std::runtime_error: broken\n")) << ended.err;
  const size_t inner = ended.err.find("    at brood::ThrowFromHere() (");
  const size_t outer = ended.err.find("Throws() (");
  EXPECT_NE(inner, std::string::npos) << ended.err;
  EXPECT_NE(outer, std::string::npos) << ended.err;
  EXPECT_LT(inner, outer) << ended.err;
}

TEST_P(TargetEndTest, TheStackReachesTheCaller) {
  LaunchOptions options;
  options.stderr_spec = Stdio::Null();
  const absl::Status thrown = context_.Call(options, Throws);
  EXPECT_EQ(thrown.message(), "std::runtime_error: broken");
  const std::optional<absl::Cord> stack = thrown.GetPayload(kStackTraceUrl);
  ASSERT_TRUE(stack.has_value());
  EXPECT_TRUE(absl::StrContains(std::string(*stack), "brood::ThrowFromHere() (")) << *stack;
}

TEST_P(TargetEndTest, SymbolsAreFoundInTheStrictSandbox) {
  LaunchOptions options;
  options.policy = CompilePolicy(BuiltinPolicy("strict").value()).value();
  options.stderr_spec = Stdio::Null();
  const std::optional<absl::Cord> stack = context_.Call(options, Throws).GetPayload(kStackTraceUrl);
  ASSERT_TRUE(stack.has_value());
  EXPECT_TRUE(absl::StrContains(std::string(*stack), "brood::ThrowFromHere() (")) << *stack;
}

TEST_P(TargetEndTest, AHugeMessageIsCutAndTheStackStays) {
  const Context narrow(GetParam(), {.max_result_bytes = 100});
  LaunchOptions options;
  options.stderr_spec = Stdio::Null();
  const absl::Status thrown = narrow.Call(options, ThrowsHuge, size_t{3} << 20);
  EXPECT_TRUE(absl::StartsWith(thrown.message(), "std::runtime_error: xxx")) << thrown.code();
  EXPECT_TRUE(absl::StrContains(thrown.message(), "bytes more")) << thrown.code();
  EXPECT_TRUE(thrown.GetPayload(kStackTraceUrl).has_value());
}

TEST_P(TargetEndTest, AThrownNumberIsSaid) {
  EXPECT_TRUE(absl::StartsWith(Run(ThrowsNumber).err, "target ThrowsNumber ended by int: 42\n"));
}

TEST_P(TargetEndTest, ExceptionsThatNobodyMayCatchAreAborts) {
  EXPECT_EQ(Run(ThrowsInAThread).code, -SIGABRT);
  EXPECT_EQ(Run(ThrowsThroughNoexcept).code, -SIGABRT);
  EXPECT_EQ(Run(ExitsThroughNoexcept).code, -SIGABRT);
  EXPECT_EQ(Run(ThrowsSpiteful).code, -SIGABRT);
  EXPECT_EQ(Run(Aborts).code, -SIGABRT);
}

TEST_P(TargetEndTest, AFinalizerThatThrowsChangesNothingButIsSaid) {
  const Ended ended = Run(ThrowsInAFinalizer);
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out, "other finalizer ");
  EXPECT_TRUE(
      absl::StartsWith(ended.err, "finalizer ended by std::runtime_error: broken\n    at brood::ThrowFromHere()"))
      << ended.err;
}

TEST_P(TargetEndTest, AFinalizerThatExitsDecidesTheCodeAndTheOthersRun) {
  for (const Ended& ended : {Run(ExitsInAFinalizer, 8), Run(CallsExit3InAFinalizer, 8)}) {
    EXPECT_EQ(ended.code, 8);
    EXPECT_EQ(ended.out, "other finalizer ");
  }
}

TEST_P(TargetEndTest, ExitFromNestedCallsUnwindsThem) {
  const Ended ended = Run(Exits, 6);
  EXPECT_EQ(ended.code, 6);
  EXPECT_EQ(ended.out, "destructor finalizer ");
  EXPECT_EQ(context_.Call(ExitsInsteadOfReturning).status().code(), absl::StatusCode::kAborted);
}

// In a forked child the handlers of its parent, which would run next, are none of its business.
TEST_P(TargetEndTest, Exit3RunsOwnHandlersThenFinalizers) {
  std::atexit([] { Say("handler of the parent "); });
  const Ended ended = Run(CallsExit3, 5);
  EXPECT_EQ(ended.code, 5);
  EXPECT_EQ(ended.out, "own handler finalizer ");
  EXPECT_EQ(Run(CallsExit3, 256 + 5).code, 5);  // exit(3): the low eight bits.
  const Ended thread = Run(CallsExit3InAThread, 4);
  EXPECT_EQ(thread.code, 4);
  EXPECT_EQ(thread.out, "finalizer ");
}

TEST_P(TargetEndTest, UnderscoreExitAndQuickExitSkipEverything) {
  const Ended ended = Run(CallsUnderscoreExit, 5);
  EXPECT_EQ(ended.code, 5);
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(Run(CallsQuickExit, 6).code, 6);
}

TEST_P(TargetEndTest, PthreadExitOfTheMainThreadWaitsForTheOthers) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer has a thread of its own, which never ends";
#endif
  const Ended ended = Run(EndsItsMainThread);
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out, "thread finalizer ");
}

TEST_P(TargetEndTest, TheFirstThreadThatEndsTheProcessDecides) {
  const Ended ended = Run(EndsTwiceAtOnce);
  EXPECT_EQ(ended.code, 4);
  EXPECT_EQ(ended.out, "whole ");
}

TEST_P(TargetEndTest, ReturningEndsOtherThreads) { EXPECT_EQ(Run(ReturnsWhileAThreadRuns).code, 0); }

TEST_P(TargetEndTest, OutputThatCannotBeWrittenIsNoSuccess) {
  const Ended ended = Run(LosesItsOutput);
  EXPECT_EQ(ended.code, 1);
  EXPECT_TRUE(absl::StrContains(ended.err, "output is lost: stdout: ")) << ended.err;
}

TEST_P(TargetEndTest, BothKindsOfStreamsAreFlushedInOrder) { EXPECT_EQ(Run(UsesCout).out, "cout stdio"); }

TEST_P(TargetEndTest, ArgumentsThatThrowWhenMadeFailTheSetUp) {
  LaunchOptions options;
  options.stderr_spec = Stdio::Null();
  // Two elements, so that they are compared; in this process that would throw too.
  const std::string bytes = EncodeValue(std::vector<ThrowsWhenMade>(2));
  const absl::Status status =
      context_.StartByName(options, "TakesASet", {{.type = TypeName<std::set<ThrowsWhenMade>>(), .bytes = bytes}})
          .status();
  EXPECT_TRUE(absl::StrContains(status.message(), "its arguments could not be made: std::logic_error: not comparable"))
      << status;
}

// What it throws must not reach, in a forked child, the frames of its parent.
TEST_P(TargetEndTest, ArgumentsThatThrowWhenDestroyedAbort) {
  ThrowsWhenDestroyed argument;
  argument.x = 7;
  const std::vector<TypedValue> arguments = {Pack(argument)};
  argument.x = 0;
  LaunchOptions options;
  options.stderr_spec = Stdio::Null();
  absl::StatusOr<Process> process = context_.StartByName(options, "TakesOneThatThrows", arguments);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ(process->Join(absl::Seconds(20)).value().exit_code(), -SIGABRT);
}

TEST_P(TargetEndTest, ATargetMayStartTargetsByEachMethod) {
  const absl::Status status = context_.Call(Nested, 1);
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace brood
