#include "bootstrap/target.h"

#include <map>
#include <memory>

#include "gtest/gtest.h"

namespace brood {
namespace {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

absl::StatusOr<std::string> Join(const std::vector<std::string>& parts, std::string_view glue) noexcept {
  if (parts.empty()) return absl::InvalidArgumentError("nothing to join");
  std::string text = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) absl::StrAppend(&text, glue, parts[i]);
  return text;
}
BROOD_TARGET_AS("text.join", Join);

void First() {}
void Second() {}
BROOD_TARGET_AS("twice", First);
BROOD_TARGET_AS("twice", Second);
BROOD_TARGET_AS("once", First);

ExitCode Leave(int code) { return {code}; }
BROOD_TARGET(Leave);

const std::string& Longer(const std::string_view& a, const std::string& b) {
  static std::string* longer = new std::string;
  *longer = a.size() > b.size() ? std::string(a) : b;
  return *longer;
}
BROOD_TARGET(Longer);

int Sum(std::unique_ptr<int> a, std::vector<std::unique_ptr<int>>&& b) { return *a + *b.at(0); }
BROOD_TARGET(Sum);

struct Sheet {
  static int Area(int width, int height) { return width * height; }
};
BROOD_TARGET(Sheet::Area);

TEST(TargetTest, ReferencesTravelAsValues) {
  const internal::TargetEntry* entry = internal::FindTarget("Longer").value();
  EXPECT_EQ(entry->signature(), "(string,string)->string");
  const auto result = entry->bind({Pack(std::string("ab")), Pack(std::string("c"))}).value()();
  EXPECT_EQ(Unpack<std::string>(result.value.value()).value(), "ab");
}

TEST(TargetTest, MoveOnlyArgumentsAreMovedIn) {
  const internal::TargetEntry* entry = internal::FindTarget("Sum").value();
  EXPECT_EQ(entry->signature(), "(optional<int32>,vector<optional<int32>>)->int32");
  std::vector<std::unique_ptr<int>> numbers;
  numbers.push_back(std::make_unique<int>(2));
  const auto result = entry->bind({Pack(std::make_unique<int>(1)), Pack(numbers)}).value()();
  EXPECT_EQ(Unpack<int>(result.value.value()).value(), 3);
}

TEST(TargetTest, StaticMemberFunctionsAreTargets) {
  const internal::TargetEntry* entry = internal::FindTarget("Sheet::Area").value();
  EXPECT_EQ(Unpack<int>(entry->bind({Pack(2), Pack(3)}).value()().value.value()).value(), 6);
}

TEST(TargetTest, RunsWithItsArguments) {
  const internal::TargetEntry* entry = internal::FindTarget("Square").value();
  const internal::TargetResult result = entry->bind({Pack(7)}).value()();
  EXPECT_EQ(Unpack<int>(result.value.value()).value(), 49);
  EXPECT_EQ(internal::FindTarget(reinterpret_cast<internal::AnyFunction>(&Square)).value(), entry);
}

TEST(TargetTest, AStatusOrGivesItsValueOrItsStatus) {
  const internal::TargetEntry* entry = internal::FindTarget("text.join").value();
  const auto run = [&](std::vector<std::string> parts) {
    return entry->bind({Pack(parts), Pack(std::string("-"))}).value()();
  };
  EXPECT_EQ(Unpack<std::string>(run({"a", "b"}).value.value()).value(), "a-b");
  EXPECT_EQ(run({}).status.message(), "nothing to join");
}

TEST(TargetTest, WrongArgumentsAreNamed) {
  const internal::TargetEntry* entry = internal::FindTarget("Square").value();
  EXPECT_EQ(entry->bind({Pack(std::string("7"))}).status().message(), "argument 1: expected int32, got string");
  EXPECT_EQ(entry->bind({}).status().message(), "expected 1 argument, got 0");
}

TEST(TargetTest, UnknownAndDoubleNamesAreErrors) {
  EXPECT_EQ(internal::FindTarget("Cube").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(internal::FindTarget("twice").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(internal::FindTarget("").status().code(), absl::StatusCode::kNotFound);
}

TEST(TargetTest, SignaturesAreInWords) {
  std::map<std::string, std::string> signatures;
  for (const auto& [name, signature] : RegisteredTargets()) signatures[name] = signature;
  EXPECT_EQ(signatures["Square"], "(int32)->int32");
  EXPECT_EQ(signatures["text.join"], "(vector<string>,string)->string");
  EXPECT_EQ(signatures["Leave"], "(int32)->exit code");
  EXPECT_EQ(signatures["once"], "()->void");
}

}  // namespace
}  // namespace brood
