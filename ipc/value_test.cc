#include "ipc/value.h"

#include <signal.h>

#include <stdexcept>
#include <vector>

#include "gtest/gtest.h"
#include "ipc/array.h"
#include "ipc/talking_child.h"
#include "serialization/value.h"

namespace brood {
namespace {

struct Point {
  int64_t x = 0;
  double y = 0;
  char name[16] = {};
};
BROOD_FIELDS(Point, x, y);

static_assert(!Shareable<int*> && !Shareable<bool> && !Shareable<std::vector<int>>);

TEST(ValueTest, HoldsWhatItWasGiven) {
  const auto value = Value<int>::Create(7).value();
  EXPECT_EQ(*value.Get(), 7);
  ASSERT_TRUE(value.Set(8).ok());
  EXPECT_EQ(value.Load(), 8);
  EXPECT_EQ(value.FetchAdd(2), 8);
  ASSERT_TRUE(value.Update([](int& n) { n *= 2; }).ok());
  EXPECT_EQ(*value.Get(), 20);
}

TEST(ValueTest, AnEmptyHandleIsAnError) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Value<int>().Get().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Value<int>().Set(1)));
  EXPECT_TRUE(absl::IsFailedPrecondition(Value<int>().Descriptor().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Array<int>().Get(0).status()));
}

TEST(ValueTest, TravelsByItsTypeAndIsSharedByAllWhoHaveIt) {
  const auto value = Value<int>::Create(0).value();
  const TypedValue packed = Pack(value);
  EXPECT_EQ(packed.type, "value<int32>");
  EXPECT_TRUE(absl::IsInvalidArgument(Unpack<Value<float>>(packed).status()));
  std::vector<TalkingChild> children;
  for (int i = 0; i < 3; ++i) {
    children.emplace_back([&](const TalkingChild::Parent&) {
      const auto mine = Unpack<Value<int>>(packed).value();
      for (int n = 0; n < 1000; ++n) BROOD_REQUIRE_OK(mine.Update([](int& count) { ++count; }));
      for (int n = 0; n < 1000; ++n) mine.FetchAdd(1);
      return 0;
    });
  }
  for (TalkingChild& child : children) EXPECT_EQ(child.Join(), 0);
  EXPECT_EQ(value.Load(), 6000);
}

TEST(ValueTest, AStructIsReadAndWrittenWhole) {
  const auto value = Value<Point>::Create({.x = 1, .y = 2}).value();
  ASSERT_TRUE(value.Update([](Point& point) { point.x = 5; }).ok());
  EXPECT_EQ(value.Get()->x, 5);
  EXPECT_EQ(value.Get()->y, 2);
  EXPECT_EQ(TypeName<Value<Point>>(), "value<Point{x:int64,y:double}>");
}

TEST(ValueTest, AChangeThatThrowsChangesNothingAndReleasesTheLock) {
  const auto value = Value<int>::Create(1).value();
  EXPECT_THROW(value
                   .Update([](int& n) {
                     n = 9;
                     throw std::runtime_error("no");
                   })
                   .IgnoreError(),
               std::runtime_error);
  EXPECT_EQ(*value.Get(), 1);
  EXPECT_FALSE(*value.lock().IsHeld());
}

TEST(ValueTest, SeveralOperationsGoUnderOneLock) {
  const auto value = Value<int>::Create(1).value();
  ASSERT_TRUE(value.lock().Acquire().ok());
  EXPECT_EQ(*value.Get(), 1);
  EXPECT_TRUE(*value.lock().IsHeld());
  // Its lock can travel by itself.
  const RLock lock = RLock::FromDescriptor(value.lock().Descriptor().value()).value();
  EXPECT_TRUE(lock.Release().ok());
  EXPECT_FALSE(*value.lock().IsHeld());
}

TEST(ValueTest, AHolderThatDiesIsAbortedUntilTheLockIsRecovered) {
  const auto value = Value<int>::Create(1).value();
  TalkingChild holder([&](const TalkingChild::Parent& parent) {
    value
        .Update([&](int& n) {
          n = 2;
          parent.Say('h');
          parent.Sleep();
        })
        .IgnoreError();
    return 0;
  });
  ASSERT_EQ(holder.Await(), 'h');
  EXPECT_EQ(holder.Kill(), -SIGKILL);
  EXPECT_TRUE(absl::IsAborted(value.Get().status()));
  EXPECT_TRUE(absl::IsAborted(value.Set(3)));
  ASSERT_TRUE(value.lock().Recover().ok());
  EXPECT_EQ(*value.Get(), 1);
  ASSERT_TRUE(value.lock().Release().ok());
  EXPECT_TRUE(value.Set(3).ok());
}

TEST(ValueTest, ElementsOfAnotherSizeAreRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(Value<int>::FromDescriptor(*Value<int64_t>::Create()->Descriptor()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Value<int>::FromDescriptor(*Array<int>::Create(1)->Descriptor()).status()));
}

TEST(ArrayTest, ChecksEveryIndex) {
  const auto array = Array<int>::Create(3).value();
  EXPECT_EQ(array.size(), 3u);
  EXPECT_EQ(*array.Get(2), 0);
  EXPECT_TRUE(array.Set(2, 5).ok());
  EXPECT_EQ(array.Load(2), 5);
  EXPECT_TRUE(array.Store(0, 4));
  EXPECT_EQ(array.elements()[0], 4);
  EXPECT_TRUE(absl::IsOutOfRange(array.Get(3).status()));
  EXPECT_TRUE(absl::IsOutOfRange(array.Set(SIZE_MAX, 1)));
  EXPECT_EQ(array.Load(3), std::nullopt);
  EXPECT_FALSE(array.Store(3, 1));
}

TEST(ArrayTest, ImpossibleSizesAreErrors) {
  EXPECT_TRUE(absl::IsResourceExhausted(Array<int64_t>::Create(SIZE_MAX / 4).status()));
  EXPECT_EQ(Array<int>::Create(0)->size(), 0u);
}

TEST(ArrayTest, ProcessesFillPartsOfTheirOwn) {
  const auto array = Array<double>::Create(400).value();
  const TypedValue packed = Pack(array);
  EXPECT_EQ(packed.type, "array<double>");
  std::vector<TalkingChild> children;
  for (size_t part = 0; part < 4; ++part) {
    children.emplace_back([&, part](const TalkingChild::Parent&) {
      const auto mine = Unpack<Array<double>>(packed).value();
      for (double& element : mine.elements().subspan(part * 100, 100)) element = static_cast<double>(part);
      return 0;
    });
  }
  for (TalkingChild& child : children) EXPECT_EQ(child.Join(), 0);
  double sum = 0;
  for (const double element : array.elements()) sum += element;
  EXPECT_EQ(sum, 600);
}

}  // namespace
}  // namespace brood
