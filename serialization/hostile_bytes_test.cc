// Every flipped bit and every truncation of sample messages, and seeded noise: whatever the bytes are, the answer is a
// value or one clear error, nothing is read out of bounds (`tools/test sanitize`), and nothing large is allocated
// first.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "serialization/framing.h"
#include "serialization/messages.h"

namespace {

// The largest piece of memory that was asked for since it was last set to 0.
std::atomic<size_t> g_largest = 0;

void* Allocate(size_t size) {
  size_t largest = g_largest.load();
  while (size > largest && !g_largest.compare_exchange_weak(largest, size)) {
  }
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(size_t size) { return Allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace brood {
namespace {

struct Point {
  int x = 0;
  std::vector<double> y;
};
BROOD_FIELDS(Point, x, y);

struct Tree {
  std::string name;
  std::vector<Tree> children;
  std::unique_ptr<Tree> brother;
};
BROOD_FIELDS(Tree, name, children, brother);

enum class Color : uint8_t { kRed, kBlue };

// What a reader makes of the bytes, written out again.
using Reader = std::function<absl::StatusOr<std::string>(std::string_view)>;

absl::StatusOr<std::string> Read(const Reader& reader, std::string_view bytes) {
  // Exactly so many bytes on the heap, aligned as a message is: the sanitizer sees one that is read beyond them.
  std::unique_ptr<char, decltype(&std::free)> memory(static_cast<char*>(std::malloc(bytes.size() + 1)), std::free);
  std::memcpy(memory.get(), bytes.data(), bytes.size());
  g_largest = 0;
  const absl::StatusOr<std::string> read = reader(std::string_view(memory.get(), bytes.size()));
  // Messages about types are longer than the sample values.
  EXPECT_LE(g_largest.load(), (size_t{2} << 20) + 100 * bytes.size());
  if (!read.ok()) {
    const absl::Status& status = read.status();
    EXPECT_FALSE(status.message().empty());
    EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsInvalidArgument(status) || absl::IsOutOfRange(status)) << status;
  }
  return read;
}

// A truncated message is an error, or has lost padding only; a damaged one must be an error unless `damage_may_pass`: a
// changed number is a number.
void Attack(const Reader& reader, const std::string& bytes, bool damage_may_pass) {
  const absl::StatusOr<std::string> whole = Read(reader, bytes);
  ASSERT_TRUE(whole.ok()) << whole.status();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const absl::StatusOr<std::string> part = Read(reader, std::string_view(bytes).substr(0, size));
    EXPECT_TRUE(!part.ok() || *part == *whole) << "the first " << size << " bytes";
  }
  std::string damaged = bytes;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const bool read = Read(reader, damaged).ok();
    EXPECT_TRUE(damage_may_pass || !read) << "bit " << bit;
    damaged[bit / 8] = bytes[bit / 8];
  }
  std::mt19937 random(20240229);
  for (int i = 0; i < 3000; ++i) {
    damaged = bytes;
    for (unsigned changes = random() % 8 + 1; changes > 0; --changes) {
      // Offsets and counts are what is worth changing: small, large and negative ones.
      const uint32_t numbers[] = {0, 1, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, static_cast<uint32_t>(random())};
      const size_t at = random() % damaged.size();
      std::memcpy(damaged.data() + at, &numbers[random() % 7], std::min<size_t>(4, damaged.size() - at));
    }
    Read(reader, damaged).IgnoreError();
  }
}

template <typename T>
Reader Values() {
  return [](std::string_view bytes) -> absl::StatusOr<std::string> {
    T value{};
    if (absl::Status status = DecodeInto(bytes, value); !status.ok()) return status;
    return EncodeValue(value);
  };
}

TEST(HostileBytesTest, TypedValues) {
  using Everything = std::tuple<std::optional<Point>, std::map<std::string, Tree>, std::variant<bool, absl::Status>,
                                absl::StatusOr<absl::Duration>, std::vector<std::set<int>>, absl::Time, Color,
                                std::vector<bool>, std::deque<std::string>, std::array<int16_t, 3>, float>;
  absl::Status status = absl::NotFoundError("gone");
  status.SetPayload("url", absl::Cord("payload"));
  Tree tree;
  tree.name = "n";
  tree.children.resize(2);
  tree.brother = std::make_unique<Tree>();
  Everything value;
  std::get<0>(value) = Point{.x = 1, .y = {1, 2}};
  std::get<1>(value).emplace("k", std::move(tree));
  std::get<2>(value) = status;
  std::get<3>(value) = absl::Seconds(3);
  std::get<4>(value) = {{1, 2}, {}};
  std::get<7>(value) = {true, false};
  std::get<8>(value) = {"a", ""};
  Attack(Values<Everything>(), EncodeValue(value), true);
  Attack(Values<std::vector<std::optional<std::array<double, 100>>>>(),
         EncodeValue(std::vector<std::optional<std::array<double, 100>>>(3)), true);
}

TEST(HostileBytesTest, DeepNestingIsAnErrorAndNoOverflow) {
  // vector<Tree> of one Tree of one Tree ..., as a hostile writer would make it: without an end.
  std::string bytes;
  const std::string level = [] {
    WireWriter writer;
    writer.Number(uint8_t{'{'});
    writer.Count(0);  // name
    writer.Count(1);  // children
    return writer.Take();
  }();
  for (int i = 0; i < 1'000'000; ++i) bytes += level;
  EXPECT_NE(Read(Values<Tree>(), bytes).status().message().find("nested too deep"), std::string::npos);
}

PreparationData Preparation() {
  return {.name = "worker",
          .start_method = StartMethod::kFork,
          .executable = "/bin/x",
          .argv = {"x", "y"},
          .cwd = "/",
          .environment = {{"A", "b"}, {"C", std::nullopt}},
          .log_level = 3,
          .plugin_path = {"/p"},
          .preload = {"l.so"},
          .auth_key = std::string("\0k", 2)};
}

Result Failure() {
  Result result;
  result.error =
      ResultError{.type = "outer", .status = absl::NotFoundError("message"), .stack = "f\ng", .cause = nullptr};
  result.error->status.SetPayload("url", absl::Cord("payload"));
  result.error->cause = std::make_shared<ResultError>(
      ResultError{.type = "inner", .status = absl::UnknownError("why"), .stack = "", .cause = nullptr});
  return result;
}

TEST(HostileBytesTest, PreparationData) {
  Attack(
      [](std::string_view bytes) -> absl::StatusOr<std::string> {
        const auto data = DecodePreparationData(bytes);
        if (!data.ok()) return data.status();
        return EncodePreparationData(*data);
      },
      EncodePreparationData(Preparation()), true);
}

TEST(HostileBytesTest, ProcessData) {
  ProcessData process;
  process.target = "Square";
  process.arguments = {Pack(7), Pack(std::string("text"))};
  process.policy = "policy";
  process.handles = {{5, "result"}};
  Attack(
      [](std::string_view bytes) -> absl::StatusOr<std::string> {
        const auto data = DecodeProcessData(bytes);
        if (!data.ok()) return data.status();
        return EncodeProcessData(*data);
      },
      EncodeProcessData(process), true);
}

TEST(HostileBytesTest, Results) {
  const Reader reader = [](std::string_view bytes) -> absl::StatusOr<std::string> {
    const auto data = DecodeResult(bytes);
    if (!data.ok()) return data.status();
    return EncodeResult(*data);
  };
  Attack(reader, EncodeResult({.value = Pack(std::vector<int>{1, 2}), .error = std::nullopt}), true);
  Attack(reader, EncodeResult(Failure()), true);
}

TEST(HostileBytesTest, CausesThatAreNestedTooDeepAreRefused) {
  Result result = Failure();
  for (int i = 0; i < 200; ++i) {
    auto outer = std::make_shared<ResultError>(*result.error);
    result.error->cause = outer;
  }
  EXPECT_FALSE(DecodeResult(EncodeResult(result)).ok());
}

// The frame around any of these finds every flipped bit by itself.
TEST(HostileBytesTest, Frames) {
  const UniqueFd memory(memfd_create("test", MFD_CLOEXEC));
  const Reader reader = [&](std::string_view bytes) {
    EXPECT_EQ(ftruncate(memory.get(), 0), 0);
    EXPECT_EQ(pwrite(memory.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(lseek(memory.get(), 0, SEEK_SET), 0);
    return ReadMessage(memory.get(), MessageType::kPreparationData);
  };
  Attack(reader, FrameMessage(MessageType::kPreparationData, EncodePreparationData(Preparation())), false);
}

TEST(HostileBytesTest, AnAnnouncedLengthCostsNothing) {
  const UniqueFd memory(memfd_create("test", MFD_CLOEXEC));
  const std::string frame = FrameMessage(MessageType::kResult, std::string(size_t{60} << 20, 'x'));
  ASSERT_EQ(pwrite(memory.get(), frame.data(), kFrameHeaderBytes + 10, 0), ssize_t{kFrameHeaderBytes + 10});
  g_largest = 0;
  EXPECT_EQ(ReadMessage(memory.get(), MessageType::kResult).status().message(),
            "read result: ended after 10 of 62914560 bytes");
  EXPECT_LE(g_largest.load(), size_t{2} << 20);
}

}  // namespace
}  // namespace brood
