#include "bootstrap/throw_site.h"

#include <exception>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "bootstrap/error_report.h"
#include "gtest/gtest.h"

// Outside of brood's namespace, whose frames are left out at the end of a stack.
[[gnu::noinline]] void ThrowsDeepInside() { throw std::runtime_error("deep"); }
[[gnu::noinline]] void CallsTheOneThatThrows() {
  ThrowsDeepInside();
  asm volatile("");  // No tail call.
}
[[gnu::noinline]] void ThrowsInTheStandardLibrary() {
  std::vector<int> none;
  (void)none.at(3);
}
[[gnu::noinline]] void Recurses(int depth) {
  if (depth == 0) throw std::runtime_error("bottom");
  void (*volatile self)(int) = Recurses;  // No loop is made of it.
  self(depth - 1);
  asm volatile("");
}
[[gnu::noinline]] void WaitsForAThread() {
  std::async(std::launch::async, ThrowsDeepInside).get();
  asm volatile("");
}

namespace brood {
namespace internal {
namespace {

std::string StackOf(void (*function)()) {
  ThrowSite site;
  try {
    Watch([=] { function(); }, &site);
  } catch (...) {
    return StackText(site);
  }
  return "nothing was thrown";
}

std::vector<std::string> Lines(std::string_view text) { return absl::StrSplit(text, '\n', absl::SkipEmpty()); }

class ThrowSiteTest : public testing::Test {
 protected:
  void SetUp() override {
#ifndef __x86_64__
    GTEST_SKIP() << "stacks are known on x86_64 only";
#endif
  }
};

TEST_F(ThrowSiteTest, ShowsTheThrowAndItsCallersInnermostFirst) {
  const std::string stack = StackOf(CallsTheOneThatThrows);
  const size_t inner = stack.find("ThrowsDeepInside()");
  const size_t outer = stack.find("CallsTheOneThatThrows()");
  ASSERT_NE(inner, std::string::npos) << stack;
  ASSERT_NE(outer, std::string::npos) << stack;
  EXPECT_LT(inner, outer) << stack;
  for (const std::string& line : Lines(stack)) EXPECT_TRUE(absl::StrContains(line, "+0x")) << line;
}

TEST_F(ThrowSiteTest, SeesThrowsOfTheStandardLibrary) {
  EXPECT_TRUE(absl::StrContains(StackOf(ThrowsInTheStandardLibrary), "ThrowsInTheStandardLibrary()"));
}

TEST_F(ThrowSiteTest, AnExceptionOfAnotherThreadHasThePlaceOfItsRethrow) {
  const std::string stack = StackOf(WaitsForAThread);
  EXPECT_TRUE(absl::StrContains(stack, "WaitsForAThread()")) << stack;
  EXPECT_FALSE(absl::StrContains(stack, "ThrowsDeepInside")) << stack;
}

TEST_F(ThrowSiteTest, IgnoresExceptionsThatAreCaughtFurtherIn) {
  ThrowSite site;
  Watch(
      [] {
        try {
          ThrowsDeepInside();
        } catch (const std::exception&) {
        }
      },
      &site);
  EXPECT_EQ(site.count, 0u);
}

TEST_F(ThrowSiteTest, DeepRecursionIsCutAndSaysSo) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer interposes the throw, whose frames then take some of the room";
#endif
  const std::string stack = StackOf([] { Recurses(10'000); });
  EXPECT_EQ(Lines(stack).size(), ThrowSite::kMaxFrames + 1) << stack;
  EXPECT_TRUE(absl::EndsWith(stack, "...\n")) << stack;
  EXPECT_LE(stack.size(), size_t{16} << 10);
}

TEST_F(ThrowSiteTest, WatchesMayBeNested) {
  ThrowSite outer;
  ThrowSite inner;
  try {
    Watch(
        [&] {
          try {
            Watch([] { ThrowsDeepInside(); }, &inner);
          } catch (const std::runtime_error&) {
          }
          CallsTheOneThatThrows();
        },
        &outer);
  } catch (const std::runtime_error&) {
  }
  EXPECT_FALSE(absl::StrContains(StackText(inner), "CallsTheOneThatThrows"));
  EXPECT_TRUE(absl::StrContains(StackText(outer), "CallsTheOneThatThrows"));
}

TEST_F(ThrowSiteTest, ThreadsDoNotMixTheirStacks) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int j = 0; j < 50; ++j) {
        EXPECT_TRUE(absl::StrContains(StackOf(CallsTheOneThatThrows), "ThrowsDeepInside()"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// --- what becomes of the exception itself ---

template <typename Exception>
ResultError Thrown(Exception exception) {
  try {
    throw exception;
  } catch (...) {
    return CurrentException({});
  }
}

struct SaysNothing : std::exception {
  const char* what() const noexcept override { return nullptr; }
};

TEST(ErrorReportTest, AnythingThatIsThrownHasATypeAndAMessage) {
  EXPECT_EQ(Thrown(42).type, "int");
  EXPECT_EQ(Thrown(42).status.message(), "42");
  EXPECT_EQ(Thrown("text").status.message(), "text");
  EXPECT_EQ(Thrown(std::string("a\0b", 3)).status.message(), std::string_view("a\0b", 3));
  EXPECT_EQ(Thrown(std::runtime_error("\xff\xfe")).status.message(), "\xff\xfe");
  EXPECT_EQ(Thrown(2.5).type, "double");
  EXPECT_EQ(Thrown(SaysNothing()).status.message(), "");
  EXPECT_EQ(Thrown(static_cast<const char*>(nullptr)).status.message(), "");
  EXPECT_EQ(Thrown(absl::NotFoundError("gone")).status.message(), "NOT_FOUND: gone");
}

struct Base {};
struct HasACause : Base, std::nested_exception {};

TEST(ErrorReportTest, CausesAreFoundInWhatIsNoStandardException) {
  ResultError error;
  try {
    try {
      throw std::runtime_error("cause");
    } catch (...) {
      throw HasACause();
    }
  } catch (...) {
    error = CurrentException({});
  }
  ASSERT_NE(error.cause, nullptr);
  EXPECT_EQ(error.cause->status.message(), "cause");
}

[[noreturn]] void ThrowChain(int length) {
  try {
    if (length > 0) ThrowChain(length - 1);
    throw std::runtime_error(std::string(1'000'000, 'c'));
  } catch (...) {
    std::throw_with_nested(std::runtime_error(std::string(1'000'000, 'x')));
  }
}

TEST(ErrorReportTest, HugeMessagesAndEndlessCausesFitTheWire) {
  ResultError error;
  try {
    ThrowChain(100);
  } catch (...) {
    error = CurrentException({});
  }
  EXPECT_NE(error.status.message().find("bytes more"), std::string::npos);
  const std::string bytes = EncodeResult({.value = std::nullopt, .error = error});
  EXPECT_LE(bytes.size(), kMaxErrorBytes);
  EXPECT_TRUE(DecodeResult(bytes).ok());

  absl::Status status = absl::DataLossError(std::string(3'000'000, 'm'));
  for (int i = 0; i < 10'000; ++i) status.SetPayload(absl::StrCat("url", i), absl::Cord(std::string(100, 'p')));
  const ResultError cut = StatusError(status);
  EXPECT_EQ(cut.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(cut.status.message().find("payloads"), std::string::npos);
  EXPECT_LE(EncodeResult({.value = std::nullopt, .error = cut}).size(), kMaxErrorBytes);
}

}  // namespace
}  // namespace internal
}  // namespace brood
