#include "launcher/context.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/strings/cord.h"
#include "bootstrap/exit.h"
#include "bootstrap/finalizer.h"
#include "gtest/gtest.h"
#include "sandbox/plan.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

struct Point {
  int x = 0;
  std::vector<double> y;
  bool operator==(const Point&) const = default;
};
BROOD_FIELDS(Point, x, y);

enum class Color : uint8_t { kRed, kBlue };

using Everything = std::tuple<bool, int8_t, uint64_t, double, std::string, std::vector<uint8_t>,
                              std::map<std::string, std::vector<int>>, std::optional<Point>,
                              std::variant<int, std::string>, Color, absl::Duration, absl::Time>;

Everything Echo(const Everything& value) { return value; }
BROOD_TARGET(Echo);

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

size_t Length(std::string_view text) { return text.size(); }
BROOD_TARGET(Length);

std::string Repeat(char c, size_t count) { return std::string(count, c); }
BROOD_TARGET(Repeat);

void Nothing() {}
BROOD_TARGET(Nothing);

absl::Status Refuse(std::string why) {
  absl::Status status = absl::PermissionDeniedError(why);
  status.SetPayload("url", absl::Cord("payload"));
  return status;
}
BROOD_TARGET(Refuse);

absl::StatusOr<int> Half(int x) {
  if (x % 2 != 0) return absl::InvalidArgumentError("odd");
  return x / 2;
}
BROOD_TARGET(Half);

void ThrowRuntimeError() { throw std::runtime_error("broken"); }
BROOD_TARGET(ThrowRuntimeError);

void ThrowNested() {
  try {
    throw std::out_of_range("inner");
  } catch (...) {
    std::throw_with_nested(std::logic_error("outer"));
  }
}
BROOD_TARGET(ThrowNested);

struct Peculiar {};
void ThrowPeculiar() { throw Peculiar(); }
BROOD_TARGET(ThrowPeculiar);

ExitCode Leave(int code) { return {code}; }
BROOD_TARGET(Leave);

void CallExit(int code) { Exit(code); }
BROOD_TARGET(CallExit);

void CallExitWithoutCode() { Exit(); }
BROOD_TARGET(CallExitWithoutCode);

void CallExitWithText() { Exit("goodbye"); }
BROOD_TARGET(CallExitWithText);

void ExitFromAThread() {
  std::thread thread([] { Exit(9); });
  thread.join();
}
BROOD_TARGET(ExitFromAThread);

void Raise(int signal) {
  ::signal(signal, SIG_DFL);  // A sanitizer may have a handler for it, and would exit instead.
  raise(signal);
}
BROOD_TARGET(Raise);

void PrintWithoutFlush(std::string text) { std::fputs(text.c_str(), stdout); }
BROOD_TARGET(PrintWithoutFlush);

struct SaysGoodbye {
  ~SaysGoodbye() { std::fputs("destructor ", stdout); }
};
void LeaveFinalizers() {
  AddFinalizer([] { std::fputs("low ", stdout); }, {.priority = -1});
  AddFinalizer([] { std::fputs("old ", stdout); });
  AddFinalizer([] { std::fputs("new ", stdout); });
  AddFinalizer([] { std::fputs("high ", stdout); }, {.priority = 5});
  const SaysGoodbye object;
  Exit(3);
}
BROOD_TARGET(LeaveFinalizers);

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }
BROOD_TARGET(IsOpen);

std::vector<int> OpenDescriptors() {
  std::vector<int> open;
  for (int fd = 0; fd < 1024; ++fd) {
    if (IsOpen(fd)) open.push_back(fd);
  }
  return open;
}
BROOD_TARGET(OpenDescriptors);

int g_parents_flag = 0;
int ReadFlag() { return g_parents_flag; }
BROOD_TARGET(ReadFlag);

int OpenSocket() { return socket(AF_INET, SOCK_STREAM, 0); }
BROOD_TARGET(OpenSocket);

void Unregistered() {}

void Twin() {}
void OtherTwin() {}
BROOD_TARGET_AS("twin", Twin);
BROOD_TARGET_AS("twin", OtherTwin);

// --- the tests, once per start method ---

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
  Outcome outcome;
  std::string out;
  std::string err;
};

class ContextTest : public testing::TestWithParam<StartMethod> {
 protected:
  template <typename Function, typename... Arguments>
  Ended Run(Function function, Arguments... arguments) {
    LaunchOptions options;
    options.stdout_spec = Stdio::Capture();
    options.stderr_spec = Stdio::Capture();
    absl::StatusOr<Process> process = context_.Start(options, function, arguments...);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return {};
    Ended ended;
    ended.outcome = process->Join(absl::Seconds(20)).value();
    ended.out = TextOf(process->TakeStdout());
    ended.err = TextOf(process->TakeStderr());
    return ended;
  }

  const Context context_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(StartMethods, ContextTest, testing::Values(StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer),
                         [](const auto& info) { return std::string(StartMethodName(info.param)); });

TEST_P(ContextTest, ValuesOfEveryKindCrossBothWays) {
  const Everything value(true, -8, ~uint64_t{0}, 2.5, std::string("a\0b", 3), {0, 255}, {{"k", {1, 2}}, {"", {}}},
                         Point{.x = 1, .y = {0.5}}, "text", Color::kBlue, absl::InfiniteDuration(),
                         absl::UnixEpoch() + absl::Nanoseconds(1));
  const absl::StatusOr<Everything> echoed = context_.Call(Echo, value);
  ASSERT_TRUE(echoed.ok()) << echoed.status();
  EXPECT_EQ(*echoed, value);
}

TEST_P(ContextTest, ArgumentsConvertAsInACall) {
  EXPECT_EQ(context_.Call(Square, short{7}).value(), 49);
  EXPECT_EQ(context_.Call(Length, "literal").value(), 7u);
}

TEST_P(ContextTest, BigArgumentsAndResultsArrive) {
  EXPECT_EQ(context_.Call(Length, std::string(size_t{2} << 20, 'x')).value(), size_t{2} << 20);
  EXPECT_EQ(context_.Call(Repeat, 'y', size_t{3} << 20).value(), std::string(size_t{3} << 20, 'y'));
}

TEST_P(ContextTest, StatusesArriveWhole) {
  EXPECT_TRUE(context_.Call(Nothing).ok());
  const absl::Status refused = context_.Call(Refuse, "no");
  EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(refused.message(), "no");
  EXPECT_EQ(refused.GetPayload("url"), absl::Cord("payload"));
  EXPECT_EQ(context_.Call(Half, 8).value(), 4);
  EXPECT_EQ(context_.Call(Half, 7).status(), absl::InvalidArgumentError("odd"));
}

TEST_P(ContextTest, ExceptionsArriveWithTypeAndMessage) {
  const absl::Status broken = context_.Call(ThrowRuntimeError);
  EXPECT_EQ(broken.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(broken.message(), "std::runtime_error: broken");
  EXPECT_EQ(broken.GetPayload(kExceptionTypeUrl), absl::Cord("std::runtime_error"));
  const std::string nested(context_.Call(ThrowNested).message());
  EXPECT_NE(nested.find("std::logic_error"), std::string::npos) << nested;
  EXPECT_NE(nested.find("outer; caused by std::out_of_range: inner"), std::string::npos) << nested;
  EXPECT_NE(context_.Call(ThrowPeculiar).message().find("Peculiar"), std::string::npos);
}

TEST_P(ContextTest, UncaughtExceptionsAndStatusesAreOnStderrAndGiveOne) {
  const Ended thrown = Run(ThrowRuntimeError);
  EXPECT_EQ(thrown.outcome.exit_code(), 1);
  EXPECT_EQ(thrown.err.find("target ThrowRuntimeError ended by std::runtime_error: broken\n    at "), 0u) << thrown.err;
  const Ended refused = Run(Refuse, "no");
  EXPECT_EQ(refused.outcome.exit_code(), 1);
  EXPECT_NE(refused.err.find("PERMISSION_DENIED: no"), std::string::npos) << refused.err;
}

TEST_P(ContextTest, ExitCodesAreExact) {
  EXPECT_EQ(Run(Nothing).outcome.exit_code(), 0);
  EXPECT_EQ(Run(Square, 7).outcome.exit_code(), 0);
  for (const int code : {0, 1, 137, 255}) {
    EXPECT_EQ(Run(Leave, code).outcome.exit_code(), code);
    EXPECT_EQ(Run(CallExit, code).outcome.exit_code(), code);
  }
  EXPECT_EQ(Run(CallExitWithoutCode).outcome.exit_code(), 0);
  EXPECT_EQ(Run(ExitFromAThread).outcome.exit_code(), 9);
}

TEST_P(ContextTest, ImpossibleExitCodesAreTheCallersError) {
  for (const int code : {256, -1, 1000}) {
    for (const Ended& ended : {Run(Leave, code), Run(CallExit, code)}) {
      EXPECT_EQ(ended.outcome.exit_code(), 1);
      EXPECT_NE(ended.err.find(std::to_string(code)), std::string::npos) << ended.err;
    }
  }
}

TEST_P(ContextTest, ExitWithTextPrintsItAndGivesOne) {
  const Ended ended = Run(CallExitWithText);
  EXPECT_EQ(ended.outcome.exit_code(), 1);
  EXPECT_EQ(ended.err, "goodbye\n");
}

TEST_P(ContextTest, SignalsAreNegativeCodesAndAborted) {
  for (const int signal : {SIGSEGV, SIGKILL, SIGABRT, SIGTERM}) {
    EXPECT_EQ(Run(Raise, signal).outcome.exit_code(), -signal);
  }
  EXPECT_EQ(context_.Call(Raise, SIGKILL).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(context_.Call(Leave, 3).code(), absl::StatusCode::kAborted);
}

TEST_P(ContextTest, FinalizersRunInOrderAfterUnwindingAndStreamsAreFlushed) {
  const Ended ended = Run(LeaveFinalizers);
  EXPECT_EQ(ended.outcome.exit_code(), 3);
  EXPECT_EQ(ended.out, "destructor high new old low ");
  EXPECT_EQ(Run(PrintWithoutFlush, "no line feed").out, "no line feed");
}

TEST_P(ContextTest, ParentsFinalizersAndBuffersAreNotInherited) {
  const FinalizerId id = AddFinalizer([] { std::fputs("parent's finalizer", stdout); });
  flockfile(stdout);
  const Ended ended = Run(PrintWithoutFlush, "child");
  funlockfile(stdout);
  EXPECT_EQ(ended.out, "child");
  EXPECT_TRUE(CancelFinalizer(id));
}

TEST_P(ContextTest, ChildHasOnlyItsStreams) {
  const UniqueFd extra(fcntl(0, F_DUPFD, 200));  // Without close-on-exec.
  ASSERT_TRUE(extra.valid());
  EXPECT_EQ(context_.Call(OpenDescriptors).value(), (std::vector<int>{0, 1, 2, internal::kSetupFd, internal::kResultFd}));
  LaunchOptions options;
  options.inherited = {{.fd = extra.get(), .child_fd = 7}};
  EXPECT_TRUE(context_.Call(options, IsOpen, 7).value());
}

TEST_P(ContextTest, NumbersOfBroodsOwnCannotBeAskedFor) {
  for (const int number : {internal::kMessageFd, internal::kSetupFd, internal::kResultFd}) {
    LaunchOptions options;
    options.inherited = {{.fd = 0, .child_fd = number}};
    EXPECT_EQ(context_.Start(options, Nothing).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_P(ContextTest, ParentsStateIsSharedByForkOnly) {
  g_parents_flag = 7;
  EXPECT_EQ(context_.Call(ReadFlag).value(), GetParam() == StartMethod::kFork ? 7 : 0);
  g_parents_flag = 0;
}

TEST_P(ContextTest, UnregisteredAndDoubleTargetsAreErrors) {
  EXPECT_EQ(context_.Start(Unregistered).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(context_.StartByName({}, "Cube", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(context_.Start(Twin).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ContextTest, WrongArgumentsFailTheSetUp) {
  LaunchOptions options;
  options.stderr_spec = Stdio::Null();
  const absl::Status status = context_.StartByName(options, "Square", {Pack(std::string("seven"))}).status();
  EXPECT_NE(status.message().find("target Square: argument 1: expected int32, got string"), std::string::npos)
      << status;
}

TEST_P(ContextTest, TooLargeArgumentsAndResultsAreErrors) {
  const Context narrow(GetParam(), {.max_argument_bytes = 1000, .max_result_bytes = 1000});
  EXPECT_EQ(narrow.Call(Length, std::string(2000, 'x')).status().code(), absl::StatusCode::kInvalidArgument);
  LaunchOptions options;
  options.stderr_spec = Stdio::Null();
  const absl::Status too_large = narrow.Call(options, Repeat, 'x', size_t{2000}).status();
  EXPECT_EQ(too_large.code(), absl::StatusCode::kResourceExhausted) << too_large;
}

TEST_P(ContextTest, FunctionsRunUnderTheStrictPolicy) {
  LaunchOptions options;
  options.policy = CompilePolicy(BuiltinPolicy("strict").value()).value();
  const absl::StatusOr<int> squared = context_.Call(options, Square, 7);
  ASSERT_TRUE(squared.ok()) << squared.status();
  EXPECT_EQ(*squared, 49);
  EXPECT_EQ(context_.Call(options, ThrowRuntimeError).message(), "std::runtime_error: broken");
  absl::StatusOr<Process> process = context_.Start(options, OpenSocket);
  ASSERT_TRUE(process.ok()) << process.status();
  const Outcome outcome = process->Join(absl::Seconds(20)).value();
  EXPECT_EQ(outcome.StatusWord(), "violation") << outcome.ToString();
}

TEST(ContextForkTest, RefusesToForkWithSeveralThreads) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer believes that the other threads live on in a child of clone(2)";
#endif
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  std::thread thread([&] {
    char byte;
    EXPECT_EQ(read(fds[0], &byte, 1), 0);
  });
  const Context refusing(StartMethod::kFork);
  EXPECT_EQ(refusing.Call(Square, 7).status().code(), absl::StatusCode::kFailedPrecondition);
  const Context trusting(StartMethod::kFork, {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
  EXPECT_EQ(trusting.Call(Square, 7).value(), 49);
  const Context spawning(StartMethod::kSpawn);
  EXPECT_EQ(spawning.Call(Square, 7).value(), 49);
  close(fds[1]);
  thread.join();
  close(fds[0]);
}

}  // namespace
}  // namespace brood
