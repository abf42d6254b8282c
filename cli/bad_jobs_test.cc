// Bad job files: one clear error for each, with its place, before anything runs.
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

using std::string_literals::operator""s;

size_t LinesOf(std::string_view text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

// What brood says of a file whose third line is `line`; the first two are good, the first leaves a mark if it runs.
std::string ErrorOf(std::string_view name, std::string_view line) {
  const std::string mark = TempFile("mark", "");
  unlink(mark.c_str());
  const std::string file =
      TempFile(name, absl::StrCat(R"({"id":"first","argv":["touch",")", mark, R"("],"policy":"none"})", "\n\n", line,
                                  "\n", R"({"id":"last","argv":["true"]})", "\n"));
  const Finished batch = RunBrood({"batch", file});
  EXPECT_EQ(batch.exit_code, 2) << name;
  EXPECT_EQ(batch.out, "") << name;
  EXPECT_NE(access(mark.c_str(), F_OK), 0) << name << ": something was run";
  EXPECT_EQ(LinesOf(batch.err), 1u) << name << ": " << batch.err;
  const std::string place = absl::StrCat(file, ":3:");
  EXPECT_EQ(batch.err.substr(0, place.size()), place) << name;
  EXPECT_FALSE(absl::StrContains(batch.err, "json.exception")) << batch.err;
  const bool clean = std::none_of(batch.err.begin(), batch.err.end() - 1,
                                  [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); });
  EXPECT_TRUE(clean) << name;
  return batch.err.substr(std::min(place.size(), batch.err.size()));
}

// A line with one more field.
std::string With(std::string_view field) { return absl::StrCat(R"({"argv":["true"],)", field, "}"); }

TEST(BadJobsTest, WhatIsNotJsonIsToldWithItsColumn) {
  const std::pair<std::string_view, std::string> cases[] = {
      {"cut off", R"({"argv":["true"])"},
      {"garbage", "hello"},
      {"two objects", R"({"argv":["true"]} {"argv":["true"]})"},
      {"unclosed text", R"({"argv":["true})"},
      {"unclosed comment", R"({"argv":["true"]} /* no end)"},
      {"raw NUL", "{\"argv\":[\"a\0b\"]}"s},
      {"NUL alone", "\0"s},
      {"raw control character", "{\"argv\":[\"a\x1b[31m\"]}"},
      {"invalid UTF-8", "{\"argv\":[\"a\xff\"]}"},
      {"overlong UTF-8", "{\"argv\":[\"\xc0\x80\"]}"},
      {"lone surrogate", R"({"argv":["\ud800"]})"},
      {"UTF-16", "\xff\xfe{\0\"\0"s},
      {"number too large for any type", With(R"("retries":1e999)")},
      {"leading zero", With(R"("retries":01)")},
      {"not a number", With(R"("retries":NaN)")},
  };
  for (const auto& [name, line] : cases) {
    const std::string error = ErrorOf(name, line);
    EXPECT_TRUE(absl::StrContains(error, ": not JSON: ")) << name << ": " << error;
    EXPECT_LT(error.size(), 300u) << name;
  }
}

TEST(BadJobsTest, EachWrongFieldIsNamed) {
  const std::pair<std::string, std::string_view> cases[] = {
      {R"({"argv":["true"],"colour":1})", R"( field "colour": unknown)"},
      {R"({"argvv":["true"]})", R"( field "argvv": unknown; did you mean "argv"?)"},
      {R"({"id":"a"})", R"( field "argv": missing; expected a list of strings, the program first)"},
      {"7", " expected an object, got a number"},
      {"[]", " expected an object, got a list"},
      {With(R"("id":"first")"), R"( field "id": "first" is the id of line 1 already)"},
      {With(R"("argv":["x"])"), R"( field "argv": given twice)"},
      {With(R"("id":true)"), R"( field "id": expected a string or a number, got a truth value)"},
      {With(R"("id":"")"), R"( field "id": expected 1 to 1024 bytes without NUL)"},
      {With(R"("id":"a\u0000b")"), R"( field "id": expected 1 to 1024 bytes without NUL)"},
      {R"({"argv":"true"})", R"( field "argv": expected a list of strings, got a string)"},
      {R"({"argv":[]})", R"( field "argv": expected the program as first element)"},
      {R"({"argv":["true",null]})", R"( field "argv[1]": expected a string, got null)"},
      {R"({"argv":["true","a\u0000b"]})", R"( field "argv[1]": expected a string without NUL characters)"},
      {With(R"("env":{"A":"b"})"), R"( field "env": expected a list of strings, got an object)"},
      {With(R"("env":["=b"])"), R"( field "env": expected "NAME=VALUE" or "NAME", got "=b")"},
      {With(R"("cwd":[])"), R"( field "cwd": expected a string, got a list)"},
      {With(R"("stdin":"")"), R"( field "stdin": expected a string that is not empty)"},
      {With(R"("stdout":1)"), R"( field "stdout": expected a string, got a number)"},
      {With(R"("policy":7)"), R"( field "policy": expected a string, got a number)"},
      {With(R"("net":"moon")"), R"( field "net": network "moon")"},
      {With(R"("ro":["/a","/a"])"), R"( field "ro": two rules for /a)"},
      {With(R"("tmpfs":["a"])"), R"( field "tmpfs": expected DEST[:SIZE] with an absolute path, got "a")"},
      {With(R"("tmpfs":["/a:0"])"), R"( field "tmpfs": a size of 0, in which nothing fits, in "/a:0"; without a size it is 64M)"},
      {With(R"("retries":-1)"), R"( field "retries": expected a whole number from 0, got -1)"},
      {With(R"("retries":1.5)"), R"( field "retries": expected a whole number from 0, got 1.5)"},
      {With(R"("retries":1001)"), R"( field "retries": expected 0 to 1000)"},
      {With(R"("retries":4294967297)"), R"( field "retries": expected 0 to 1000)"},
      {With(R"("retries":99999999999999999999)"), R"( field "retries": expected a whole number from 0)"},
      {With(R"("limits":[])"), R"( field "limits": expected an object, got a list)"},
      {With(R"("limits":{"memori":"1M"})"), R"( field "limits.memori": unknown; did you mean "memory"?)"},
      {With(R"("limits":{"memory":"-1"})"), R"( field "limits.memory": size "-1")"},
      {With(R"("limits":{"memory":-1})"), R"( field "limits.memory": size "-1")"},
      {With(R"("limits":{"memory":"99999999999G"})"), R"( field "limits.memory": size "99999999999G")"},
      {With(R"("limits":{"memory":true})"), R"( field "limits.memory": expected a string or a number)"},
      {With(R"("limits":{"wall_time":"-5s"})"), R"( field "limits.wall_time": time "-5s")"},
      {With(R"("limits":{"wall_time":"0"})"), R"( field "limits.wall_time": time "0")"},
      {With(R"("limits":{"processes":18446744073709551616})"), R"( field "limits.processes": expected a whole number)"},
      {With(R"("limits":{"memory":0})"), R"( field "limits.memory": must be more than zero)"},
      {With(R"("limits":{"processes":0})"), R"( field "limits.processes": must be more than zero)"},
      {With(R"("limits":{"open_files":0})"), R"( field "limits.open_files": must be more than zero)"},
      {With(R"("limits":{"open_files":"many"})"), R"( field "limits.open_files": expected a whole number)"},
      {With(R"("args":[1])"), R"( field "args": goes with "target" only)"},
      // A name that would drive the terminal, or forge a line of its own.
      {With(R"("\u001b[2J\njobs:9: x":1)"), R"( field "\x1b[2J\x0ajobs:9: x": unknown)"},
  };
  for (const auto& [line, expected] : cases) {
    const std::string error = ErrorOf("field", line);
    EXPECT_EQ(error.substr(0, expected.size()), expected) << line;
  }
}

TEST(BadJobsTest, LinesAreBoundedInLengthAndDepth) {
  const std::string huge = absl::StrCat(R"({"argv":["true",")", std::string(size_t{1} << 20, 'x'), R"("]})");
  EXPECT_EQ(ErrorOf("huge", huge), absl::StrCat(" line of ", huge.size(), " bytes; at most 1048576\n"));
  const std::string deep = With(absl::StrCat("\"env\":", std::string(100'000, '[')));
  EXPECT_EQ(ErrorOf("deep", deep), " nested deeper than 64 levels\n");
  // The longest that is allowed.
  const size_t rest = huge.size() - (size_t{1} << 20);
  const std::string longest =
      absl::StrCat(R"({"argv":["true",")", std::string((size_t{1} << 20) - rest, 'x'), R"("]})");
  ASSERT_EQ(longest.size(), size_t{1} << 20);
  EXPECT_TRUE(absl::StrContains(RunBrood({"batch", "-"}, longest).out, R"("step":"exec","errno":"E2BIG")"));
}

TEST(BadJobsTest, APolicyThatCannotBeUsedIsToldOfItsJob) {
  const std::string unknown_call =
      TempFile("unknown_call.json",
               "{ \"extends\": \"strict\",\n  \"syscalls\": [{\"names\": [\"opnat\"], \"action\": \"allow\"}] }");
  const std::string misspelt = TempFile("misspelt.json", "{\"extends\": \"strict\", \"syscals\": []}");
  const std::pair<std::string, std::string> cases[] = {
      {unknown_call, absl::StrCat(unknown_call, ":2: field \"syscalls[0]\": ")},
      {misspelt, absl::StrCat(misspelt, ":1: field \"syscals\": unknown; did you mean \"syscalls\"?")},
      {"/nowhere/policy.json", "open /nowhere/policy.json: ENOENT"},
      {"strickt", "policy \"strickt\": no such built-in"},
  };
  for (const auto& [policy, problem] : cases) {
    const std::string error = ErrorOf("policy", With(absl::StrCat(R"("policy":")", policy, "\"")));
    const std::string expected = absl::StrCat(" field \"policy\": ", problem);
    EXPECT_EQ(error.substr(0, expected.size()), expected);
  }
  EXPECT_TRUE(absl::StrContains(ErrorOf("none", With(R"("policy":"none","ro":["/usr"])")), "have no effect"));
}

TEST(BadJobsTest, EveryBadLineIsToldAtOnce) {
  const std::string file = TempFile("many.jobs", "x\n{\"argv\":[\"true\"]}\n{}\n{\"argv\":[\"true\"],\"id\":\"2\"}\n");
  const Finished batch = RunBrood({"batch", file});
  EXPECT_EQ(batch.exit_code, 2);
  const std::vector<std::string> lines = absl::StrSplit(batch.err, '\n');
  ASSERT_EQ(lines.size(), 4u) << batch.err;
  EXPECT_TRUE(absl::StartsWith(lines[0], file + ":1:1: not JSON"));
  EXPECT_TRUE(absl::StartsWith(lines[1], file + ":3: field \"argv\""));
  EXPECT_TRUE(absl::StartsWith(lines[2], file + ":4: field \"id\""));
}

TEST(BadJobsTest, FilesAsEditorsAndOtherSystemsWriteThemAreRead) {
  const std::string good = R"({"argv":["true"]})";
  const std::pair<std::string_view, std::string> cases[] = {
      {"plain", good + "\n" + good + "\n"},
      {"no last line feed", good + "\n" + good},
      {"CRLF", good + "\r\n\r\n" + good + "\r\n"},
      {"byte order mark", "\xef\xbb\xbf" + good + "\n" + good + "\n"},
      {"byte order mark before a comment", "\xef\xbb\xbf# jobs\n" + good + "\n" + good + "\n"},
      {"empty lines and comments", "\n\n# a\n   \n\t" + good + "  \n" + good + " // why\n\n"},
  };
  for (const auto& [name, content] : cases) {
    const Finished batch = RunBrood({"batch", TempFile("good.jobs", content)});
    EXPECT_EQ(batch.exit_code, 0) << name << ": " << batch.err;
    EXPECT_EQ(LinesOf(batch.out), 2u) << name;
  }
}

TEST(BadJobsTest, AProgramThatIsMissingIsItsOwnJobsFailureOnly) {
  const Finished batch = RunBrood({"batch", "-j", "1", "-"},
                                  "{\"id\":\"a\",\"argv\":[\"true\"]}\n{\"id\":\"b\",\"argv\":[\"/no/such/program\"]}\n"
                                  "{\"id\":\"c\",\"argv\":[\"/usr\"]}\n{\"id\":\"d\",\"argv\":[\"true\"]}\n");
  EXPECT_EQ(batch.exit_code, 1);
  EXPECT_EQ(LinesOf(batch.out), 4u);
  EXPECT_TRUE(absl::StrContains(batch.err, ": 2 ok, 2 setup_failed")) << batch.err;
}

TEST(BadJobsTest, AJobFileThatCannotBeReadIsUsage) {
  for (const char* path : {"/nowhere/jobs.jsonl", "/usr"}) {
    const Finished batch = RunBrood({"batch", path});
    EXPECT_EQ(batch.exit_code, 2) << path;
    EXPECT_EQ(LinesOf(batch.err), 1u) << batch.err;
    EXPECT_TRUE(absl::StrContains(batch.err, path)) << batch.err;
  }
}

}  // namespace
}  // namespace brood
