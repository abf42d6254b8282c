#include "batch/json.h"

#include "gtest/gtest.h"

namespace brood {
namespace {

std::string ErrorOf(std::string_view text) {
  return std::string(ParseJson(text, {.file = "f", .first_line = 10}).status().message());
}

TEST(JsonTest, ValuesKnowTheirLines) {
  const JsonValue value = ParseJson("{\n \"a\": 1\n,\"b\":\n[true,\n2.5]}", {.file = "f"}).value();
  ASSERT_EQ(value.members.size(), 2u);
  EXPECT_EQ(value.members[0].line, 2);
  EXPECT_EQ(value.members[0].value.line, 2);
  EXPECT_EQ(value.members[1].line, 3);
  EXPECT_EQ(value.members[1].value.items[0].line, 4);
  EXPECT_EQ(value.members[1].value.items[1].line, 5);
  EXPECT_EQ(value.members[1].value.items[1].text, "2.5");
}

TEST(JsonTest, SyntaxErrorsNameLineAndColumn) {
  EXPECT_EQ(ErrorOf("{\"a\":\n  ]}").substr(0, 20), "f:11:3: not JSON: sy");
  EXPECT_EQ(ErrorOf("").substr(0, 6), "f:10:1");
  EXPECT_EQ(ErrorOf("{} {}").substr(0, 6), "f:10:4");
}

TEST(JsonTest, AZeroByteIsNoEndBehindWhichAnythingMayStand) {
  EXPECT_EQ(ErrorOf(std::string_view("{}\0{\"a\":1}", 10)), "f:10:3: not JSON: a zero byte");
  EXPECT_EQ(ErrorOf(std::string_view("{\n \0}", 6)), "f:11:2: not JSON: a zero byte");
  EXPECT_EQ(ErrorOf(std::string_view("{} // \0", 7)), "f:10:7: not JSON: a zero byte");
}

TEST(JsonTest, CommentsAreAllowed) { EXPECT_TRUE(ParseJson("// a\n{/* b */}", {.file = "f"}).ok()); }

TEST(JsonTest, ANameGivenTwiceIsAnError) {
  EXPECT_EQ(ErrorOf("{\"a\":1,\n\"a\":2}"), "f:11: field \"a\": given twice");
}

TEST(JsonTest, DeepNestingIsAnErrorAndNotAnOverflow) {
  EXPECT_EQ(ErrorOf(std::string(100'000, '[')), "f:10: nested deeper than 64 levels");
}

TEST(JsonTest, InvalidUtf8IsAnError) { EXPECT_NE(ErrorOf("{\"a\":\"\xff\"}"), ""); }

class JsonObjectTest : public testing::Test {
 protected:
  JsonObject Object(std::string_view text) {
    value_ = ParseJson(text, {.file = "f"}).value();
    return JsonObject::Of(value_, "f", "at").value();
  }
  JsonValue value_;
};

TEST_F(JsonObjectTest, GettersGiveValuesAndNothingForWhatIsAbsentOrNull) {
  JsonObject object = Object(R"({"s": "x", "l": ["a"], "n": 7, "b": true, "z": null})");
  EXPECT_EQ(object.String("s").value(), "x");
  EXPECT_EQ(object.Strings("l").value()->size(), 1u);
  EXPECT_EQ(object.Unsigned("n").value(), 7u);
  EXPECT_EQ(object.Bool("b").value(), true);
  EXPECT_EQ(object.String("z").value(), std::nullopt);
  EXPECT_TRUE(object.Finish().ok());
}

TEST_F(JsonObjectTest, WrongTypesNameTheFieldAndWhatWasExpected) {
  JsonObject object = Object("{\"s\": 1,\n\"l\": [1],\n\"n\": -1, \"m\": \"\\u0000\"}");
  EXPECT_EQ(object.String("s").status().message(), "f:1: field \"at.s\": expected a string, got a number");
  EXPECT_EQ(object.Strings("l").status().message(), "f:2: field \"at.l[0]\": expected a string, got a number");
  EXPECT_EQ(object.Unsigned("n").status().message(), "f:3: field \"at.n\": expected a whole number from 0, got -1");
  EXPECT_EQ(object.String("m").status().message(), "f:3: field \"at.m\": expected a string without NUL characters");
}

TEST_F(JsonObjectTest, FinishRefusesUnknownFieldsAndSuggests) {
  JsonObject object = Object("{\n\"argvv\": 1}");
  object.Find("argv");
  EXPECT_EQ(object.Finish().message(), "f:2: field \"at.argvv\": unknown; did you mean \"argv\"?");
}

}  // namespace
}  // namespace brood
