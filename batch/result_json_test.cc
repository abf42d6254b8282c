#include "batch/result_json.h"

#include <cerrno>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/json.h"
#include "gtest/gtest.h"
#include "launcher/outcome_flatbuffer.h"
#include "launcher/outcome_samples.h"
#include "serialization/field_coverage.h"
#include "serialization/outcome_generated.h"

namespace brood {
namespace {

// The text of a field, as it stands in the line.
std::string Field(const std::string& line, std::string_view name) {
  const JsonValue value = ParseJson(line, {.file = "line"}).value();
  for (const JsonMember& member : value.members) {
    if (member.name != name) continue;
    switch (member.value.kind) {
      case JsonValue::Kind::kNull:
        return "null";
      case JsonValue::Kind::kBool:
        return member.value.boolean ? "true" : "false";
      default:
        return member.value.text;
    }
  }
  return "absent";
}

TEST(ResultJsonTest, HasEveryFieldOfTheContract) {
  JobEnd end;
  end.outcome.ending = Exited{0};
  end.outcome.start = absl::FromUnixMillis(1'000'000'000'123);
  end.outcome.enforced = {{Layer::kSeccomp, "filter"}};
  end.outcome.limits_hit = {Layer::kProcesses};
  end.outcome.kept_groups = {27};
  end.stdout_stream.content = "hi\n";
  end.stdout_stream.bytes = 3;
  const std::string line = ResultLine("a", 2, end);
  EXPECT_EQ(line,
            R"({"v":1,"id":"a","attempt":2,"status":"ok","exit_code":0,"signal":null,"core":false,"violation":null,)"
            R"("limits_hit":["processes"],"setup":null,"start":"2001-09-09T01:46:40.123Z","wall_s":0.0,"cpu_s":0.0,)"
            R"("memory_peak_bytes":0,"max_rss_bytes":0,"stdout":{"text":"hi\n","bytes":3,"truncated":false},)"
            R"("stderr":{"text":"","bytes":0,"truncated":false},"value":null,"enforced":{"seccomp":"filter"},)"
            R"("kept_groups":[27],"notified":[],"refused":[]})");
}

TEST(ResultJsonTest, TheExitCodeIsNullUnlessItExited) {
  JobEnd end;
  end.outcome.ending = Signaled{.signal = SIGSEGV, .core_dumped = true};
  const std::string line = ResultLine("a", 1, end);
  EXPECT_EQ(Field(line, "exit_code"), "null");
  EXPECT_EQ(Field(line, "signal"), "11");
  EXPECT_EQ(Field(line, "core"), "true");
  EXPECT_EQ(Field(line, "status"), "signaled");
}

TEST(ResultJsonTest, ViolationsAndSetupFailuresAreSpelledOut) {
  JobEnd end;
  end.outcome.ending = Violation{.syscall = "mount",
                                 .number = 165,
                                 .args = {~uint64_t{0}, 2},
                                 .arch = "x86_64",
                                 .tid = 9,
                                 .instruction_pointer = 16};
  EXPECT_NE(ResultLine("a", 1, end)
                .find(R"("violation":{"syscall":"mount","nr":165,"args":["0xffffffffffffffff","0x2",)"
                      R"("0x0","0x0","0x0","0x0"],"arch":"x86_64","tid":9,"ip":"0x10"})"),
            std::string::npos);
  std::get<Violation>(end.outcome.ending).decoded = {"\"a\"", "MS_RDONLY"};
  EXPECT_NE(ResultLine("a", 1, end).find(R"("ip":"0x10","decoded":["\"a\"","MS_RDONLY"]})"), std::string::npos) << ResultLine("a", 1, end);
  end.outcome.ending = SetupFailed{.step = "exec", .error_number = ENOENT, .detail = "nothing\xff"};
  EXPECT_NE(ResultLine("a", 1, end)
                .find(absl::StrCat("\"setup\":{\"step\":\"exec\",\"errno\":\"", SystemErrorName(ENOENT),
                                   "\",\"detail\":\"nothing\xef\xbf\xbd\"}")),
            std::string::npos);
}

TEST(ResultJsonTest, AValueStandsInItsFieldWhateverStandsBeforeIt) {
  const std::string trap = R"("value":null,"enforced":)";
  for (const char* value : {"7", "null", R"({"value":null,"enforced":{}})", R"(["\\"])"}) {
    JobEnd end;
    end.outcome.ending = Exited{0};
    end.stdout_stream.content = trap;
    end.value = value;
    const std::string line = ResultLine(trap, 1, end);
    const std::optional<ReadResult> read = ParseResult(line);
    ASSERT_TRUE(read.has_value()) << line;
    EXPECT_EQ(read->id, trap);
    EXPECT_EQ(read->end.stdout_stream.content, trap);
    EXPECT_EQ(read->end.value.value_or("null"), value == std::string(R"({"value":null,"enforced":{}})")
                                                    ? R"({"enforced":{},"value":null})"
                                                    : value);
  }
}

TEST(ResultJsonTest, EveryByteOfAStreamIsReadBackAsItWas) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  for (const std::string& content : {all, all.substr(0, 128), std::string("a\0b\0", 4), std::string("\x1b[31m\"\\\r\n\x7f"), std::string("\xc3\xa9\xf0\x9f\x98\x80")}) {
    JobEnd end;
    end.stdout_stream.content = content;
    end.stderr_stream.content = content;
    const std::string line = ResultLine("a", 1, end);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const std::optional<ReadResult> read = ParseResult(line);
    ASSERT_TRUE(read.has_value()) << line;
    EXPECT_EQ(read->end.stdout_stream.content, content) << line;
    EXPECT_EQ(read->end.stderr_stream.content, content) << line;
  }
}

TEST(ResultJsonTest, StreamsAreTextOnlyIfTheyAreUtf8) {
  const std::pair<std::string, bool> cases[] = {
      {"plain", true},
      {"\xc3\xa9", true},
      {"\xf0\x9f\x98\x80", true},
      {std::string("a\0b", 3), true},
      {"\xff", false},
      {"\xc3", false},
      {"\xc0\x80", false},
      {"\xed\xa0\x80", false},
      {"\xe0\x80\x80", false},
      {"\xf4\x90\x80\x80", false},
  };
  for (const auto& [content, is_text] : cases) {
    JobEnd end;
    end.stdout_stream.content = content;
    const std::string line = ResultLine("a", 1, end);
    EXPECT_EQ(line.find("base64") == std::string::npos, is_text) << line;
  }
}

// Fails when a field is added to the schema of outcomes and results do not have it, or do not give it back.
TEST(ResultJsonTest, ResultsHaveEveryFieldOfTheSchema) {
  std::set<std::string> carried;
  for (const Outcome& outcome : SampleOutcomes()) {
    JobEnd end{.outcome = outcome};
    end.stdout_stream = {.path = {}, .content = "\xff\x01", .bytes = outcome.stdout_result.bytes};
    end.stdout_stream.truncated = outcome.stdout_result.truncated;
    end.stdout_stream.error_number = outcome.stdout_result.error_number;
    end.stderr_stream = {.path = "/out", .content = {}, .bytes = outcome.stderr_result.bytes};
    end.stderr_stream.truncated = outcome.stderr_result.truncated;
    end.stderr_stream.error_number = outcome.stderr_result.error_number;
    const std::optional<ReadResult> read = ParseResult(ResultLine("\xc3\xa9\"\n", 3, end));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->id, "\xc3\xa9\"\n");
    EXPECT_EQ(read->attempt, 3);
    EXPECT_EQ(read->status, outcome.StatusWord());
    EXPECT_EQ(read->end.stdout_stream.content, "\xff\x01");
    EXPECT_EQ(read->end.stderr_stream.path, "/out");
    // The wire form has every field, which a test of its own says.
    const std::string bytes = EncodeOutcome(read->end.outcome);
    EXPECT_EQ(bytes, EncodeOutcome(outcome)) << ResultLine("a", 1, end);
    carried.merge(SetFields(bytes, fbs::OutcomeTypeTable()));
  }
  EXPECT_EQ(carried, FieldsOf(fbs::OutcomeTypeTable()));
}

TEST(ResultJsonTest, ReadersTakeOldNewAndForeignLines) {
  const std::optional<ReadResult> old = ParseResult(R"({"v":1,"id":"a","attempt":1,"status":"failed"})");
  ASSERT_TRUE(old.has_value());
  EXPECT_EQ(old->end.outcome.StatusWord(), "failed");
  const std::optional<ReadResult> newer = ParseResult(
      R"({"v":9,"id":"a","attempt":1,"status":"evicted","stdout":7,"enforced":[],"limits_hit":["luck",1],"wall_s":"x",)"
      R"("start":"x","kept_groups":{},"more":{}})");
  ASSERT_TRUE(newer.has_value());
  EXPECT_EQ(newer->status, "evicted");
  for (const char* line : {"", "{", "[]", "7", "{\"id\":1}", "{\"id\":\"a\",\"status\":\"ok\"}"}) {
    EXPECT_FALSE(ParseResult(line).has_value()) << line;
  }
}

TEST(ResultJsonTest, AnAttemptThatStartsIsNoResult) {
  const std::string line =
      StartedLine({.id = "a\"b", .attempt = 2, .definition = 0xabc, .start = absl::FromUnixMillis(1'000'000'000'123)});
  EXPECT_EQ(line, R"({"v":1,"event":"started","id":"a\"b","attempt":2,"definition":"0000000000000abc",)"
                  R"("start":"2001-09-09T01:46:40.123Z"})");
  EXPECT_FALSE(ParseResult(line).has_value());
  const std::optional<StartedEvent> event = ParseStarted(line);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->id, "a\"b");
  EXPECT_EQ(event->attempt, 2);
  EXPECT_EQ(event->definition, 0xabcu);
  EXPECT_EQ(event->start, absl::FromUnixMillis(1'000'000'000'123));
  EXPECT_FALSE(ParseStarted(ResultLine("a", 1, JobEnd{})).has_value());
}

}  // namespace
}  // namespace brood
