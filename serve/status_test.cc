#include "serve/status.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "batch/json.h"
#include "gtest/gtest.h"
#include "launcher/launch_record.h"
#include "sandbox/policy.h"
#include "serialization/field_coverage.h"
#include "serialization/serve_status_generated.h"
#include "serve/serve_testing.h"

namespace brood {
namespace {

// Every field has a value of its own.
ServeStatus Sample() {
  ServeStatus status;
  status.version = "1.2.3 (commit abc, opt)";
  status.uptime = absl::Milliseconds(12345);
  status.connections = 7;
  status.waiting = 2;
  status.live = 5;
  status.born = 107;
  status.refused = 3;
  status.ended = {{"ok", 90}, {"timeout", 12}};
  for (int i = 0; i < 99; ++i) status.start.Add(absl::Microseconds(700));
  status.start.Add(absl::Seconds(3));
  status.run.Add(absl::Hours(1));
  status.serve_bytes = 8 << 20;
  status.forkserver_bytes = 20 << 20;
  status.servers = 1;
  status.keepers = 4;
  status.templates = {{.path = "", .running = true, .children = 100, .time = absl::Milliseconds(1500), .memory_bytes = 5 << 20, .preload = {{"./m.so", absl::Milliseconds(1200), 5 << 20}}},
                      {.path = "a/b", .running = false, .children = 7, .time = absl::ZeroDuration(), .memory_bytes = 0, .preload = {{.name = "\"x"}, {.name = "y"}}}};
  status.rotations = 6;
  status.rotation_failures = 2;
  status.rotation_failure = "preload \"x\"\nran";
  status.replaced = 3;
  return status;
}

// A reader of the exposition format: each sample by its name and labels, as it stands. Fails on what is none.
std::map<std::string, double> ReadPrometheus(const std::string& text) {
  std::map<std::string, double> samples;
  std::map<std::string, std::string> types;
  EXPECT_TRUE(absl::EndsWith(text, "\n"));
  for (const std::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (line[0] == '#') {
      EXPECT_GE(words.size(), 4u) << line;
      if (words[1] == "TYPE") types[words[2]] = words[3];
      continue;
    }
    const size_t split = line.rfind(' ');
    const std::string key(line.substr(0, split));
    double value = 0;
    EXPECT_TRUE(absl::SimpleAtod(line.substr(split + 1), &value)) << line;
    EXPECT_TRUE(samples.emplace(key, value).second) << "twice: " << key;
    std::string name = key.substr(0, key.find('{'));
    for (const char* suffix : {"_bucket", "_sum", "_count"}) {
      const std::string base = name.substr(0, name.size() - std::string(suffix).size());
      if (absl::EndsWith(name, suffix) && types[base] == "histogram") name = base;
    }
    EXPECT_NE(types[name], "") << "no TYPE before " << line;
    EXPECT_EQ(types[name] == "counter", absl::EndsWith(name, "_total")) << name;
  }
  return samples;
}

const JsonValue& Field(const JsonValue& value, const std::string& name) {
  for (const JsonMember& member : value.members) {
    if (member.name == name) return member.value;
  }
  static const auto* const none = new JsonValue;
  ADD_FAILURE() << "no field " << name;
  return *none;
}

TEST(StatusTest, RoundTripsEveryField) {
  const std::string bytes = EncodeServeStatus(Sample());
  EXPECT_EQ(SetFields(bytes, fbs::ServeStatusTypeTable()), FieldsOf(fbs::ServeStatusTypeTable()));
  const absl::StatusOr<ServeStatus> read = DecodeServeStatus(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, Sample());
  for (size_t size = 0; size + 8 < bytes.size(); ++size) EXPECT_FALSE(DecodeServeStatus(bytes.substr(0, size)).ok()) << size;
}

TEST(StatusTest, TheTextTellsAllOnAFewLines) {
  EXPECT_EQ(StatusText(Sample()),
            "children     5 live, 107 born, 3 connections refused\n"
            "ended        ok 90, timeout 12\n"
            "start        half within 1ms, 90% within 1ms, 99% within 1ms\n"
            "run          half longer than 600s, 90% longer than 600s, 99% longer than 600s\n"
            "connections  7, of which 2 have asked for nothing yet\n"
            "forkserver   1 preloaded, 4 keepers\n"
            "memory       8.0 MiB server, 20.0 MiB forkserver\n"
            "template     (server): 100 born, ready in 1.5s, 5.0 MiB preloaded: ./m.so 1.2s 5.0 MiB\n"
            "template     a/b: not running; the next child starts it: \"x, y\n"
            "rotations    6, 3 replaced with children yet, 2 failed, the last one: preload \\\"x\\\"\\nran\n"
            "up           12s, 1.2.3 (commit abc, opt)\n");
  EXPECT_FALSE(absl::StrContains(StatusText(ServeStatus()), "rotations"));
  EXPECT_TRUE(absl::StrContains(StatusText(ServeStatus()), "ended        none yet\nstart        none yet\n"));
}

TEST(StatusTest, TheJsonIsOneLineOfJsonWithTheSameNumbers) {
  const std::string text = StatusJson(Sample());
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const absl::StatusOr<JsonValue> json = ParseJson(text, {.file = "status"});
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(Field(*json, "v").text, "1");
  EXPECT_EQ(Field(*json, "version").text, "1.2.3 (commit abc, opt)");
  EXPECT_EQ(Field(*json, "uptime_s").text, "12.345");
  EXPECT_EQ(Field(*json, "born").text, "107");
  EXPECT_EQ(Field(Field(*json, "ended"), "timeout").text, "12");
  const JsonValue& templates = Field(*json, "templates");
  ASSERT_EQ(templates.items.size(), 2u);
  EXPECT_EQ(Field(templates.items[0], "children").text, "100");
  EXPECT_EQ(Field(templates.items[0], "start_s").text, "1.500000");
  const JsonValue& preload = Field(templates.items[0], "preloads").items.at(0);
  EXPECT_EQ(Field(preload, "name").text, "./m.so");
  EXPECT_EQ(Field(preload, "time_s").text, "1.200000");
  EXPECT_EQ(Field(preload, "memory_bytes").text, "5242880");
  EXPECT_EQ(Field(templates.items[1], "path").text, "a/b");
  EXPECT_EQ(Field(templates.items[1], "preload").items.at(0).text, "\"x");
  EXPECT_EQ(Field(*json, "rotations").text, "6");
  EXPECT_EQ(Field(*json, "rotation_failures").text, "2");
  EXPECT_EQ(Field(*json, "rotation_failure").text, "preload \"x\"\nran");
  EXPECT_EQ(Field(*json, "replaced").text, "3");
  EXPECT_TRUE(absl::StrContains(StatusJson(ServeStatus()), "\"rotation_failure\":null"));
  const JsonValue& start = Field(*json, "start");
  EXPECT_EQ(Field(start, "count").text, "100");
  ASSERT_EQ(Field(start, "buckets").items.size(), Histogram::kBoundsInSeconds.size() + 1);
  EXPECT_EQ(Field(Field(start, "buckets").items[1], "le").text, "0.001");
  EXPECT_EQ(Field(Field(start, "buckets").items[1], "count").text, "99");
  EXPECT_EQ(Field(Field(Field(*json, "run"), "buckets").items.back(), "count").text, "1");
}

TEST(StatusTest, TheExpositionIsWhatAPrometheusReads) {
  const std::map<std::string, double> samples = ReadPrometheus(StatusPrometheus(Sample()));
  const auto sample = [&](const std::string& key) {
    const auto found = samples.find(key);
    return found != samples.end() ? found->second : -1;
  };
  EXPECT_EQ(sample("brood_serve_info{version=\"1.2.3 (commit abc, opt)\"}"), 1);
  EXPECT_EQ(sample("brood_serve_children_live"), 5);
  EXPECT_EQ(sample("brood_serve_children_born_total"), 107);
  EXPECT_EQ(sample("brood_serve_children_ended_total{status=\"ok\"}"), 90);
  EXPECT_EQ(sample("brood_serve_refused_total"), 3);
  EXPECT_EQ(sample("brood_serve_forkserver_keepers"), 4);
  EXPECT_EQ(sample("brood_serve_template_children_total{path=\"a/b\"}"), 7);
  EXPECT_EQ(sample("brood_serve_rotations_total"), 6);
  EXPECT_EQ(sample("brood_serve_rotation_failures_total"), 2);
  EXPECT_EQ(sample("brood_serve_forkservers_replaced"), 3);
  EXPECT_EQ(sample("brood_serve_template_running{path=\"\"}"), 1);
  EXPECT_EQ(sample("brood_serve_preload_seconds{path=\"\",preload=\"./m.so\",place=\"0\"}"), 1.2);
  EXPECT_EQ(sample("brood_serve_preload_bytes{path=\"\",preload=\"./m.so\",place=\"0\"}"), 5 << 20);
  EXPECT_EQ(sample("brood_serve_resident_bytes"), 8 << 20);
  EXPECT_EQ(sample("brood_serve_start_seconds_bucket{le=\"0.0005\"}"), 0);
  EXPECT_EQ(sample("brood_serve_start_seconds_bucket{le=\"0.001\"}"), 99);
  EXPECT_EQ(sample("brood_serve_start_seconds_bucket{le=\"5\"}"), 100);  // Cumulative.
  EXPECT_EQ(sample("brood_serve_start_seconds_bucket{le=\"+Inf\"}"), 100);
  EXPECT_EQ(sample("brood_serve_start_seconds_count"), 100);
  EXPECT_NEAR(sample("brood_serve_start_seconds_sum"), 3.0693, 1e-9);
  EXPECT_EQ(sample("brood_serve_run_seconds_bucket{le=\"600\"}"), 0);
  EXPECT_EQ(sample("brood_serve_run_seconds_bucket{le=\"+Inf\"}"), 1);
}

TEST(StatusTest, AServerTellsWhatItHasDone) {
  ServeOptions options;
  options.policy = BuiltinPolicy("default").value();
  ServerProcess server(options);
  const absl::StatusOr<ServeStatus> before = StatusOfServer(server.path());
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->born, 0u);
  EXPECT_EQ(before->live, 0u);
  EXPECT_EQ(before->servers, 1u);
  EXPECT_GT(before->serve_bytes, 1u << 20);
  EXPECT_GT(before->forkserver_bytes, 1u << 20);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Serves(server.path()));  // Each exits with 3.
  const RawClient silent(server.path());
  const RawClient garbage(server.path());
  ASSERT_EQ(send(garbage.get(), "x", 1, 0), 1);
  EXPECT_FALSE(garbage.Refusal().ok());
  auto [reader, writer] = Pipe();
  GoodLaunch good("echo started; exec sleep 1000");
  good.launch.streams[1].fd = writer.get();
  const RawClient client(server.path());
  ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
  char text[8];
  ASSERT_EQ(read(reader.get(), text, 8), 8);
  // That it runs is told on its control socket, after which the server has counted it.
  GuardianReport report;
  do {
    ASSERT_EQ(recv(good.control(), &report, sizeof(report), 0), static_cast<ssize_t>(sizeof(report)));
  } while (report.kind != ReportKind::kStarted);
  const absl::StatusOr<ServeStatus> during = StatusOfServer(server.path());
  ASSERT_TRUE(during.ok()) << during.status();
  EXPECT_EQ(during->born, 4u);
  EXPECT_EQ(during->live, 1u);
  EXPECT_EQ(during->refused, 1u);
  EXPECT_EQ(during->ended, (std::map<std::string, uint64_t>{{"failed", 3}}));
  EXPECT_EQ(during->start.count(), 4u);
  EXPECT_EQ(during->run.count(), 3u);
  EXPECT_GE(during->waiting, 1u);
  EXPECT_GE(during->connections, 2u);
  good.Close();
  EXPECT_EQ(client.End().exit_code(), -SIGKILL);
  const absl::StatusOr<ServeStatus> after = StatusOfServer(server.path());
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->live, 0u);
  EXPECT_EQ(after->ended, (std::map<std::string, uint64_t>{{"failed", 3}, {"signaled", 1}}));
}

}  // namespace
}  // namespace brood
