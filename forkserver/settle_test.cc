#include "forkserver/settle.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <memory_resource>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "forkserver/freeze.h"
#include "forkserver/in_child_testing.h"
#include "forkserver/preload_memory.h"
#include "gtest/gtest.h"

namespace brood::internal {
namespace {

constexpr size_t kMuch = size_t{32} << 20;

std::string Settled(Freeze freeze) {
  const absl::StatusOr<std::string> text = SettlePreload(freeze);
  return text.ok() ? *text : text.status().ToString();
}

uint64_t FrozenBytes() { return ReadFrozenTaint().value().frozen_bytes; }

TEST(SettleTest, SaysWhatHasBecomeOfTheFreeze) {
  TestInChild([] {
    EXPECT_EQ(Settled(Freeze::kAuto), "not frozen: there is too little for it to pay");
    const auto much = std::make_unique<char[]>(kMuch);
    memset(much.get(), 1, kMuch);
    EXPECT_EQ(Settled(Freeze::kOff), "not frozen: not asked for");
    EXPECT_EQ(FrozenBytes(), 0u);
    EXPECT_TRUE(absl::StartsWith(Settled(Freeze::kAuto), "froze ")) << Settled(Freeze::kAuto);
    EXPECT_GE(FrozenBytes(), kMuch);
  });
}

TEST(SettleTest, WhatIsInTheWayIsAnErrorOnlyIfItWasAskedFor) {
  TestInChild([] {
    unsigned long context = 0;
    if (syscall(SYS_io_setup, 1, &context) != 0) return;  // This kernel has no AIO.
    const auto much = std::make_unique<char[]>(kMuch);
    memset(much.get(), 1, kMuch);
    EXPECT_TRUE(absl::StartsWith(Settled(Freeze::kAuto), "not frozen: freeze: asynchronous I/O")) << Settled(Freeze::kAuto);
    EXPECT_EQ(SettlePreload(Freeze::kOn).status().code(), absl::StatusCode::kFailedPrecondition);
  });
}

TEST(SettleTest, EachPreloadHasAnArenaThatIsSealedAfterIt) {
  TestInChild([] {
    std::vector<std::pmr::vector<int>> all;
    for (int preload = 0; preload < 3; ++preload) {
      {
        const PreloadMemoryScope scope;
        all.emplace_back(1'000'000, preload, PreloadMemory());
      }
      all.emplace_back(1'000'000, preload, PreloadMemory());  // In between: the heap's.
      EXPECT_EQ(FrozenBytes() / 4'000'000, static_cast<uint64_t>(preload));
      ASSERT_TRUE(SettlePreload(Freeze::kOff).ok());
      EXPECT_EQ(FrozenBytes() / 4'000'000, static_cast<uint64_t>(preload) + 1);
    }
    const auto right = [&] {
      for (size_t i = 0; i < all.size(); ++i) {
        for (const int value : all[i]) {
          if (value != static_cast<int>(i / 2)) return false;
        }
      }
      return true;
    };
    EXPECT_TRUE(right());
    EXPECT_TRUE(TrueInChild([&] {
      const bool was_right = right();
      for (std::pmr::vector<int>& one : all) one.assign(2'000'000, 9);
      all.clear();
      return was_right;
    }));
    EXPECT_TRUE(right());
    all.clear();
  });
}

}  // namespace
}  // namespace brood::internal
