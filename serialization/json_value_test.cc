#include "serialization/json_value.h"

#include <array>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "serialization/codec.h"

namespace brood {
namespace {

struct Point {
  int32_t x = 0;
  std::vector<double> y;
  friend bool operator==(const Point&, const Point&) = default;
};
BROOD_FIELDS(Point, x, y);

struct Node {
  std::string name;
  std::vector<Node> children;
  friend bool operator==(const Node&, const Node&) = default;
};
BROOD_FIELDS(Node, name, children);

enum class Colour : uint8_t { kRed, kBlue = 7 };

// The text that `value` is written as, when it reads back as the same value.
template <typename T>
std::string RoundTrip(const T& value) {
  const TypedValue packed = Pack(value);
  const absl::StatusOr<std::string> text = JsonText(packed);
  if (!text.ok()) return std::string(text.status().message());
  const absl::StatusOr<TypedValue> read = ValueFromJson(packed.type, *text);
  if (!read.ok()) return std::string(read.status().message());
  EXPECT_EQ(read->type, packed.type);
  EXPECT_EQ(read->bytes, packed.bytes) << *text;
  return *text;
}

template <typename T>
std::string ErrorOf(std::string_view json) {
  return std::string(ValueFromJson(TypeName<T>(), json).status().message());
}

TEST(JsonValueTest, ValuesSurviveJson) {
  EXPECT_EQ(RoundTrip(true), "true");
  EXPECT_EQ(RoundTrip('c'), "\"c\"");
  EXPECT_EQ(RoundTrip(int32_t{-7}), "-7");
  EXPECT_EQ(RoundTrip(Colour::kBlue), "7");
  EXPECT_EQ(RoundTrip(49.0), "49.0");
  EXPECT_EQ(RoundTrip(0.1F), "0.1");
  EXPECT_EQ(RoundTrip(std::string("tab\tund \xc3\xa4")), "\"tab\\tund \xc3\xa4\"");
  EXPECT_EQ(RoundTrip(std::vector<std::string>{"a", ""}), R"(["a",""])");
  EXPECT_EQ(RoundTrip(std::deque<int8_t>{-128, 127}), "[-128,127]");
  EXPECT_EQ(RoundTrip(std::set<std::string>{"a", "b"}), R"(["a","b"])");
  EXPECT_EQ(RoundTrip(std::array<int, 2>{1, 2}), "[1,2]");
  EXPECT_EQ(RoundTrip(std::array<int, 0>{}), "[]");
  EXPECT_EQ(RoundTrip(std::map<std::string, int>{{"b", 2}, {"a", 1}}), R"({"a":1,"b":2})");
  EXPECT_EQ(RoundTrip(std::map<int, bool>{{1, true}}), "[[1,true]]");
  EXPECT_EQ(RoundTrip(absl::flat_hash_map<std::string, int>{{"a", 1}}), R"({"a":1})");
  EXPECT_EQ(RoundTrip(std::optional<int>()), "null");
  EXPECT_EQ(RoundTrip(std::optional<int>(3)), "3");
  EXPECT_EQ(RoundTrip(std::pair<int, std::string>(1, "x")), R"([1,"x"])");
  EXPECT_EQ(RoundTrip(std::tuple<int, bool, double>(1, false, 0.5)), "[1,false,0.5]");
  EXPECT_EQ(RoundTrip(std::variant<int, std::string>("x")), "\"x\"");
  EXPECT_EQ(RoundTrip(std::monostate()), "null");
  EXPECT_EQ(RoundTrip(Point{1, {2.5}}), R"({"x":1,"y":[2.5]})");
  EXPECT_EQ(RoundTrip(Node{"a", {{"b", {}}}}), R"({"name":"a","children":[{"name":"b","children":[]}]})");
  EXPECT_EQ(RoundTrip(absl::Milliseconds(1500)), "\"1.5s\"");
  EXPECT_EQ(RoundTrip(absl::UnixEpoch() + absl::Milliseconds(250)), "\"1970-01-01T00:00:00.25+00:00\"");
}

TEST(JsonValueTest, NumbersKeepAllTheirDigits) {
  EXPECT_EQ(RoundTrip(std::numeric_limits<int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(RoundTrip(std::numeric_limits<uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(RoundTrip(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(RoundTrip(std::numeric_limits<double>::denorm_min()), "5e-324");
  EXPECT_EQ(RoundTrip(std::numeric_limits<float>::max()), "3.4028235e+38");
  EXPECT_EQ(RoundTrip(-std::numeric_limits<double>::infinity()), "\"-Infinity\"");
  EXPECT_EQ(RoundTrip(std::numeric_limits<float>::infinity()), "\"Infinity\"");
  EXPECT_EQ(JsonText(Pack(std::numeric_limits<double>::quiet_NaN())).value(), "\"NaN\"");
}

TEST(JsonValueTest, BytesAreBase64) {
  EXPECT_EQ(RoundTrip(std::vector<uint8_t>{0, 255}), R"({"base64":"AP8="})");
  EXPECT_EQ(RoundTrip(std::string("\xff\n")), R"({"base64":"/wo="})");
  EXPECT_EQ(ValueFromJson("bytes", R"({"text":"ab"})")->bytes, Pack(std::vector<uint8_t>{'a', 'b'}).bytes);
  EXPECT_EQ(ErrorOf<std::vector<uint8_t>>("[1,2]"), R"(expected {"base64": "..."} or {"text": "..."}, got [1,2])");
  EXPECT_EQ(ErrorOf<std::vector<uint8_t>>(R"({"base64":"!"})"), R"(expected base64, got "!")");
}

TEST(JsonValueTest, ANumberOutOfItsRangeIsNeverWrappedOrRounded) {
  EXPECT_EQ(ErrorOf<uint8_t>("256"), "expected uint8 (0 to 255), got 256");
  EXPECT_EQ(ErrorOf<uint8_t>("-1"), "expected uint8 (0 to 255), got -1");
  EXPECT_EQ(ErrorOf<int8_t>("128"), "expected int8 (-128 to 127), got 128");
  EXPECT_EQ(ErrorOf<int32_t>("-2147483649"), "expected int32 (-2147483648 to 2147483647), got -2147483649");
  EXPECT_EQ(ErrorOf<int64_t>("9223372036854775808"),
            "expected int64 (-9223372036854775808 to 9223372036854775807), got 9223372036854775808");
  EXPECT_NE(ErrorOf<uint64_t>("18446744073709551616"), "");
  EXPECT_NE(ErrorOf<int32_t>("7.0"), "");
  EXPECT_NE(ErrorOf<int32_t>("1e3"), "");
  EXPECT_NE(ErrorOf<float>("1e39"), "");
  EXPECT_NE(ErrorOf<double>("1e999"), "");
}

TEST(JsonValueTest, AMismatchSaysWhereAndWhat) {
  EXPECT_EQ(ErrorOf<int32_t>("\"x\""), "expected int32 (-2147483648 to 2147483647), got \"x\"");
  EXPECT_EQ(ErrorOf<std::string>("7"), "expected a string, got 7");
  EXPECT_EQ(ErrorOf<std::string>("seven"), "not JSON: seven; a string needs quotes: '\"seven\"'");
  EXPECT_EQ(ErrorOf<std::vector<Point>>(R"([{"x":1,"y":[]},{"x":2,"y":[1,null]}])"), "[1].y[1]: expected a number, got null");
  EXPECT_EQ(ErrorOf<Point>(R"({"x":1})"), "has no field \"y\" of Point{x:int32,y:vector<double>}");
  EXPECT_EQ(ErrorOf<Point>(R"({"x":1,"y":[],"z":0})"), "has a field \"z\", which Point{x:int32,y:vector<double>} has not");
  EXPECT_EQ(ErrorOf<Point>(R"({"x":1,"x":2,"y":[]})"), "has the field \"x\" twice");
  EXPECT_EQ((ErrorOf<std::pair<int, int>>("[1]")), "expected pair<int32,int32> (2 elements), got [1]");
  EXPECT_EQ((ErrorOf<std::map<int, int>>("[[1,1],[1,2]]")), "has the key 1 twice");
  EXPECT_EQ(ErrorOf<std::set<int>>("[1,1]"), "has 1 twice");
  EXPECT_EQ((ErrorOf<std::variant<int, bool>>("\"x\"")), "expected variant<int32,bool>, got \"x\"");
  EXPECT_EQ(ErrorOf<UniqueFd>("3"), "a handle cannot be written as JSON");
}

TEST(JsonValueTest, WhatIsNestedTooDeepIsRefused) {
  std::string json;
  for (int i = 0; i < 10'000; ++i) json += R"({"name":"","children":[)";
  for (int i = 0; i < 10'000; ++i) json += "]}";
  EXPECT_NE(ErrorOf<Node>(json).find("nested too deep"), std::string::npos);
  EXPECT_NE(ErrorOf<int>(std::string(100'000, '[')), "");
}

TEST(JsonValueTest, BytesThatAreNotOfTheirTypeAreRefused) {
  for (const TypedValue& value : {TypedValue{"vector<string>", std::string(8, '\xff'), {}}, TypedValue{"int32", "abc", {}},
                                  TypedValue{"int32", "abcde", {}}, TypedValue{"bool", "\x02", {}},
                                  TypedValue{"variant<bool,char>", "\x07", {}}, TypedValue{"Point{x:int8}", "ab", {}}}) {
    EXPECT_EQ(JsonText(value).status().code(), absl::StatusCode::kDataLoss) << value.type;
  }
  for (const char* type : {"", "vector<", "vector<int32", "int33", "map<int32>", "array<int32,x>", "P{x}", "P{x:Q}", "int32,int32"}) {
    EXPECT_EQ(JsonText({type, "", {}}).status().code(), absl::StatusCode::kInvalidArgument) << type;
  }
}

// Its reader is a program that did not choose it.
TEST(JsonValueTest, AHostileValueTakesNeitherAllMemoryNorAllTime) {
  constexpr uint64_t kCount = uint64_t{32} << 20;
  WireWriter many;
  many.Count(kCount);
  const std::string bytes = many.Take() + std::string(kCount, '{');
  const std::string long_name(1000, 'x');
  for (const std::string& type : {std::string("vector<P{}>"), absl::StrCat("vector<P{", long_name, ":Q{}}>")}) {
    EXPECT_EQ(JsonText({type, bytes, {}}).status().message(), absl::StrCat("a ", type, ": takes too much memory as JSON"));
  }
  EXPECT_EQ(JsonText({"array<P{x:P},99999999999999>", std::string(1000, '{'), {}}).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(JsonText({absl::StrCat("P{", std::string(100'000, 'x'), ":bool}"), "", {}}).ok());
  // Would take minutes if each name were compared with all others.
  std::map<std::string, int> map;
  for (int i = 0; i < 300'000; ++i) map[absl::StrCat("a name that is long enough to matter ", i)] = i;
  EXPECT_EQ(RoundTrip(map).size(), JsonText(Pack(map))->size());
  EXPECT_EQ(JsonText({"map<string,bool>", Pack(std::vector<std::pair<std::string, bool>>{{"a", true}, {"a", true}}).bytes, {}})
                .status()
                .message(),
            "a map<string,bool>: has a key twice");
}

TEST(JsonValueTest, ArgumentsAreReadByTheSignature) {
  std::vector<TypedValue> arguments = {{"json", "[1]", {}}, Pack(std::string("kept")), {"json", "null", {}}};
  ASSERT_TRUE(ReadJsonArguments("(vector<int32>,string,optional<P{x:char}>)->void", "json", arguments).ok());
  EXPECT_EQ(Unpack<std::vector<int>>(arguments[0]).value(), std::vector<int>{1});
  EXPECT_EQ(Unpack<std::string>(arguments[1]).value(), "kept");
  arguments = {{"json", "1", {}}, {"json", "x", {}}};
  EXPECT_EQ(ReadJsonArguments("(int32,int32)->void", "json", arguments).message(),
            "argument 2: not JSON: x; a string needs quotes: '\"x\"'");
  EXPECT_EQ(ReadJsonArguments("(int32)->bool", "json", arguments).message(), "expected 1 argument, got 2; it takes (int32)");
  arguments = {{"json", "[1,true]", {}}};
  EXPECT_EQ(ReadJsonArguments("(vector<char>)->void", "json", arguments).message(),
            "argument 1[0]: expected a string of one byte, got 1");
  arguments.clear();
  EXPECT_TRUE(ReadJsonArguments("()->exit code", "json", arguments).ok());
}

}  // namespace
}  // namespace brood
