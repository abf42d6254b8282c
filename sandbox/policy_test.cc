#include "sandbox/policy.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(LayerTest, EveryNameFindsItsLayerAgain) {
  for (const Layer layer : kAllLayers) EXPECT_EQ(LayerFromName(LayerName(layer)), layer);
  EXPECT_EQ(LayerFromName("moat"), std::nullopt);
}

TEST(ParseSizeTest, UnitsArePowersOf1024) {
  EXPECT_EQ(ParseSize("4096").value(), 4096u);
  EXPECT_EQ(ParseSize("3K").value(), 3u << 10);
  EXPECT_EQ(ParseSize("512M").value(), 512u << 20);
  EXPECT_EQ(ParseSize("2G").value(), uint64_t{2} << 30);
  EXPECT_EQ(ParseSize("18446744073709551615").value(), std::numeric_limits<uint64_t>::max());
}

TEST(ParseSizeTest, RefusesWhatIsNotASizeOrDoesNotFit) {
  for (const char* text : {"", "K", "-1", "+1", " 1", "1 ", "1.5G", "1k", "1KB", "0x10", "12MM", "1T",
                           "18446744073709551616", "17179869184G", "99999999999999999999999999"}) {
    EXPECT_EQ(ParseSize(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(ParseSize("1.5G").status().message(),
            "size \"1.5G\": not a number of bytes; write bytes, or a number with K, M or G: 512M");
}

TEST(ParseTimeTest, UnitsAndFractionsAreExact) {
  EXPECT_EQ(ParseTime("7").value(), absl::Seconds(7));
  EXPECT_EQ(ParseTime("500ms").value(), absl::Milliseconds(500));
  EXPECT_EQ(ParseTime("0.1s").value(), absl::Milliseconds(100));
  EXPECT_EQ(ParseTime("1.5m").value(), absl::Seconds(90));
  EXPECT_EQ(ParseTime("2h").value(), absl::Hours(2));
  EXPECT_EQ(ParseTime("0.000000001s").value(), absl::Nanoseconds(1));
}

TEST(ParseTimeTest, RefusesWhatIsNotATimeOrDoesNotFit) {
  for (const char* text : {"", "s", "0", "0s", "0.0", "-1s", "+1", "1 s", ".5s", "5.s", "1.2.3", "1d", "1e3", "inf",
                           "nan", "0.0000000001", "9223372037", "9999999999999999999999h", "2562048h"}) {
    EXPECT_EQ(ParseTime(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ParseNetworkTest, ReadsEveryMode) {
  EXPECT_EQ(ParseNetwork("none")->mode, NetworkMode::kNone);
  EXPECT_EQ(ParseNetwork("loopback")->mode, NetworkMode::kLoopback);
  EXPECT_EQ(ParseNetwork("host")->mode, NetworkMode::kHost);
  EXPECT_EQ(ParseNetwork("allow:10.0.0.5:443")->to, std::vector<std::string>{"10.0.0.5:443"});
  EXPECT_EQ(ParseNetwork("allow:[::1]:80")->to, std::vector<std::string>{"[::1]:80"});
  EXPECT_EQ(ParseNetwork("allow:example.org:443,unix:/run/a")->to, (std::vector<std::string>{"example.org:443", "unix:/run/a"}));
}

TEST(ParseNetworkTest, RefusesMalformedDestinations) {
  for (const char* text : {"", "all", "allow", "allow:", "allow:host", "allow:host:", "allow:host:0",
                           "allow:host:65536", "allow:a:1,", "allow::80", "allow:::1:80", "allow:host:8o", "allow:host:+80"}) {
    EXPECT_EQ(ParseNetwork(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(BuiltinPolicyTest, AllAreReadAndNamed) {
  EXPECT_EQ(BuiltinPolicyNames(), (std::vector<std::string_view>{"strict", "default", "networked", "none"}));
  for (const std::string_view name : BuiltinPolicyNames()) {
    const absl::StatusOr<Policy> policy = BuiltinPolicy(name);
    ASSERT_TRUE(policy.ok()) << policy.status();
    EXPECT_EQ(policy->name, name);
    EXPECT_NE(BuiltinPolicyText(name)->find(name), std::string_view::npos);
  }
  EXPECT_EQ(BuiltinPolicy("lenient").status().message(),
            "policy \"lenient\": no such built-in; there are strict, default, networked, none");
}

TEST(BuiltinPolicyTest, StrictHasTheLimitsOfTheDesign) {
  const Policy strict = BuiltinPolicy("strict").value();
  EXPECT_EQ(strict.default_limits.memory_bytes, 512u << 20);
  EXPECT_EQ(strict.default_limits.processes, 64u);
  EXPECT_EQ(strict.default_limits.wall_time, absl::Seconds(60));
  EXPECT_EQ(strict.default_limits.output_bytes, 16u << 20);
  EXPECT_EQ(strict.default_limits.file_size_bytes, 64u << 20);
  EXPECT_FALSE(strict.limits.memory_bytes.has_value());
  EXPECT_EQ(strict.network.mode, NetworkMode::kNone);
  EXPECT_EQ(strict.unlisted, SyscallAction::kKill);
  EXPECT_TRUE(strict.drop_privileges && strict.minimal_system && strict.filter_syscalls);
  EXPECT_EQ(strict.namespaces.size(), 7u);
}

TEST(BuiltinPolicyTest, NoneLeavesEverythingAlone) {
  const Policy none = BuiltinPolicy("none").value();
  EXPECT_TRUE(none.namespaces.empty() && none.files.empty() && none.syscalls.empty());
  EXPECT_FALSE(none.drop_privileges || none.minimal_system || none.filter_syscalls);
  EXPECT_EQ(none.network.mode, NetworkMode::kHost);
  EXPECT_EQ(none.environment, EnvironmentBase::kInherit);
}

TEST(BuiltinPolicyTest, NetworkedIsDefaultWithTheHostsNetwork) {
  const Policy base = BuiltinPolicy("default").value();
  const Policy networked = BuiltinPolicy("networked").value();
  EXPECT_EQ(networked.network.mode, NetworkMode::kHost);
  EXPECT_FALSE(networked.namespaces.contains(Layer::kNet));
  EXPECT_GT(networked.files.size(), base.files.size());
  EXPECT_EQ(networked.default_limits.open_files, 1024u);
}

// Nothing of the host is writable, and no secret of it visible, by a built-in policy other than `none`.
TEST(BuiltinPolicyTest, NoBuiltinBindsAnythingWritable) {
  for (const std::string_view name : {"strict", "default", "networked"}) {
    const Policy policy = BuiltinPolicy(name).value();
    for (const FileRule& rule : policy.files) {
      if (rule.kind != FileRule::Kind::kBind) continue;
      EXPECT_EQ(rule.access, FileRule::Access::kReadOnly) << rule.source;
      EXPECT_TRUE(rule.optional) << rule.source;
      EXPECT_NE(rule.source, "/etc");
    }
  }
}

std::vector<std::string> Destinations(const std::vector<FileRule>& files) {
  std::vector<std::string> destinations;
  for (const FileRule& rule : files) destinations.push_back(rule.destination);
  return destinations;
}

TEST(LayFilesTest, ADirectoryReplacesWhatTheBaseShowsBelowIt) {
  const std::vector<FileRule> base = {
      {.source = "/etc/hosts", .destination = "/etc/hosts", .optional = true},
      {.source = "/etc2", .destination = "/etc2", .optional = true},
      {.kind = FileRule::Kind::kTmpfs, .destination = "/etc/tmp"},
      {.source = "/out", .destination = "/etc/out", .access = FileRule::Access::kReadWrite, .optional = true},
      {.source = "/data", .destination = "/etc/data"},
  };
  std::vector<FileRule> files = base;
  LayFiles({{.source = "/etc", .destination = "/etc"}}, files);
  EXPECT_EQ(Destinations(files), (std::vector<std::string>{"/etc2", "/etc/tmp", "/etc/out", "/etc/data", "/etc"}));
  files = base;
  LayFiles({{.source = "/", .destination = "/"}}, files);
  EXPECT_EQ(Destinations(files), (std::vector<std::string>{"/etc/tmp", "/etc/out", "/etc/data", "/"}));
  files = base;
  LayFiles({{.source = "/etc", .destination = "/etc", .optional = true}}, files);
  EXPECT_EQ(files.size(), base.size() + 1);
}

TEST(CpuSetTest, ReadsNumbersAndRangesAndWritesTheShortest) {
  const std::pair<const char*, const char*> kTexts[] = {
      {"0", "0"}, {"0-1", "0-1"}, {"3,1,2", "1-3"}, {"0,2-3,1023", "0,2-3,1023"}, {"5-5", "5"}, {"0-1023", "0-1023"}, {"1,1,1-2", "1-2"}};
  for (const auto& [text, shortest] : kTexts) {
    const absl::StatusOr<CpuSet> cpus = ParseCpuSet(text);
    ASSERT_TRUE(cpus.ok()) << cpus.status();
    EXPECT_EQ(CpuSetText(*cpus), shortest);
  }
}

TEST(CpuSetTest, OthersAreErrorsThatSayWhatToWrite) {
  for (const char* text : {"", ",", "0,", "-1", "1-", "2-1", "1024", "0-1024", "a", "0 1", "0x1", "1-2-3", "+1", "99999999999999999999"}) {
    EXPECT_EQ(ParseCpuSet(text).status().message(),
              absl::StrCat("CPUs \"", text, "\": write numbers from 0 to 1023 and ranges of them, as in 0-1,3"));
  }
}

TEST(RlimitTest, IsANameAndANumberInTheUnitsOfSetrlimit) {
  EXPECT_EQ(ParseRlimit("stack=64M").value(), std::pair(std::string("stack"), uint64_t{64} << 20));
  EXPECT_EQ(ParseRlimit("memlock=0").value(), std::pair(std::string("memlock"), uint64_t{0}));
}

TEST(RlimitTest, OthersAreErrorsThatSayWhatToWrite) {
  for (const char* text : {"", "stack", "=1", "stack =1", "STACK=1", "core=0", "nofile=5", "stack=", "stack=-1", "stack=x"}) {
    const absl::Status status = ParseRlimit(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(absl::StartsWith(status.message(), absl::StrCat("rlimit \"", text, "\": "))) << status;
  }
  EXPECT_TRUE(absl::StrContains(ParseRlimit("nofile=5").status().message(), "nofile and nproc are the limits core, cpu_time, file_size, open_files and processes"));
}

}  // namespace
}  // namespace brood
