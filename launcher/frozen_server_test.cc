// A forkserver that is frozen after its preload, and what it has preloaded into memory of its own.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bootstrap/target.h"
#include "forkserver/freeze.h"
#include "forkserver/preload_memory.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kWords = 64 * kMiB / sizeof(uint64_t);

std::unique_ptr<std::vector<uint64_t>> g_words;
std::vector<std::string> g_texts;

uint64_t Sum() {
  uint64_t sum = 0;
  for (const uint64_t word : *g_words) sum = sum * 31 + word;
  for (const std::string& text : g_texts) sum = sum * 31 + text.size();
  return sum;
}

void Load64Mib() {
  g_texts.clear();
  g_words = std::make_unique<std::vector<uint64_t>>(kWords);
  for (size_t i = 0; i < kWords; ++i) (*g_words)[i] = i * 0x9e3779b97f4a7c15;
  for (int i = 0; i < 10'000; ++i) g_texts.push_back(std::string(static_cast<size_t>(i % 100), 'x'));
}
BROOD_TARGET(Load64Mib);
void LoadLittle() { g_texts.emplace_back("little"); }
BROOD_TARGET(LoadLittle);
uint64_t SumOfAll() { return Sum(); }
BROOD_TARGET(SumOfAll);

uint64_t SumAfterWrites() {
  for (size_t i = 0; i < kWords; i += 1000) (*g_words)[i] = 1;
  for (std::string& text : g_texts) text += "and more, so that it needs another place than it had";
  g_words->resize(kWords + kMiB);
  return Sum();
}
BROOD_TARGET(SumAfterWrites);

uint64_t FrozenBytes() { return ReadFrozenTaint().value().frozen_bytes; }
BROOD_TARGET(FrozenBytes);
uint64_t WrittenBytes() { return ReadFrozenTaint().value().written_bytes; }
BROOD_TARGET(WrittenBytes);

[[gnu::noinline]] int ThrowsFarAway(int value) {
  if (value > 0) throw std::out_of_range("far away");
  return value;
}
int Throws(int value) { return ThrowsFarAway(value) + 1; }
BROOD_TARGET(Throws);

void LoadUsesAio() {
  unsigned long context = 0;
  (void)syscall(SYS_io_setup, 1, &context);
}
BROOD_TARGET(LoadUsesAio);

std::pmr::vector<int> g_numbers(PreloadMemory());
std::vector<int, PreloadAllocator<int>> g_more_numbers;
bool Holds(const std::vector<int, PreloadAllocator<int>>& numbers, int size) {
  for (int i = 0; i < size; ++i) {
    if (numbers[static_cast<size_t>(i)] != i) return false;
  }
  return numbers.size() == static_cast<size_t>(size);
}
void LoadNumbers() {
  for (int i = 0; i < 1'000'000; ++i) {
    g_numbers.push_back(i);
    g_more_numbers.push_back(i);
  }
}
BROOD_TARGET(LoadNumbers);
bool NumbersAreThereAndOurs() {
  if (g_numbers.size() != 1'000'000 || g_numbers[999'999] != 999'999 || !Holds(g_more_numbers, 1'000'000)) return false;
  g_numbers[0] = 5;
  for (int& number : g_more_numbers) number = -1;
  g_numbers.push_back(6);  // Which moves it to the heap.
  g_numbers.clear();
  g_numbers.shrink_to_fit();
  g_more_numbers = {};
  LoadNumbers();
  return g_numbers.size() == 1'000'000 && Holds(g_more_numbers, 1'000'000);
}
BROOD_TARGET(NumbersAreThereAndOurs);

Context Server(std::vector<std::string> preload, Freeze freeze) {
  ContextOptions options;
  options.preload = std::move(preload);
  options.freeze = freeze;
  return Context(StartMethod::kForkServer, options);
}

TEST(FrozenServerTest, ChildrenOfAFrozenServerFindWhatWasPreloadedAndNotEachOthersWrites) {
  const Context context = Server({"Load64Mib"}, Freeze::kOn);
  ASSERT_EQ(context.StartServer(), absl::OkStatus());
  Load64Mib();
  const uint64_t sum = Sum();
  EXPECT_EQ(context.Call(SumOfAll).value(), sum);
  EXPECT_GE(context.Call(FrozenBytes).value(), 64 * kMiB);
  const uint64_t after = context.Call(SumAfterWrites).value();
  EXPECT_NE(after, sum);
  EXPECT_EQ(context.Call(SumAfterWrites).value(), after);
  EXPECT_EQ(context.Call(SumOfAll).value(), sum);
}

TEST(FrozenServerTest, AServerIsFrozenAsItsOptionsSay) {
  EXPECT_EQ(Server({"Load64Mib"}, Freeze::kOff).Call(FrozenBytes).value(), 0u);
  EXPECT_GE(Server({"Load64Mib"}, Freeze::kAuto).Call(FrozenBytes).value(), 64 * kMiB);
  EXPECT_EQ(Server({"LoadLittle"}, Freeze::kAuto).Call(FrozenBytes).value(), 0u);
  EXPECT_GT(Server({"LoadLittle"}, Freeze::kOn).Call(FrozenBytes).value(), 0u);
}

TEST(FrozenServerTest, WhatIsInTheWayIsAnErrorOnlyIfItWasAskedFor) {
  const absl::Status status = Server({"Load64Mib", "LoadUsesAio"}, Freeze::kOn).StartServer();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "freeze: asynchronous I/O")) << status;
  EXPECT_EQ(Server({"Load64Mib", "LoadUsesAio"}, Freeze::kAuto).Call(FrozenBytes).value(), 0u);
}

TEST(FrozenServerTest, AServerWritesLittleToItsFrozenMemory) {
  const Context context = Server({"Load64Mib"}, Freeze::kOn);
  const uint64_t first = context.Call(WrittenBytes).value();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(context.Call(FrozenBytes).ok());
  EXPECT_LE(context.Call(WrittenBytes).value(), first + 256 * 1024);
  EXPECT_LE(first, 2 * kMiB);
}

TEST(FrozenServerTest, AFrozenServerStartsSandboxedChildren) {
  const Context context = Server({"Load64Mib"}, Freeze::kOn);
  Load64Mib();
  const LaunchOptions options = {.policy = CompilePolicy(BuiltinPolicy("strict").value()).value()};
  EXPECT_EQ(context.Call(options, SumOfAll).value(), Sum());
}

TEST(FrozenServerTest, AnExceptionHasTheNamesOfFunctionsInItsStackTrace) {
  const absl::Status status = Server({"Load64Mib"}, Freeze::kOn).Call(Throws, 1).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "far away")) << status;
  const std::string stack(status.GetPayload(kStackTraceUrl).value_or(absl::Cord()));
  EXPECT_TRUE(absl::StrContains(stack, "ThrowsFarAway")) << stack;
}

// A mapping of code that is followed by one of the same file that is not: its constants.
int CodeApartFromConstants() {
  std::ifstream maps("/proc/self/maps");
  int found = 0;
  std::string of_code;
  for (std::string line; std::getline(maps, line);) {
    const size_t protection = line.find(' ') + 1, name = line.find('/');
    const std::string file = name == std::string::npos ? "" : line.substr(name);
    if (!file.empty() && file == of_code && line.substr(protection, 3) == "r--") ++found;
    of_code = line.substr(protection, 3) == "r-x" ? file : "";
  }
  return found;
}
BROOD_TARGET(CodeApartFromConstants);

TEST(FrozenServerTest, ConstantsOfALibraryAreOneMappingWithItsCode) {
  // Of what the loader has relocated each library has a mapping that stays.
  EXPECT_LT(Server({}, Freeze::kOn).Call(CodeApartFromConstants).value(), Server({}, Freeze::kOff).Call(CodeApartFromConstants).value());
}

class PreloadMemoryTest : public testing::TestWithParam<Freeze> {};

INSTANTIATE_TEST_SUITE_P(Freezes, PreloadMemoryTest, testing::Values(Freeze::kOff, Freeze::kOn));

TEST_P(PreloadMemoryTest, ChildrenFindWhatIsThereAndMayChangeIt) {
  const Context context = Server({"LoadNumbers"}, GetParam());
  EXPECT_GE(context.Call(FrozenBytes).value(), 8u * 1'000'000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(context.Call(NumbersAreThereAndOurs).value());
}

TEST(PreloadMemoryTest, IsTheHeapWhereNothingIsPreloaded) {
  g_numbers.clear();
  g_more_numbers.clear();
  LoadNumbers();
  EXPECT_EQ(ReadFrozenTaint()->frozen_bytes, 0u);
  EXPECT_TRUE(Context(StartMethod::kFork).Call(NumbersAreThereAndOurs).value());
  EXPECT_EQ(g_numbers[0], 0);
}

}  // namespace
}  // namespace brood
