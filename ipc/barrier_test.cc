#include "ipc/barrier.h"

#include <sched.h>
#include <signal.h>

#include <stdexcept>
#include <vector>

#include "gtest/gtest.h"
#include "ipc/talking_child.h"

namespace brood {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(30);

TalkingChild Party(const Barrier& barrier, absl::StatusCode expected = absl::StatusCode::kOk) {
  return TalkingChild([&barrier, expected](const TalkingChild::Parent& parent) {
    parent.Say('w');
    const absl::StatusOr<uint32_t> index = barrier.Wait(kSoon);
    BROOD_REQUIRE(index.status().code() == expected);
    return index.ok() ? static_cast<int>(*index) : 100;
  });
}

// Until so many wait.
void AwaitWaiting(const Barrier& barrier, uint32_t count) {
  while (*barrier.Waiting() != count) sched_yield();
}

TEST(BarrierTest, ReleasesAllWhenTheLastComesAndNumbersThem) {
  const Barrier barrier = Barrier::Create(3).value();
  for (int round = 0; round < 3; ++round) {
    TalkingChild first = Party(barrier);
    AwaitWaiting(barrier, 1);
    TalkingChild second = Party(barrier);
    AwaitWaiting(barrier, 2);
    EXPECT_EQ(*barrier.Wait(kSoon), 2u);
    EXPECT_EQ(first.Join(), 0);
    EXPECT_EQ(second.Join(), 1);
  }
  EXPECT_EQ(*barrier.Parties(), 3u);
  EXPECT_FALSE(*barrier.IsBroken());
}

TEST(BarrierTest, RefusesNoPartiesAndTooMany) {
  EXPECT_TRUE(absl::IsInvalidArgument(Barrier::Create(0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Barrier::Create(Barrier::kMaxParties + 1).status()));
}

TEST(BarrierTest, OneWhoGivesUpBreaksItUntilItIsReset) {
  const Barrier barrier = Barrier::Create(3).value();
  TalkingChild other = Party(barrier, absl::StatusCode::kAborted);
  AwaitWaiting(barrier, 1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(barrier.Wait(absl::Milliseconds(20)).status()));
  EXPECT_EQ(other.Join(), 100);
  EXPECT_TRUE(*barrier.IsBroken());
  EXPECT_TRUE(absl::IsAborted(barrier.Wait().status()));
  ASSERT_TRUE(barrier.Reset().ok());
  EXPECT_FALSE(*barrier.IsBroken());
  EXPECT_EQ(*barrier.Waiting(), 0u);
}

TEST(BarrierTest, AbortAndResetEndTheWaitOfTheOthers) {
  const Barrier barrier = Barrier::Create(2).value();
  TalkingChild aborted = Party(barrier, absl::StatusCode::kAborted);
  AwaitWaiting(barrier, 1);
  ASSERT_TRUE(barrier.Abort().ok());
  EXPECT_EQ(aborted.Join(), 100);
  EXPECT_TRUE(*barrier.IsBroken());
  ASSERT_TRUE(barrier.Reset().ok());
  TalkingChild reset = Party(barrier, absl::StatusCode::kAborted);
  AwaitWaiting(barrier, 1);
  ASSERT_TRUE(barrier.Reset().ok());
  EXPECT_EQ(reset.Join(), 100);
  EXPECT_FALSE(*barrier.IsBroken());
  TalkingChild again = Party(barrier);
  EXPECT_TRUE(barrier.Wait(kSoon).ok());
  EXPECT_LT(again.Join(), 2);
}

TEST(BarrierTest, APartyThatDiesWaitingBreaksItForTheOthers) {
  const Barrier barrier = Barrier::Create(4).value();
  std::vector<TalkingChild> parties;
  for (uint32_t i = 0; i < 3; ++i) {
    parties.push_back(Party(barrier, absl::StatusCode::kAborted));
    AwaitWaiting(barrier, i + 1);
  }
  EXPECT_EQ(parties[1].Kill(), -SIGKILL);
  EXPECT_EQ(parties[0].Join(), 100);
  EXPECT_EQ(parties[2].Join(), 100);
  EXPECT_TRUE(absl::IsAborted(barrier.Wait().status()));
}

TEST(BarrierTest, TheLastDoesNotPassWithADeadParty) {
  const Barrier barrier = Barrier::Create(2).value();
  TalkingChild dead = Party(barrier);
  AwaitWaiting(barrier, 1);
  EXPECT_EQ(dead.Kill(), -SIGKILL);
  EXPECT_TRUE(absl::IsAborted(barrier.Wait().status()));
}

TEST(BarrierTest, TheActionRunsBeforeAnybodyGoesOnAndItsErrorBreaksTheBarrier) {
  const Barrier barrier = Barrier::Create(2).value();
  TalkingChild party = Party(barrier);
  AwaitWaiting(barrier, 1);
  uint32_t waiting = 0;
  EXPECT_TRUE(barrier.Wait(kSoon, [&] { return waiting = *barrier.Waiting(), absl::OkStatus(); }).ok());
  EXPECT_EQ(waiting, 2u);
  EXPECT_EQ(party.Join(), 0);

  TalkingChild disappointed = Party(barrier, absl::StatusCode::kAborted);
  AwaitWaiting(barrier, 1);
  EXPECT_EQ(barrier.Wait(kSoon, [] { return absl::InternalError("no"); }).status(), absl::InternalError("no"));
  EXPECT_EQ(disappointed.Join(), 100);
  ASSERT_TRUE(barrier.Reset().ok());

  TalkingChild surprised = Party(barrier, absl::StatusCode::kAborted);
  AwaitWaiting(barrier, 1);
  EXPECT_THROW(barrier.Wait(kSoon, []() -> absl::Status { throw std::runtime_error("no"); }).IgnoreError(),
               std::runtime_error);
  EXPECT_EQ(surprised.Join(), 100);
  EXPECT_TRUE(*barrier.IsBroken());
}

TEST(BarrierTest, ADeathInsideTheActionBreaksIt) {
  const Barrier barrier = Barrier::Create(2).value();
  TalkingChild party = Party(barrier, absl::StatusCode::kAborted);
  AwaitWaiting(barrier, 1);
  TalkingChild actor([&](const TalkingChild::Parent& parent) {
    barrier
        .Wait(kSoon,
              [&]() -> absl::Status {
                parent.Say('a');
                parent.Sleep();
                return absl::OkStatus();
              })
        .IgnoreError();
    return 1;
  });
  ASSERT_EQ(actor.Await(), 'a');
  EXPECT_EQ(actor.Kill(), -SIGKILL);
  EXPECT_EQ(party.Join(), 100);
}

}  // namespace
}  // namespace brood
