#include "ipc/event.h"

#include <signal.h>

#include <vector>

#include "gtest/gtest.h"
#include "ipc/talking_child.h"

namespace brood {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(30);

TEST(EventTest, IsClearUntilSet) {
  const Event event = Event::Create().value();
  EXPECT_FALSE(*event.IsSet());
  EXPECT_TRUE(absl::IsDeadlineExceeded(event.Wait(absl::ZeroDuration())));
  EXPECT_TRUE(absl::IsDeadlineExceeded(event.Wait(absl::Milliseconds(20))));
  ASSERT_TRUE(event.Set().ok());
  EXPECT_TRUE(*event.IsSet());
  EXPECT_TRUE(event.Wait().ok());
  ASSERT_TRUE(event.Clear().ok());
  EXPECT_FALSE(*event.IsSet());
  EXPECT_TRUE(absl::IsDeadlineExceeded(event.Wait(absl::ZeroDuration())));
}

TEST(EventTest, SetReleasesEveryProcessThatWaits) {
  const Event event = Event::Create().value();
  std::vector<TalkingChild> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&](const TalkingChild::Parent& parent) {
      parent.Say('w');
      BROOD_REQUIRE_OK(event.Wait(kSoon));
      return 0;
    });
    ASSERT_EQ(waiters.back().Await(), 'w');
  }
  ASSERT_TRUE(event.Set().ok());
  for (TalkingChild& waiter : waiters) EXPECT_EQ(waiter.Join(), 0);
}

TEST(EventTest, AKilledWaiterDisturbsNobody) {
  const Event event = Event::Create().value();
  const auto wait = [&](const TalkingChild::Parent& parent) {
    parent.Say('w');
    BROOD_REQUIRE_OK(event.Wait(kSoon));
    return 0;
  };
  TalkingChild killed(wait);
  TalkingChild waiter(wait);
  ASSERT_EQ(killed.Await(), 'w');
  ASSERT_EQ(waiter.Await(), 'w');
  EXPECT_EQ(killed.Kill(), -SIGKILL);
  ASSERT_TRUE(event.Set().ok());
  EXPECT_EQ(waiter.Join(), 0);
}

TEST(EventTest, AnEmptyHandleIsAnError) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Event().Set()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Event().Wait()));
}

}  // namespace
}  // namespace brood
