#include "batch/policy_json.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "sandbox/errno_words.h"
#include "sandbox/policy_flatbuffer.h"
#include "serialization/field_coverage.h"

// A field of the schema is called `errno`; the C library has a macro of that name.
#undef errno
#include "serialization/policy_generated.h"

namespace brood {
namespace {

std::string ErrorOf(std::string_view text) { return std::string(ParsePolicy(text, "p").status().message()); }

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

TEST(PolicyJsonTest, AMemoryInWhichNothingFitsIsAnErrorAndNotTheUsualOne) {
  EXPECT_TRUE(Contains(ErrorOf(R"({"extends":"strict","files":[{"tmpfs":"/x","size":"0"}]})"), "\"size\" 0: nothing would fit"));
}

TEST(PolicyJsonTest, ReadsTheShapeThatTheDesignShows) {
  const absl::StatusOr<Policy> policy = ParsePolicy(R"({ "extends": "strict",  // A comment.
    "files":    [{"path": "/data/in"}, {"path": "/data/out", "access": "rw"}, {"tmpfs": "/tmp", "size": "256M"}],
    "network":  {"mode": "allow", "to": ["10.0.0.5:443"]},
    "syscalls": [{"names": ["@timers", "sysinfo"], "action": "allow"},
                 {"names": ["ioctl"], "args": [{"index": 1, "op": "==", "value": "0x5401"}], "action": "allow"},
                 {"names": ["socket"], "action": "errno", "errno": "EACCES"}],
    "limits":   {"memory": "1G", "processes": 32, "wall_time": 20},
    "allow_weaker": ["landlock"] })",
                                                    "p");
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->name, "p");
  EXPECT_EQ(policy->limits.memory_bytes, uint64_t{1} << 30);
  EXPECT_EQ(policy->limits.wall_time, absl::Seconds(20));
  EXPECT_EQ(policy->network.mode, NetworkMode::kAllow);
  EXPECT_TRUE(policy->allow_weaker.contains(Layer::kLandlock));
  // The built-in's own limits stay what they were: of the strongest form that there is, not required.
  EXPECT_EQ(policy->default_limits.memory_bytes, uint64_t{512} << 20);
  int tmpfs = 0;
  for (const FileRule& rule : policy->files) {
    if (rule.destination != "/tmp") continue;
    EXPECT_EQ(rule.size_bytes, uint64_t{256} << 20);
    ++tmpfs;
  }
  EXPECT_EQ(tmpfs, 1);
}

TEST(PolicyJsonTest, BuiltinTextsMeanTheBuiltinPolicies) {
  for (const std::string_view name : BuiltinPolicyNames()) {
    std::string text(BuiltinPolicyText(name).value());
    // They extend nothing without saying so.
    if (!Contains(text, "\"extends\"")) text.replace(text.find('{'), 1, "{\"extends\": null,");
    const absl::StatusOr<Policy> policy = ParsePolicy(text, "p");
    ASSERT_TRUE(policy.ok()) << policy.status();
    EXPECT_EQ(EncodePolicy(*policy), EncodePolicy(BuiltinPolicy(name).value())) << name;
  }
}

TEST(PolicyJsonTest, AFileMustSayWhatItExtends) {
  EXPECT_TRUE(Contains(ErrorOf("{}"), "p:1: field \"extends\": missing; expected one of strict, default"));
  EXPECT_TRUE(Contains(ErrorOf("{\"extends\":\n\"stric\"}"), "null for no sandbox, got \"stric\""));
  EXPECT_TRUE(ParsePolicy("{\"extends\": null}", "p").ok());
}

TEST(PolicyJsonTest, ErrorsNameLineAndField) {
  EXPECT_TRUE(Contains(ErrorOf("{\"extends\":\"strict\",\n\"limits\":{\n\"memroy\": 1}}"),
                       "p:3: field \"limits.memroy\": unknown; did you mean \"memory\"?"));
  EXPECT_TRUE(
      Contains(ErrorOf("{\"extends\":\"strict\",\n\"limits\":{\"memory\": \"lots\"}}"), "p:2: field \"limits\""));
  EXPECT_TRUE(Contains(ErrorOf("{\"extends\":\"strict\",\n\"files\":[{\"path\":\"/a\"},\n{\"path\":\"b\"}]}"),
                       "p:3: field \"files[1]\""));
  EXPECT_TRUE(Contains(ErrorOf("{\"extends\":\"strict\",\n\"unlisted\":\"perhaps\"}"), "p:2: field \"unlisted\""));
}

TEST(PolicyJsonTest, TwoRulesForOneThingInAFileAreAnErrorAtTheSecond) {
  EXPECT_TRUE(Contains(ErrorOf("{\"extends\":\"strict\",\"files\":[{\"path\":\"/a\"},\n{\"path\":\"/a\"}]}"),
                       "p:2: field \"files[1]\""));
  EXPECT_TRUE(Contains(ErrorOf("{\"extends\":\"strict\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"allow\"},\n"
                               "{\"names\":[\"read\"],\"action\":\"kill\"}]}"),
                       "p:2: field \"syscalls[1]\""));
}

TEST(PolicyJsonTest, OfTwoMistakesTheOneThatIsNamedHasItsOwnLine) {
  const std::string text = "{\"extends\": \"strict\",\n\"allow_weaker\": [\"foo\"],\n\"unlisted_errno\": \"EPERM\",\n\"namespaces\": [\"user\", \"bar\"],\n\"unlisted\": \"errno\"}";
  EXPECT_EQ(ParsePolicy(text, "p.json").status().message(),
            "p.json:4: field \"namespaces[1]\": unknown layer \"bar\"; there are user, pid, mount, net, ipc, uts, cgroup, time");
}

TEST(PolicyJsonTest, UnknownSystemCallsNameTheirLine) {
  EXPECT_EQ(ErrorOf("{\"extends\":\"strict\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"allow\"},\n"
                    "{\"names\":[\"raed\"],\"action\":\"kill\"}]}"),
            "p:2: field \"syscalls[1]\": unknown system call raed");
}

// A policy may have been written by a program. To try each rule in turn would take hours.
TEST(PolicyJsonTest, OneMistakeAmongThousandsOfRulesIsFoundAtOnce) {
  std::string text = "{\"extends\":\"strict\",\"syscalls\":[";
  for (int i = 0; i < 20'000; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ",\n", R"({"names":[")", i == 12'345 ? "raed" : "ioctl", R"("],"args":[{"index":1,"op":"==","value":")", i, R"("}],"action":"kill"})");
  }
  EXPECT_EQ(ErrorOf(text + "]}"), "p:12346: field \"syscalls[12345]\": unknown system call raed");
}

TEST(PolicyJsonTest, TwoRulesWithTheSameComparisonsAreAnErrorAtTheSecond) {
  const auto rules = [](std::string_view second) {
    return absl::StrCat(R"({"extends":"strict","syscalls":[
      {"names":["ioctl","fcntl"],"args":[{"index":1,"op":"==","value":1},{"index":2,"op":"==","value":2}],"action":"allow"},
      {"names":["fcntl"],"args":[)",
                        second, R"(],"action":"kill"}]})");
  };
  EXPECT_EQ(ErrorOf(rules(R"({"index":2,"op":"==","value":"0x2"},{"index":1,"op":"==","value":1})")),
            "p:3: field \"syscalls[1]\": two rules for fcntl with the same comparisons");
  EXPECT_EQ(ErrorOf(rules(R"({"index":1,"op":"==","value":1})")), "");
  EXPECT_EQ(ErrorOf(rules(R"({"index":2,"op":"==","value":2,"width":32},{"index":1,"op":"==","value":1})")), "");
}

TEST(PolicyJsonTest, AnErrnoIsANameOrANumberOrZero) {
  const auto value = [](std::string_view word) {
    const absl::StatusOr<Policy> policy =
        ParsePolicy(absl::StrCat(R"({"extends":"strict","syscalls":[{"names":["read"],"action":"errno","errno":)", word, "}]}"), "p");
    return policy.ok() ? absl::StrCat(policy->syscalls.back().errno_value) : std::string(policy.status().message());
  };
  EXPECT_EQ(value("\"EACCES\""), "13");
  EXPECT_EQ(value("13"), "13");
  EXPECT_EQ(value("\"4095\""), "4095");
  EXPECT_EQ(value("0"), absl::StrCat(kSeemsToSucceed));
  for (const char* bad : {"4096", "-1", "1.5", "\"013x\"", "\"\"", "\"eacces\""}) {
    EXPECT_TRUE(Contains(value(bad), "p:1: field \"syscalls[0]\": errno: unknown errno")) << value(bad);
  }
}

TEST(PolicyJsonTest, TwoGroupsThatShareACallMustSayTheSameOfIt) {
  const auto rules = [](std::string_view second) {
    return absl::StrCat(R"({"extends":"strict","syscalls":[{"names":["@sockets"],"action":"errno","errno":"EIO"},
      {"names":["@network"],)", second, "}]}");
  };
  EXPECT_EQ(ErrorOf(rules(R"("action":"allow")")),
            "p:2: field \"syscalls[1]\": two rules for connect, which is in @sockets and in @network");
  EXPECT_EQ(ErrorOf(rules(R"("action":"errno","errno":"EIO")")), "");
  EXPECT_EQ(ErrorOf(rules(R"("action":"allow","args":[{"index":0,"op":"==","value":1}])")), "");
}

TEST(PolicyJsonTest, AComparisonThatNoNumberMeetsIsAnError) {
  const auto rule = [](std::string_view comparison) {
    return absl::StrCat("{\"extends\":\"strict\",\"syscalls\":[\n{\"names\":[\"ioctl\"],\"args\":[{\"index\":1,", comparison, "}],\"action\":\"allow\"}]}");
  };
  EXPECT_EQ(ErrorOf(rule(R"("op":"<","value":0)")),
            "p:2: field \"syscalls[0]\": the comparison of argument 1 can never hold: no number of 64 bits is below 0");
  EXPECT_TRUE(Contains(ErrorOf(rule(R"("op":">","value":"0xffffffffffffffff")")), "no number of 64 bits is above that"));
  EXPECT_TRUE(Contains(ErrorOf(rule(R"("op":">","value":-1,"width":32)")), "no number of 32 bits is above that"));
  EXPECT_EQ(ErrorOf(rule(R"("op":">","value":"0xffffffff")")), "");
  EXPECT_EQ(ErrorOf(rule(R"("op":">=","value":"0xffffffff","width":32)")), "");
}

TEST(PolicyJsonTest, AnElementOfAListInAFieldIsNamed) {
  EXPECT_TRUE(Contains(ErrorOf("{\"extends\":\"default\",\n\"network\":{\"mode\":\"allow\",\n\"to\":[\"10.0.0.1:1\",\n\"10.0.0.1/33:1\"]}}"),
                       "p:4: field \"network.to[1]\": network destination \"10.0.0.1/33:1\": "));
}

TEST(PolicyJsonTest, WhatOnlyACheckFindsIsPlacedInTheFile) {
  const std::string path = absl::StrCat(getenv("TEST_TMPDIR"), "/placed.json");
  std::ofstream(path) << "{\"extends\": \"strict\",\n\"files\": [{\"path\": \"/usr\"},\n{\"path\": \"/missing\"},\n{\"path\": \"/also\"}]}";
  const absl::Status error = absl::NotFoundError("files: path /missing: ENOENT");
  const auto check = [&](const Policy& policy) {
    for (const FileRule& rule : policy.files) {
      if (rule.source == "/missing") return error;
    }
    return absl::OkStatus();
  };
  EXPECT_EQ(PlaceInFile(path, error, check).message(), absl::StrCat(path, ":3: field \"files[1]\": path /missing: ENOENT"));
  const absl::Status other = absl::InternalError("no such thing");
  EXPECT_EQ(PlaceInFile(path, other, check).message(), absl::StrCat(path, ": no such thing"));
}

TEST(PolicyJsonTest, AHostnameIsOneThatTheKernelTakes) {
  EXPECT_EQ(ErrorOf("{\"extends\":\"strict\",\n\"hostname\":\"\"}"),
            "p:2: field \"hostname\": expected 1 to 64 bytes, none of them zero, got \"\"");
  EXPECT_TRUE(Contains(ErrorOf(absl::StrCat("{\"extends\":\"strict\",\"hostname\":\"", std::string(65, 'h'), "\"}")),
                       "expected 1 to 64 bytes"));
  EXPECT_TRUE(Contains(ErrorOf("{\"extends\":\"strict\",\"hostname\":\"a\\u0000b\"}"), "field \"hostname\": "));
  EXPECT_EQ(ParsePolicy(absl::StrCat("{\"extends\":\"strict\",\"hostname\":\"", std::string(64, 'h'), "\"}"), "p")->hostname,
            std::string(64, 'h'));
}

TEST(PolicyJsonTest, AnArgumentRuleNeedsItsIndex) {
  EXPECT_TRUE(Contains(ErrorOf("{\"extends\":\"strict\",\"syscalls\":[{\"names\":[\"ioctl\"],\"action\":\"allow\","
                               "\"args\":[{\"op\":\"==\",\"value\":1}]}]}"),
                       "index is 0 to 5"));
}

TEST(PolicyJsonTest, LoadPolicyKnowsNamesAndSuggestsThem) {
  EXPECT_EQ(LoadPolicy("networked").value().name, "networked");
  EXPECT_TRUE(Contains(LoadPolicy("strikt").status().message(), "did you mean \"strict\"?"));
  EXPECT_EQ(LoadPolicy("/nowhere/p.json").status().code(), absl::StatusCode::kNotFound);
}

// Fails when a field is added to the schema and policy files do not know of it.
TEST(PolicyJsonTest, PolicyFilesHaveTheFieldsOfTheSchema) {
  for (const std::string& field : FieldsOf(fbs::PolicyTypeTable())) {
    if (field == "syscalls.layer") continue;  // Of the wire form only.
    const std::vector<std::string> path = absl::StrSplit(field, '.');
    std::string value = "[[]]";  // Of no field's type.
    for (size_t i = path.size(); i > 0; --i) {
      const std::string& name = path[i - 1];
      const bool list = name == "files" || name == "syscalls" || name == "args";
      const bool leaf = i == path.size();
      value = absl::StrCat("{\"", name, "\":", list && !leaf ? "[" : "", value, list && !leaf ? "]" : "", "}");
    }
    const std::string extends = field == "extends" ? "" : "\"extends\":\"strict\",";
    const absl::Status status = ParsePolicy(absl::StrCat("{", extends, value.substr(1)), "p").status();
    EXPECT_TRUE(absl::StrContains(status.message(), "expected ")) << field << ": " << status;
    EXPECT_FALSE(absl::StrContains(status.message(), "unknown")) << field << ": " << status;
  }
}

}  // namespace
}  // namespace brood
