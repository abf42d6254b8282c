// wait.h on handles of Windows, of which one system call takes 64.
#include <windows.h>

#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "base/unique_fd.h"
#include "base/windows_handle.h"
#include "gtest/gtest.h"
#include "ipc/wait.h"

namespace brood {
namespace {

using Indices = std::vector<size_t>;

class WaitTest : public testing::TestWithParam<size_t> {
 protected:
  WaitTest() {
    for (size_t i = 0; i < GetParam(); ++i) {
      events_.push_back(Own(CreateEventW(nullptr, TRUE, FALSE, nullptr)));
      objects_.emplace_back(events_.back().get());
    }
  }
  void Set(size_t i) { SetEvent(HandleOf(events_[i].get())); }

  std::vector<UniqueFd> events_;
  std::vector<Waitable> objects_;
};

INSTANTIATE_TEST_SUITE_P(Sizes, WaitTest, testing::Values(2, 64, 65, 127, 200));

TEST_P(WaitTest, NothingIsReadyUntilItIs) {
  EXPECT_EQ(Wait(objects_, absl::ZeroDuration()).value(), Indices());
  EXPECT_EQ(Wait(objects_, absl::Milliseconds(20)).value(), Indices());
}

TEST_P(WaitTest, TheLastOneWakesAWaitWithoutEnd) {
  const size_t last = GetParam() - 1;
  std::thread later([&] { Set(last); });
  EXPECT_EQ(Wait(objects_).value(), Indices({last}));
  later.join();
}

TEST_P(WaitTest, ExactlyTheReadyOnesAreReturned) {
  const size_t last = GetParam() - 1;
  Set(0);
  Set(last);
  EXPECT_EQ(Wait(objects_, absl::ZeroDuration()).value(), Indices({0, last}));
  EXPECT_EQ(Wait(objects_).value(), Indices({0, last}));
}

TEST_P(WaitTest, AnObjectMayStandThereTwice) {
  objects_.push_back(objects_[1]);
  Set(1);
  EXPECT_EQ(Wait(objects_).value(), Indices({1, GetParam()}));
}

// An event that resets itself has one signal, which no one else may get or lose.
TEST_P(WaitTest, ASignalThatIsThereOnceIsTakenOnce) {
  const UniqueFd once = Own(CreateEventW(nullptr, FALSE, TRUE, nullptr));
  objects_.emplace_back(once.get());
  EXPECT_EQ(Wait(objects_, absl::ZeroDuration()).value(), Indices({GetParam()}));
  EXPECT_EQ(Wait(objects_, absl::ZeroDuration()).value(), Indices());
}

TEST_P(WaitTest, WhatIsNotOpenIsNamed) {
  objects_.emplace_back(123456);
  const absl::Status status = Wait(objects_, absl::ZeroDuration()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "handle 123456, is not open")) << status;
}

}  // namespace
}  // namespace brood
