#include "sandbox/policy_flatbuffer.h"

#include <cerrno>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "serialization/field_coverage.h"

// A field of the schema is called `errno`; the C library has a macro of that name.
#undef errno
#include "serialization/policy_generated.h"

namespace brood {
namespace {

// What is made, and what is neither a directory to be read nor one to be written.
std::vector<FileRule> Made() {
  return {{.kind = FileRule::Kind::kSymlink, .destination = "/link", .text = "../to: it"},
          {.kind = FileRule::Kind::kDirectory, .destination = "/made", .mode = 0},
          {.kind = FileRule::Kind::kDirectory, .destination = "/usual"},
          {.kind = FileRule::Kind::kFile, .destination = "/etc/given", .text = "a\nb", .mode = 0640},
          {.kind = FileRule::Kind::kFile, .destination = "/etc/empty"},
          {.kind = FileRule::Kind::kTmpfs, .destination = "/closed", .access = FileRule::Access::kReadWrite, .size_bytes = 5, .mode = 0700},
          {.kind = FileRule::Kind::kMerged, .source = "/top", .destination = "/both", .layers = {"/low"}},
          {.source = "/dev/fuse", .destination = "/dev/fuse", .access = FileRule::Access::kDevice}};
}

Policy Everything() {
  Policy policy = BuiltinPolicy("strict").value();
  policy.name = "everything";
  policy.files.push_back({.kind = FileRule::Kind::kBind,
                          .source = "/data/in",
                          .destination = "/in",
                          .access = FileRule::Access::kReadWrite,
                          .size_bytes = 0,
                          .optional = true,
                          .no_exec = true});
  policy.files.insert(policy.files.end() - 1, {.kind = FileRule::Kind::kOverlay,
                                               .source = "/data/lower",
                                               .destination = "/data/view",
                                               .access = FileRule::Access::kReadWrite,
                                               .size_bytes = 77,
                                               .layers = {"/data/middle", "/data/low"}});
  policy.files.insert(policy.files.end() - 2, {.kind = FileRule::Kind::kOverlay,
                                               .source = "/data/lower",
                                               .destination = "/data/kept",
                                               .access = FileRule::Access::kReadWrite,
                                               .changes = "/data/changes"});
  const std::vector<FileRule> made = Made();
  policy.files.insert(policy.files.begin(), made.begin(), made.end());
  policy.network = {.mode = NetworkMode::kAllow, .to = {"10.0.0.5:443"}};
  policy.syscalls.push_back(
      {.names = {"ioctl", "@timers"},
       .args = {{.index = 1, .op = ArgumentRule::Op::kEqual, .value = 0x5401, .width = 32},
                {.index = 5, .op = ArgumentRule::Op::kMaskedEqual, .value = ~uint64_t{0}, .mask = 0xff00}},
       .action = SyscallAction::kErrno,
       .errno_value = EACCES,
       .layer = 3});
  policy.unlisted = SyscallAction::kErrno;
  policy.unlisted_errno = EPERM;
  policy.hostname = "inside";
  policy.ids = {.uid = 0, .gid = 5, .count = 65536};
  policy.capabilities = {"chown", "setuid"};
  policy.clocks = {.monotonic = absl::Nanoseconds(3), .boottime = kMaxClock};
  policy.landlock = LandlockUse::kRequired;
  policy.speculation = SpeculationControl::kMitigate;
  policy.process = {.nice = -3, .oom_score_adj = 1000, .umask = 027, .personality = {"addr_no_randomize", "uname26"}, .disable_tsc = true, .deny_write_execute = true};
  policy.bpf_files = {{.path = "/a.bpf", .program = std::string("\x06\0\0\0\0\0\xff\x7f", 8)}, {.path = "/b.bpf", .program = "other"}};
  policy.groups = {4, 44};
  policy.label = "&some profile";
  policy.proc = ProcAccess::kReadWrite;
  policy.environment = EnvironmentBase::kEmpty;
  policy.limits = {.memory_bytes = 1,
                   .processes = 7,
                   .cpu_time = absl::Nanoseconds(1),
                   .wall_time = absl::Hours(1000) + absl::Nanoseconds(7),
                   .output_bytes = ~uint64_t{0},
                   .file_size_bytes = 0,
                   .open_files = 3,
                   .core_bytes = 0,
                   .cpus_milli = 1050,
                   .cpu_weight = 10000,
                   .io_weight = 1,
                   .disk_bytes = 54321,
                   .io_rate_bytes = 12345,
                   .cpu_set = CpuSet(0b1011),
                   .rlimits = {{"memlock", 0}, {"stack", 9}},
                   .grace = absl::Milliseconds(1500)};
  policy.allow_weaker = {Layer::kLandlock, Layer::kMemory};
  return policy;
}

TEST(PolicyFlatbufferTest, RoundTripsEveryField) {
  const Policy policy = Everything();
  const absl::StatusOr<Policy> read = DecodePolicy(EncodePolicy(policy));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->name, policy.name);
  EXPECT_EQ(read->namespaces, policy.namespaces);
  EXPECT_EQ(read->allow_weaker, policy.allow_weaker);
  EXPECT_EQ(read->hostname, "inside");
  EXPECT_TRUE(read->read_back);
  EXPECT_EQ(read->ids.uid, 0u);
  EXPECT_EQ(read->ids.gid, 5u);
  EXPECT_EQ(read->ids.count, 65536u);
  EXPECT_EQ(read->capabilities, policy.capabilities);
  EXPECT_EQ(read->clocks.monotonic, absl::Nanoseconds(3));
  EXPECT_EQ(read->clocks.boottime, kMaxClock);
  EXPECT_EQ(read->landlock, LandlockUse::kRequired);
  EXPECT_EQ(read->speculation, SpeculationControl::kMitigate);
  EXPECT_EQ(read->groups, policy.groups);
  EXPECT_EQ(read->process, policy.process);
  ASSERT_EQ(read->bpf_files.size(), 2u);
  EXPECT_EQ(read->bpf_files[0].path, "/a.bpf");
  EXPECT_EQ(read->bpf_files[0].program, policy.bpf_files[0].program);
  EXPECT_EQ(read->bpf_files[1].program, "other");
  EXPECT_EQ(read->environment, EnvironmentBase::kEmpty);
  EXPECT_EQ(read->network.to, policy.network.to);
  EXPECT_EQ(read->unlisted_errno, EPERM);
  ASSERT_EQ(read->files.size(), policy.files.size());
  EXPECT_EQ(read->files.back().source, "/data/in");
  EXPECT_EQ(read->files.back().destination, "/in");
  EXPECT_EQ(read->files.back().access, FileRule::Access::kReadWrite);
  EXPECT_TRUE(read->files.back().optional);
  EXPECT_TRUE(read->files.back().no_exec);
  const FileRule& overlay = read->files[read->files.size() - 2];
  EXPECT_EQ(overlay.kind, FileRule::Kind::kOverlay);
  EXPECT_EQ(overlay.source, "/data/lower");
  EXPECT_EQ(overlay.destination, "/data/view");
  EXPECT_EQ(overlay.access, FileRule::Access::kReadWrite);
  EXPECT_EQ(overlay.size_bytes, 77u);
  EXPECT_EQ(overlay.changes, "");
  const FileRule& kept = read->files[read->files.size() - 3];
  EXPECT_EQ(kept.kind, FileRule::Kind::kOverlay);
  EXPECT_EQ(kept.destination, "/data/kept");
  EXPECT_EQ(kept.changes, "/data/changes");
  EXPECT_EQ(overlay.layers, (std::vector<std::string>{"/data/middle", "/data/low"}));
  const std::vector<FileRule> made = Made();
  for (size_t i = 0; i < made.size(); ++i) {
    const auto& [kind, source, destination, access, size, changes, optional, layers, text, mode, no_exec] = read->files[i];
    EXPECT_EQ(kind, made[i].kind) << i;
    EXPECT_EQ(source, made[i].source) << i;
    EXPECT_EQ(destination, made[i].destination) << i;
    EXPECT_EQ(access, made[i].access) << i;
    EXPECT_EQ(size, made[i].size_bytes) << i;
    EXPECT_EQ(changes, made[i].changes) << i;
    EXPECT_EQ(optional, made[i].optional) << i;
    EXPECT_EQ(layers, made[i].layers) << i;
    EXPECT_EQ(text, made[i].text) << i;
    EXPECT_EQ(mode, made[i].mode) << i;
    EXPECT_EQ(no_exec, made[i].no_exec) << i;
  }
  const SyscallRule& rule = read->syscalls.back();
  EXPECT_EQ(rule.names, (std::vector<std::string>{"ioctl", "@timers"}));
  EXPECT_EQ(rule.errno_value, EACCES);
  EXPECT_EQ(rule.layer, 3u);
  ASSERT_EQ(rule.args.size(), 2u);
  EXPECT_EQ(rule.args[0].value, 0x5401u);
  EXPECT_EQ(rule.args[1].value, ~uint64_t{0});
  EXPECT_EQ(rule.args[1].mask, 0xff00u);
  EXPECT_EQ(rule.args[0].width, 32u);
  EXPECT_EQ(rule.args[1].width, 64u);
  EXPECT_EQ(read->limits.cpu_time, absl::Nanoseconds(1));
  EXPECT_EQ(read->limits.wall_time, absl::Hours(1000) + absl::Nanoseconds(7));
  EXPECT_EQ(read->limits.processes, 7u);
  EXPECT_EQ(read->limits.file_size_bytes, 0u);
  EXPECT_EQ(read->limits.output_bytes, ~uint64_t{0});
  EXPECT_EQ(read->limits.core_bytes, 0u);
  EXPECT_EQ(read->limits.cpus_milli, 1050u);
  EXPECT_EQ(read->limits.cpu_weight, 10000u);
  EXPECT_EQ(read->limits.io_weight, 1u);
  EXPECT_EQ(read->limits.io_rate_bytes, 12345u);
  EXPECT_EQ(read->limits.disk_bytes, 54321u);
  EXPECT_EQ(read->limits.cpu_set, CpuSet(0b1011));
  EXPECT_EQ(read->limits.rlimits, policy.limits.rlimits);
  EXPECT_EQ(read->limits.grace, absl::Milliseconds(1500));
  EXPECT_EQ(read->default_limits.memory_bytes, 512u << 20);
  // What is the same is written the same.
  EXPECT_EQ(EncodePolicy(*read), EncodePolicy(policy));
}

// Fails when a field is added to the schema and EncodePolicy, or the sample, do not know of it.
TEST(PolicyFlatbufferTest, EveryFieldOfTheSchemaIsWritten) {
  Policy policy = Everything();
  policy.default_limits = policy.limits;
  std::set<std::string> written = SetFields(EncodePolicy(policy), fbs::PolicyTypeTable());
  // What people write in several ways is written in one.
  written.merge(std::set<std::string>{"extends", "files.paths"});
  EXPECT_EQ(written, FieldsOf(fbs::PolicyTypeTable()));
}

TEST(PolicyFlatbufferTest, OfSeveralRulesForOnePlaceTheLastIsWritten) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.files.push_back(
      {.kind = FileRule::Kind::kTmpfs, .source = "", .destination = "/tmp", .size_bytes = 256u << 20});
  const Policy read = DecodePolicy(EncodePolicy(policy)).value();
  EXPECT_EQ(read.files.size(), policy.files.size() - 1);
  EXPECT_EQ(read.files.back().size_bytes, 256u << 20);
}

// A server's policy reaches its clients like that.
TEST(PolicyFlatbufferTest, ASizeThatWasLeftOutIsLeftOut) {
  for (const FileRule::Kind kind : {FileRule::Kind::kTmpfs, FileRule::Kind::kOverlay}) {
    Policy policy = BuiltinPolicy("default").value();
    policy.files.push_back({.kind = kind, .source = kind == FileRule::Kind::kOverlay ? "/usr/share" : "", .destination = "/x", .access = FileRule::Access::kReadWrite});
    const absl::StatusOr<Policy> read = DecodePolicy(EncodePolicy(policy));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->files.back().destination, "/x");
    EXPECT_EQ(read->files.back().size_bytes, 0u);
  }
}

TEST(PolicyFlatbufferTest, RefusesTwoRulesForOneSystemCall) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.syscalls = {{.names = {"read"}, .args = {}}, {.names = {"read"}, .args = {}, .action = SyscallAction::kKill}};
  EXPECT_EQ(DecodePolicy(EncodePolicy(policy)).status().message(), "policy: syscalls: two rules for read");
  policy.syscalls[1].layer = 1;
  EXPECT_TRUE(DecodePolicy(EncodePolicy(policy)).ok());
}

TEST(PolicyFlatbufferTest, EveryTruncationIsAnError) {
  const std::string bytes = EncodePolicy(Everything());
  for (size_t size = 0; size < bytes.size(); ++size) {
    const absl::StatusOr<Policy> read = DecodePolicy(std::string_view(bytes).substr(0, size));
    // The last bytes are padding.
    EXPECT_TRUE(!read.ok() || EncodePolicy(*read) == bytes) << size;
  }
}

// A flipped bit may give another valid policy; it must never give anything but a policy or an error.
TEST(PolicyFlatbufferTest, NoFlippedBitIsReadOutOfBounds) {
  std::string bytes = EncodePolicy(Everything());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    const absl::StatusOr<Policy> read = DecodePolicy(bytes);
    EXPECT_TRUE(read.ok() || !read.status().message().empty());
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

// What a misspelt policy file gives: one word of the bytes is replaced by one as long.
std::string MessageAfter(std::string_view word, std::string_view replacement) {
  std::string bytes = EncodePolicy(Everything());
  const size_t place = bytes.find(word);
  if (place == std::string::npos || word.size() != replacement.size()) return "no such word";
  bytes.replace(place, word.size(), replacement);
  return std::string(DecodePolicy(bytes).status().message());
}

TEST(PolicyFlatbufferTest, NamesTheFieldThatIsWrong) {
  EXPECT_TRUE(absl::StartsWith(MessageAfter("landlock", "landlook"), "policy: allow_weaker: unknown layer \"landlook\"; there are user, pid, "));
  EXPECT_EQ(MessageAfter("EACCES", "EACCEZ"), "policy: syscalls: errno: unknown errno \"EACCEZ\"");
  EXPECT_EQ(MessageAfter("uts", "utz"), "policy: namespaces: unknown layer \"utz\"; there are user, pid, mount, net, ipc, uts, cgroup, time");
  EXPECT_EQ(MessageAfter("empty", "emptz"),
            "policy: environment: unknown word \"emptz\"; there are minimal, inherit, empty");
  EXPECT_EQ(MessageAfter("mitigate", "mitigatf"), "policy: speculation: unknown word \"mitigatf\"; there are allow, kernel, mitigate");
  EXPECT_EQ(MessageAfter("uname26", "uname27"), "policy: process: personality: unknown flag \"uname27\"; there are addr_compat_layout, addr_no_randomize, uname26");
  EXPECT_EQ(MessageAfter("0027", "0028"), "policy: process: umask: expected an octal number from 0 to 777, got \"0028\"");
  EXPECT_EQ(MessageAfter("&==", "&=="), "");
  EXPECT_EQ(MessageAfter("21505", "21x05"), "policy: syscalls: args: value: \"21x05\" is not a number of 64 bits");
  EXPECT_EQ(MessageAfter("/data/in", "data//in"), "policy: files: \"data//in\" is not an absolute path");
  EXPECT_EQ(MessageAfter("10.0.0.5:443", "10.0.0.5_443"),
            "policy: network: to: network destination \"10.0.0.5_443\": not HOST:PORT; write 10.0.0.5:443, 10.0.0.0/8:*, "
            "[::1]:443, [fd00::/8]:443, example.org:443 or unix:/run/service.sock");
}

TEST(PolicyFlatbufferTest, RefusesWhatIsTooLarge) {
  EXPECT_EQ(DecodePolicy(std::string(kMaxPolicyBytes + 1, 'x')).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace brood
