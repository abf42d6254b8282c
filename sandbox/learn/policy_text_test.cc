#include "sandbox/learn/policy_text.h"

#include <string>

#include "gtest/gtest.h"

namespace brood {
namespace {

std::string FieldText(const std::string& text, const std::vector<std::string_view>& path) {
  const auto range = FindField(text, path);
  return range.has_value() ? text.substr(range->begin, range->end - range->begin) : "none";
}

TEST(PolicyTextTest, FindsFieldsBehindCommentsStringsAndOtherFields) {
  const std::string text = R"(// "files": [1]
{ /* { */ "a": "\"}{", "b": {"files": [1, 2]}, // ]
  "files": [ "x" ], "network": {"mode": "allow", "to": ["h:1"]} })";
  EXPECT_EQ(FieldText(text, {"files"}), R"([ "x" ])");
  EXPECT_EQ(FieldText(text, {"b", "files"}), "[1, 2]");
  EXPECT_EQ(FieldText(text, {"network", "to"}), R"(["h:1"])");
  EXPECT_EQ(FieldText(text, {"c"}), "none");
  EXPECT_EQ(FieldText(text, {"a", "files"}), "none");
}

TEST(PolicyTextTest, AddsLinesWithCommasWhereTheyBelong) {
  EXPECT_EQ(AddToList("{\n  \"files\": [\n  ]\n}\n", {"files"}, {{"1", "one"}, {"2", ""}}),
            "{\n  \"files\": [\n    1,  // one\n    2\n  ]\n}\n");
  EXPECT_EQ(AddToList("{\n  \"files\": [\n    1  // one, ]\n  ]\n}\n", {"files"}, {{"2", "two"}}),
            "{\n  \"files\": [\n    1,  // one, ]\n    2  // two\n  ]\n}\n");
  EXPECT_EQ(AddToList(R"({"files": [1]})", {"files"}, {{"2", ""}}), "{\"files\": [1,\n    2\n  ]}");
  EXPECT_EQ(AddToList(R"({"extends": "strict"})", {"files"}, {{"2", ""}}),
            "{\n  \"files\": [\n    2\n  ],\"extends\": \"strict\"}");
  EXPECT_EQ(AddToList(R"({"files": null, "a": 1})", {"files"}, {{"2", ""}}), "{\"files\": [\n    2\n  ], \"a\": 1}");
}

TEST(PolicyTextTest, ReplacesAValueWithItsComment) {
  const std::string text = "{\n  \"a\": 1,  // one\n  \"b\": [1, 2]\n}";
  EXPECT_EQ(SetField(text, "a", {"2", "two"}), "{\n  \"a\": 2,  // two\n  \"b\": [1, 2]\n}");
  EXPECT_EQ(Replace(text, ListElements(text, {"b"})[0], {"3", "three"}), "{\n  \"a\": 1,  // one\n  \"b\": [3, 2]\n}");
}

}  // namespace
}  // namespace brood
