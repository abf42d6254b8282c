#include "launcher/launch_flatbuffer.h"

#include <fcntl.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "serialization/field_coverage.h"
#include "serialization/launch_generated.h"

namespace brood::internal {
namespace {

// A launch in which every field differs from its default, and every number from every other one. Its descriptors are
// numbers only: nothing is done with them here.
struct Sample {
  Sample() {
    record.plan = {.namespaces = 0x100,
                   .ids = IdMapping::kOwnerless,
                   .caller_uid = 101,
                   .caller_gid = 102,
                   .ownerless_base = 103,
                   .ownerless_count = 104,
                   .inside_uid = 110,
                   .inside_gid = 111,
                   .id_count = 112,
                   .sub_uid = 113,
                   .sub_gid = 114,
                   .sub_ranges = 115,
                   .uid_mapper = "newuidmap",
                   .gid_mapper = "newgidmap",
                   .kept_capabilities = 116,
                   .switch_ids = true,
                   .drop_groups = true,
                   .groups = groups,
                   .group_count = std::size(groups),
                   .drop_privileges = true,
                   .hostname = "host",
                   .loopback = true,
                   .monotonic_start_ns = 108,
                   .boottime_start_ns = 109,
                   .speculation_off = 3,
                   .read_back = true,
                   .mounts = mounts,
                   .mount_count = std::size(mounts),
                   .filter = filter,
                   .filter_length = 2,
                   .filter_notifies = true,
                   .filter_hides_clone3 = true,
                   .filter_allows_speculation = true,
                   .further_filters = further_filters,
                   .further_filter_count = std::size(further_filters),
                   .further_filters_let_read = true,
                   .attributes = {.sets_nice = true,
                                  .nice = -7,
                                  .sets_oom_score_adj = true,
                                  .oom_score_adj = -503,
                                  .sets_umask = true,
                                  .umask = 0123,
                                  .personality = 504,
                                  .disable_tsc = true,
                                  .deny_write_execute = true},
                   .label = {.module = LabelStep::Module::kSelinux, .text = "some:label", .any_mode = true},
                   .limit_watches = true,
                   .rlimits = rlimits,
                   .rlimit_count = std::size(rlimits),
                   .limits_cpus = true,
                   .cpus = {11, 12},
                   .new_session = true,
                   .destinations = destinations,
                   .destination_count = std::size(destinations),
                   .landlock_files = 105,
                   .landlock_tcp = 106,
                   .landlock_scopes = 107,
                   .landlock_rules = landlock_rules,
                   .landlock_rule_count = std::size(landlock_rules)};
    record.target.kind = LaunchTarget::Kind::kProgram;
    record.argv = words;
    record.candidates = places;
    record.target.setup_child_fd = 4;
    record.target.awaits_word = true;
    record.envp = environment;
    record.cwd = "/work";
    record.cwd_required = true;
    record.wait_for_tree = true;
    record.child_fds = moves;
    record.child_fd_count = std::size(moves);
    record.report = 0;
    record.control = 1;
    record.owner = 2;
    record.guardian_socket = 3;
    record.init_socket = 4;
    record.setup_socket = 5;
    record.stack_sink = 17;
    record.streams[0] = {.pipe = 8, .sink = 9, .keep_bytes = 10};
    record.streams[1] = {.pipe = 10, .sink = 11, .keep_bytes = 12};
    record.slot = "";
    record.wall_ns = 201;
    record.grace_ns = 210;
    record.cpu_ns = 202;
    record.output_bytes = 203;
    record.output_limited = true;
    record.sampled_memory_bytes = 204;
    record.sample_usage = true;
    record.counted_processes = 205;
    record.cgroup.directories[record.cgroup.count++] = {
        .role = CgroupRecord::Role::kMemory, .fd = 12, .tasks_fd = 13, .path = "/sys/fs/cgroup/a"};
    record.cgroup.directories[record.cgroup.count++] = {
        .role = CgroupRecord::Role::kCpu, .fd = 14, .tasks_fd = 15, .path = "/sys/fs/cgroup/b"};
    record.cgroup.limits_memory = true;
    record.cgroup.limits_processes = true;
    record.cgroup.counts_cpu = true;

    birth.cwd = 16;
    birth.file_mask = 027;
    for (size_t i = 0; i < birth.rlimits.size(); ++i) birth.rlimits[i] = {.rlim_cur = 300 + i, .rlim_max = 400 + i};
    birth.scheduling.nice = 7;
    birth.processors = {1, 2};
    birth.io_priority = 500;
    birth.oom_score_adj = 501;
    birth.process_group = 502;
  }

  const MountStep mounts[2] = {{.kind = MountStep::Kind::kBind,
                                .source = "/source",
                                .target = "target",
                                .text = "text",
                                .attributes = 1,
                                .optional = true,
                                .lent = true,
                                .idmapped = true,
                                .idmap_required = true,
                                .mode = 0750,
                                .device = true},
                               {.kind = MountStep::Kind::kTmpfs, .target = "tmp"}};
  const sock_filter filter[2] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  const uint32_t groups[2] = {117, 118};
  const FurtherFilter further_filters[1] = {{.path = "/a.bpf", .program = filter, .length = 2}};
  const DestinationRecord destinations[2] = {
      {.kind = DestinationRecord::Kind::kInet6, .prefix_bits = 8, .port = 9, .address = {10, 11, 12, 13}},
      {.kind = DestinationRecord::Kind::kUnix, .path = "/socket"}};
  const LandlockRule landlock_rules[1] = {{.path = "/allowed", .access = 1, .optional = true}};
  const RlimitStep rlimits[2] = {{.resource = 1, .limit = {2, 3}}, {.resource = 4, .limit = {5, 6}}};
  const char* const environment[3] = {"A=1", "B=", nullptr};
  const char* const words[3] = {"program", "-x", nullptr};
  const char* const places[3] = {"/bin/program", "/usr/bin/program", nullptr};
  FdMove moves[2] = {{.source = 6, .child_fd = 30, .read_only_path = "/file"}, {.source = 7, .child_fd = 1}};
  LaunchRecord record;
  Birth birth;
};

// Stand for what came with a message.
std::vector<UniqueFd> SomeFds(size_t count) {
  std::vector<UniqueFd> fds;
  for (size_t i = 0; i < count; ++i) fds.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  return fds;
}

// Fails when a field is added to the schema and the encoder, or the sample, does not know of it. That every field of the
// record is in the schema is seen when the encoder is compiled.
TEST(LaunchFlatbufferTest, EveryFieldOfTheSchemaIsWritten) {
  const Sample sample;
  EXPECT_EQ(SetFields(EncodeLaunch(sample.record, sample.birth, absl::Seconds(3)).bytes, fbs::LaunchTypeTable()),
            FieldsOf(fbs::LaunchTypeTable()));
}

// Fails when a field is written and not read.
TEST(LaunchFlatbufferTest, WhatIsWrittenIsReadBack) {
  const Sample sample;
  const EncodedLaunch encoded = EncodeLaunch(sample.record, sample.birth, absl::Seconds(3));
  const std::vector<UniqueFd> fds = SomeFds(encoded.fds.size());
  const auto read = DecodeLaunch(encoded.bytes, fds);
  ASSERT_TRUE(read.ok()) << read.status();
  const EncodedLaunch again = EncodeLaunch((*read)->record, (*read)->birth, (*read)->patience);
  EXPECT_EQ(again.bytes, encoded.bytes);
  std::vector<int> numbers;
  for (const UniqueFd& fd : fds) numbers.push_back(fd.get());
  EXPECT_EQ(again.fds, numbers);
  EXPECT_EQ((*read)->record.lowest_free, 31);
  EXPECT_EQ((*read)->record.target.kind, LaunchTarget::Kind::kProgram);
}

TEST(LaunchFlatbufferTest, AFunctionHasNoArgumentsAndNoPath) {
  Sample sample;
  sample.record.target.kind = LaunchTarget::Kind::kFunction;
  const EncodedLaunch encoded = EncodeLaunch(sample.record, sample.birth, absl::Seconds(3));
  const auto read = DecodeLaunch(encoded.bytes, SomeFds(encoded.fds.size()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ((*read)->record.target.kind, LaunchTarget::Kind::kFunction);
  EXPECT_EQ((*read)->record.argv, nullptr);
}

TEST(LaunchFlatbufferTest, AProgramIsForASlotOnly) {
  Sample sample;
  sample.record.slot = nullptr;
  const EncodedLaunch encoded = EncodeLaunch(sample.record, sample.birth, absl::Seconds(3));
  EXPECT_EQ(DecodeLaunch(encoded.bytes, SomeFds(encoded.fds.size())).status().code(), absl::StatusCode::kDataLoss);
}

TEST(LaunchFlatbufferTest, TheReportPipeIsTheFirstDescriptor) {
  Sample sample;
  sample.record.report = 77;
  EXPECT_EQ(EncodeLaunch(sample.record, sample.birth, absl::Seconds(3)).fds[0], 77);
}

TEST(LaunchFlatbufferTest, DescriptorsThatDidNotComeAreAnError) {
  const Sample sample;
  const EncodedLaunch encoded = EncodeLaunch(sample.record, sample.birth, absl::Seconds(3));
  for (size_t count = 0; count < encoded.fds.size(); ++count) {
    EXPECT_EQ(DecodeLaunch(encoded.bytes, SomeFds(count)).status().code(), absl::StatusCode::kDataLoss) << count;
  }
}

TEST(LaunchFlatbufferTest, DamagedBytesAreNeverMoreThanAnError) {
  const Sample sample;
  const EncodedLaunch encoded = EncodeLaunch(sample.record, sample.birth, absl::Seconds(3));
  const std::vector<UniqueFd> fds = SomeFds(encoded.fds.size());
  for (size_t size = 0; size < encoded.bytes.size(); ++size) (void)DecodeLaunch(encoded.bytes.substr(0, size), fds);
  for (size_t at = 0; at < encoded.bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = encoded.bytes;
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
      const auto read = DecodeLaunch(std::move(bytes), fds);
      // What is read can be walked through.
      if (read.ok()) (void)EncodeLaunch((*read)->record, (*read)->birth, (*read)->patience);
    }
  }
}

}  // namespace
}  // namespace brood::internal
