#include "sandbox/ceiling.h"

#include <cerrno>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "sandbox/policy_flatbuffer.h"
#include "serialization/field_coverage.h"

// A field of the schema is called `errno`; the C library has a macro of that name.
#undef errno
#include "serialization/policy_generated.h"

namespace brood {
namespace {

// One that leaves something to ask for in every field.
Policy Ceiling() {
  Policy policy = BuiltinPolicy("default").value();
  policy.files.push_back({.source = "/data", .destination = "/data", .access = FileRule::Access::kReadWrite});
  policy.files.push_back({.source = "/data/fixed", .destination = "/data/fixed"});
  policy.files.push_back({.kind = FileRule::Kind::kTmpfs, .destination = "/data/hidden", .access = FileRule::Access::kReadWrite});
  policy.files.push_back({.source = "/in", .destination = "/in"});
  policy.files.push_back({.kind = FileRule::Kind::kOverlay, .source = "/lower", .destination = "/view", .access = FileRule::Access::kReadWrite});
  policy.files.push_back(
      {.kind = FileRule::Kind::kOverlay, .source = "/lower", .destination = "/kept", .access = FileRule::Access::kReadWrite, .changes = "/changes"});
  policy.files.push_back({.kind = FileRule::Kind::kMerged, .source = "/top", .destination = "/both", .layers = {"/low"}});
  policy.files.push_back({.kind = FileRule::Kind::kDirectory, .destination = "/made", .mode = 0700});
  policy.files.push_back({.source = "/in", .destination = "/made/in"});
  policy.files.push_back({.kind = FileRule::Kind::kFile, .destination = "/given", .text = "content"});
  policy.files.push_back({.source = "/dev/dri", .destination = "/dev/dri", .access = FileRule::Access::kDevice});
  policy.files.push_back({.source = "/dev/dri/card0", .destination = "/dev/dri/card0"});
  policy.files.push_back({.source = "/in", .destination = "/in/data", .no_exec = true});
  policy.files.push_back({.source = "/in/plain", .destination = "/in/plain", .no_exec = true});
  // What is hidden in /in, and how it is said.
  policy.files.push_back({.kind = FileRule::Kind::kSymlink, .destination = "/link", .text = "/in"});
  policy.files.push_back({.kind = FileRule::Kind::kTmpfs, .destination = "/link/hidden", .access = FileRule::Access::kReadWrite});
  policy.limits = {.memory_bytes = 100 << 20,
                   .processes = 10,
                   .cpu_time = absl::Seconds(10),
                   .wall_time = absl::Seconds(20),
                   .output_bytes = 1 << 20,
                   .file_size_bytes = 1 << 20,
                   .open_files = 100,
                   .core_bytes = 0,
                   .cpus_milli = 1500,
                   .cpu_weight = 50,
                   .io_weight = 60,
                   .disk_bytes = 1 << 20,
                   .io_rate_bytes = 1 << 20,
                   .cpu_set = CpuSet(0b110),
                   .rlimits = {{"stack", 1 << 20}}};
  policy.allow_weaker = {Layer::kMemory};
  policy.ids.count = 1500;
  policy.capabilities = {"chown"};
  policy.read_back = true;
  policy.process = {.nice = 5, .oom_score_adj = 100, .umask = 022, .personality = {"uname26"}};
  policy.groups = {4, 44};
  policy.bpf_files = {{.path = "/ceiling.bpf", .program = "ABCDEFGH"}};
  return policy;
}

using Change = std::function<void(Policy&)>;

FileRule& RuleFor(Policy& policy, const std::string& destination) {
  for (FileRule& rule : policy.files) {
    if (rule.destination == destination) return rule;
  }
  policy.files.push_back({.source = destination, .destination = destination});
  return policy.files.back();
}

void Drop(Policy& policy, const std::string& destination) {
  std::erase_if(policy.files, [&](const FileRule& rule) { return rule.destination == destination; });
}

void AddRule(Policy& policy, SyscallRule rule) {
  rule.layer = 9;
  policy.syscalls.push_back(std::move(rule));
}

struct Attempt {
  const char* what;
  Change change;
  const char* refused;  // What the message names.
};

// For every field of the schema what would be more, or why nothing of it can be.
const std::map<std::string, std::vector<Attempt>>& Attempts() {
  static const auto* const all = new std::map<std::string, std::vector<Attempt>>{
      {"extends", {}},      // Not in the wire form: what a client extends is in what it sends.
      {"name", {}},         // For people.
      {"environment", {}},  // The client sends all variables; the server adds none of its own.
      {"hostname", {}},     // Inside of a namespace of its own.
      {"ids.uid", {{"that of id 0, with a capability that stays", [](Policy& p) { p.ids.uid = 0; p.capabilities = {"chown"}; }, "ids.uid"}}},
      {"ids.gid", {{"another, with a capability that stays", [](Policy& p) { p.ids.gid = 0; p.capabilities = {"chown"}; }, "ids.gid"}}},
      {"ids.count", {{"more", [](Policy& p) { p.ids.count = 2000; }, "ids.count"}}},
      {"capabilities", {{"another", [](Policy& p) { p.capabilities = {"chown", "setuid"}; }, "capabilities: setuid"}}},
      {"clocks.monotonic", {}},  // The same.
      {"clocks.boottime", {}},
      {"namespaces",
       {{"without pid", [](Policy& p) { p.namespaces.erase(Layer::kPid); }, "namespaces"},
        {"without user", [](Policy& p) { p.namespaces.erase(Layer::kUser); }, "namespaces"},
        {"none", [](Policy& p) { p.namespaces.clear(); }, "namespaces"}}},
      {"drop_privileges", {{"kept", [](Policy& p) { p.drop_privileges = false; }, "drop_privileges"}}},
      {"landlock", {{"none", [](Policy& p) { p.landlock = LandlockUse::kNone; }, "landlock: none"}}},
      {"speculation", {{"allowed", [](Policy& p) { p.speculation = SpeculationControl::kAllow; }, "speculation: allow"}}},
      {"process.nice", {{"a higher priority", [](Policy& p) { p.process.nice = 4; }, "process.nice: 4"}}},
      {"process.oom_score_adj", {{"to be spared", [](Policy& p) { p.process.oom_score_adj = 99; }, "process.oom_score_adj: 99"}}},
      {"process.umask", {{"modes", [](Policy& p) { p.process.umask = 02; }, "process.umask: 0002"}}},
      {"process.personality", {{"another flag", [](Policy& p) { p.process.personality = {"addr_no_randomize"}; }, "process.personality: addr_no_randomize"}}},
      {"process.disable_tsc", {}},  // The ceiling's holds; see AttributesAndFiltersOfTheCeilingHoldForAll.
      {"process.deny_write_execute", {}},
      {"groups", {{"another", [](Policy& p) { p.groups = {44, 45}; }, "groups: 45"}}},
      {"bpf_files.path", {}},  // For people.
      {"bpf_files.program", {{"another", [](Policy& p) { p.bpf_files.push_back({.path = "/a.bpf", .program = "ABCDEFGX"}); }, "bpf_files: /a.bpf beside the server's filter"}}},
      {"label", {{"one that the ceiling has not", [](Policy& p) { p.label = "other"; }, "label: other"}}},
      {"proc", {{"writable", [](Policy& p) { p.proc = ProcAccess::kReadWrite; }, "proc: rw"}}},
      {"read_back", {}},  // The ceiling's holds; see WhatIsReadBackStaysSo.
      {"minimal_system", {}},  // The ceiling has it; see ASystemThatTheCeilingHasNot.
      {"files.path",
       {{"another", [](Policy& p) { RuleFor(p, "/root"); }, "files: /root"},
        {"below one that is shown", [](Policy& p) { RuleFor(p, "/data/link"); }, "files: /data/link"},
        {"another source", [](Policy& p) { RuleFor(p, "/in").source = "/root"; }, "files: /root at /in"},
        {"what a directory in memory hides", [](Policy& p) { Drop(p, "/data/hidden"); }, "/data/hidden"},
        {"what a rule keeps from being written", [](Policy& p) { Drop(p, "/data/fixed"); }, "/data/fixed"}}},
      {"files.paths", {}},  // The same, as people write it.
      {"files.at", {{"elsewhere", [](Policy& p) { RuleFor(p, "/in").destination = "/etc"; }, "files: /in at /etc"}}},
      {"files.tmpfs",
       {{"over another's place", [](Policy& p) { RuleFor(p, "/in").kind = FileRule::Kind::kTmpfs; }, "files: tmpfs /in"},
        {"a new one",
         [](Policy& p) { p.files.push_back({.kind = FileRule::Kind::kTmpfs, .destination = "/more"}); }, "files: tmpfs /more"}}},
      {"files.overlay",
       {{"of what is shown to be read",
         [](Policy& p) { RuleFor(p, "/in").kind = FileRule::Kind::kOverlay; }, "files: an overlay of /in at /in"},
        {"of another source", [](Policy& p) { RuleFor(p, "/view").source = "/root"; }, "files: an overlay of /root at /view"},
        {"a larger one", [](Policy& p) { RuleFor(p, "/view").size_bytes = 65 << 20; }, "files: /view of"}}},
      {"files.changes",
       {{"elsewhere", [](Policy& p) { RuleFor(p, "/kept").changes = "/root"; }, "files: changes of /kept in /root"},
        {"in memory", [](Policy& p) { RuleFor(p, "/kept").changes.clear(); }, "files: changes of /kept in memory"},
        {"kept", [](Policy& p) { RuleFor(p, "/view").changes = "/changes"; }, "files: changes of /view in /changes"}}},
      {"files.below",
       {{"another", [](Policy& p) { RuleFor(p, "/both").layers = {"/root"}; }, "files: an overlay of /top at /both"},
        {"one more", [](Policy& p) { RuleFor(p, "/view").layers = {"/root"}; }, "files: an overlay of /lower at /view"},
        {"of what is only read", [](Policy& p) { RuleFor(p, "/in").kind = FileRule::Kind::kMerged; }, "files: an overlay of /in at /in"}}},
      {"files.symlink",
       {{"a new one", [](Policy& p) { p.files.push_back({.kind = FileRule::Kind::kSymlink, .destination = "/new", .text = "/in"}); }, "files: /new, made"},
        {"to elsewhere", [](Policy& p) { RuleFor(p, "/link").text = "/data"; }, "files: /link, made"},
        {"none, so that nothing is hidden behind it", [](Policy& p) { Drop(p, "/link"); }, "files: without the link /link"},
        {"what is hidden behind it", [](Policy& p) { Drop(p, "/link/hidden"); }, "without the rule for /link/hidden inside of /link"}}},
      {"files.directory", {{"a new one", [](Policy& p) { p.files.push_back({.kind = FileRule::Kind::kDirectory, .destination = "/new"}); }, "files: /new, made"}}},
      {"files.content", {{"another", [](Policy& p) { RuleFor(p, "/given").text = "more"; }, "files: /given, made"}}},
      {"files.mode",
       {{"another", [](Policy& p) { RuleFor(p, "/made").mode = 0777; }, "files: /made of another mode"},
        {"of one in memory", [](Policy& p) { RuleFor(p, "/data/hidden").mode = 0777; }, "files: /data/hidden of another mode"}}},
      {"files.size", {{"larger", [](Policy& p) { RuleFor(p, "/data/hidden").size_bytes = 65 << 20; }, "files: /data/hidden"}}},
      {"files.access", {{"as a device", [](Policy& p) { RuleFor(p, "/dev/dri/card0").access = FileRule::Access::kDevice; }, "files: /dev/dri/card0 as a device"},
                        {"what is none among devices", [](Policy& p) { Drop(p, "/dev/dri/card0"); }, "without the rule for /dev/dri/card0"},
                        {"devices to write", [](Policy& p) { RuleFor(p, "/dev/dri").access = FileRule::Access::kReadWrite; }, "files: /dev/dri to write"},
                        {"to write", [](Policy& p) { RuleFor(p, "/in").access = FileRule::Access::kReadWrite; }, "files: /in"}}},
      {"files.noexec", {{"to execute", [](Policy& p) { RuleFor(p, "/in/data").no_exec = false; }, "files: /in/data to execute"},
                        {"what is not executed inside of what is", [](Policy& p) { Drop(p, "/in/plain"); }, "without the rule for /in/plain"}}},
      {"files.optional", {}},  // Whether it is an error that there is nothing to show.
      {"network.mode", {{"the host's", [](Policy& p) { p.network.mode = NetworkMode::kHost; }, "network: host"},
                        {"a list", [](Policy& p) { p.network.mode = NetworkMode::kAllow; }, "network: allow"}}},
      {"network.to", {{"an address", [](Policy& p) { p.network = {NetworkMode::kAllow, {"10.0.0.1:1"}}; }, "network"}}},
      {"filter_syscalls",
       {{"off", [](Policy& p) { p.filter_syscalls = false; p.syscalls.clear(); }, "filter_syscalls"}}},
      {"syscalls.names",
       {{"one that is killed", [](Policy& p) { AddRule(p, {.names = {"mount"}}); }, "syscalls: mount"},
        {"one that is unlisted", [](Policy& p) { AddRule(p, {.names = {"acct"}}); }, "syscalls: acct"},
        {"one that the ceiling does not know of", [](Policy& p) { AddRule(p, {.names = {"clone3"}}); }, "syscalls: clone3"},
        {"a group", [](Policy& p) { AddRule(p, {.names = {"@kernel-surface"}}); }, "syscalls: "}}},
      {"syscalls.args.index",
       {{"all protocols of a family", [](Policy& p) { AddRule(p, {.names = {"socket"}, .args = {{.index = 0, .value = 2}}}); },
         "syscalls: socket"},
        {"all protocols of a type",
         [](Policy& p) { AddRule(p, {.names = {"socket"}, .args = {{.index = 0, .value = 2}, {.index = 1, .value = 1}}}); },
         "syscalls: socket"},
        {"one that fails otherwise",
         [](Policy& p) {
           AddRule(p, {.names = {"socket"}, .args = {{.index = 0, .value = 2}, {.index = 1, .value = 1}, {.index = 2, .value = 262}}});
         },
         "syscalls: socket"},
        {"another argument",
         [](Policy& p) { AddRule(p, {.names = {"socket"}, .args = {{.index = 1, .value = 1}}}); }, "syscalls: socket"}}},
      {"syscalls.args.op",
       {{"all but one",
         [](Policy& p) { AddRule(p, {.names = {"socket"}, .args = {{.index = 0, .op = ArgumentRule::Op::kNotEqual, .value = 1}}}); },
         "syscalls: socket"}}},
      {"syscalls.args.value",
       {{"another value",
         [](Policy& p) { AddRule(p, {.names = {"socket"}, .args = {{.index = 0, .value = 16}}}); }, "syscalls: socket"}}},
      {"syscalls.args.mask",
       {{"less of it",
         [](Policy& p) {
           AddRule(p, {.names = {"clone"}, .args = {{.index = 0, .op = ArgumentRule::Op::kMaskedEqual, .value = 0, .mask = 1}}});
         },
         "syscalls: clone"},
        {"an exception that is forgotten", [](Policy& p) { AddRule(p, {.names = {"chmod"}}); }, "syscalls: chmod"}}},
      {"syscalls.action",
       {{"logged", [](Policy& p) { AddRule(p, {.names = {"mount"}, .action = SyscallAction::kLog}); }, "syscalls: mount"},
        {"reported instead of refused", [](Policy& p) { AddRule(p, {.names = {"mount"}, .action = SyscallAction::kNotify}); }, "syscalls: mount"},
        {"unseen", [](Policy& p) { AddRule(p, {.names = {"mount"}, .action = SyscallAction::kErrno, .errno_value = 1}); }, "syscalls: mount"}}},
      {"syscalls.args.width",
       {{"the low half of another",
         [](Policy& p) { AddRule(p, {.names = {"personality"}, .args = {{.index = 0, .value = 0, .width = 32}}}); }, "syscalls: personality"}}},
      {"syscalls.errno", {}},  // What a refused call is told.
      {"syscalls.layer",
       {{"a near allowance", [](Policy& p) { p.syscalls.push_back({.names = {"@kernel-surface"}, .layer = 100}); }, "syscalls: "}}},
      {"unlisted", {{"let through", [](Policy& p) { p.unlisted = SyscallAction::kAllow; }, "unlisted"},
                    {"logged", [](Policy& p) { p.unlisted = SyscallAction::kLog; }, "unlisted"}}},
      {"unlisted_errno", {}},
      {"limits.memory", {{"more", [](Policy& p) { p.limits.memory_bytes = 200 << 20; }, "limits.memory"}}},
      {"limits.processes", {{"more", [](Policy& p) { p.limits.processes = 11; }, "limits.processes"}}},
      {"limits.cpu_time", {{"more", [](Policy& p) { p.limits.cpu_time = absl::Seconds(11); }, "limits.cpu_time"}}},
      {"limits.wall_time",
       {{"more", [](Policy& p) { p.limits.wall_time = absl::Seconds(21); }, "limits.wall_time"},
        {"for ever", [](Policy& p) { p.limits.wall_time = absl::InfiniteDuration(); }, "limits.wall_time"}}},
      {"limits.output", {{"more", [](Policy& p) { p.limits.output_bytes = 2 << 20; }, "limits.output"}}},
      {"limits.file_size", {{"more", [](Policy& p) { p.limits.file_size_bytes = 2 << 20; }, "limits.file_size"}}},
      {"limits.open_files", {{"more", [](Policy& p) { p.limits.open_files = 101; }, "limits.open_files"}}},
      {"limits.core", {{"more", [](Policy& p) { p.limits.core_bytes = 1; }, "limits.core"}}},
      {"limits.cpus", {{"more", [](Policy& p) { p.limits.cpus_milli = 1501; }, "limits.cpus"}}},
      {"limits.grace",
       {{"more time", [](Policy& p) { p.limits.grace = absl::Seconds(1); }, "limits.grace: 1s"},
        {"by default", [](Policy& p) { p.default_limits.grace = absl::Seconds(1); }, "limits.grace: 1s"},
        {"less, and too much in all", [](Policy& p) { p.limits.wall_time = absl::Seconds(19); p.limits.grace = absl::Seconds(2); }, "limits.grace: 2s"}}},
      {"limits.rlimits", {{"more", [](Policy& p) { p.limits.rlimits["stack"] = 2 << 20; }, "limits.rlimits: stack"}}},
      {"limits.cpu_set",
       {{"another", [](Policy& p) { p.limits.cpu_set = CpuSet(0b1); }, "limits.cpu_set: 0"},
        {"one more", [](Policy& p) { p.limits.cpu_set = CpuSet(0b111); }, "limits.cpu_set: 0-2"}}},
      {"limits.cpu_weight", {{"more", [](Policy& p) { p.limits.cpu_weight = 51; }, "limits.cpu_weight"}}},
      {"limits.io_weight", {{"more", [](Policy& p) { p.limits.io_weight = 61; }, "limits.io_weight"}}},
      {"limits.disk", {{"more", [](Policy& p) { p.limits.disk_bytes = 2 << 20; }, "limits.disk"}}},
      {"limits.io_rate", {{"more", [](Policy& p) { p.limits.io_rate_bytes = 2 << 20; }, "limits.io_rate"}}},
      // Those that nobody asked for are lowered: AHigherDefaultBecomesTheCeilings.
      {"default_limits.memory", {}},
      {"default_limits.processes", {}},
      {"default_limits.cpu_time", {}},
      {"default_limits.wall_time", {}},
      {"default_limits.output", {}},
      {"default_limits.file_size", {}},
      {"default_limits.open_files", {}},
      {"default_limits.core", {}},
      {"default_limits.cpus", {}},
      {"default_limits.cpu_set", {}},
      {"default_limits.rlimits", {}},
      {"default_limits.grace", {}},
      {"default_limits.cpu_weight", {}},
      {"default_limits.io_weight", {}},
      {"default_limits.disk", {}},
      {"default_limits.io_rate", {}},
      {"allow_weaker", {{"another", [](Policy& p) { p.allow_weaker.insert(Layer::kProcesses); }, "allow_weaker"}}},
  };
  return *all;
}

TEST(CeilingTest, EveryFieldOfThePolicySchemaIsTried) {
  std::set<std::string> tried;
  for (const auto& [field, attempts] : Attempts()) tried.insert(field);
  std::set<std::string> fields = FieldsOf(fbs::PolicyTypeTable());
  for (const char* table : {"files", "network", "syscalls", "syscalls.args", "limits", "default_limits", "clocks", "ids", "process", "bpf_files"}) fields.erase(table);
  EXPECT_EQ(tried, fields);
}

TEST(CeilingTest, MoreOfAnyFieldIsRefusedByName) {
  for (const auto& [field, attempts] : Attempts()) {
    for (const Attempt& attempt : attempts) {
      Policy asked = Ceiling();
      attempt.change(asked);
      const absl::StatusOr<Policy> got = Tighten(Ceiling(), asked);
      EXPECT_TRUE(absl::IsPermissionDenied(got.status())) << field << ", " << attempt.what << ": " << got.status();
      EXPECT_TRUE(absl::StrContains(got.status().message(), attempt.refused)) << attempt.what << ": " << got.status();
    }
  }
}

TEST(CeilingTest, ACallThatIsRefusedBesideItsGroupIsNotGivenWithTheGroup) {
  Policy ceiling = Ceiling();
  ceiling.syscalls.push_back({.names = {"listen"}, .action = SyscallAction::kKill, .layer = 7});
  ceiling.syscalls.push_back({.names = {"@sockets"}, .layer = 7});
  Policy asked = Ceiling();
  EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status())) << Tighten(ceiling, asked).status();
  asked.syscalls.push_back({.names = {"listen"}, .action = SyscallAction::kErrno, .errno_value = 13, .layer = 7});
  EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status())) << Tighten(ceiling, asked).status();
  asked.syscalls.back() = {.names = {"listen"}, .action = SyscallAction::kKill, .layer = 7};
  EXPECT_TRUE(Tighten(ceiling, asked).ok()) << Tighten(ceiling, asked).status();
}

TEST(CeilingTest, WhatIsReadBackStaysSo) {
  Policy asked = Ceiling();
  asked.read_back = false;
  const absl::StatusOr<Policy> got = Tighten(Ceiling(), asked);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(got->read_back);
}

TEST(CeilingTest, WhatIsMitigatedStaysSoForWhoDoesNotAsk) {
  Policy ceiling = Ceiling();
  ceiling.speculation = SpeculationControl::kMitigate;
  const absl::StatusOr<Policy> got = Tighten(ceiling, Ceiling());
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->speculation, SpeculationControl::kMitigate);
}

TEST(CeilingTest, MoreMitigationThanTheCeilingsIsGiven) {
  Policy asked = Ceiling();
  asked.speculation = SpeculationControl::kMitigate;
  const absl::StatusOr<Policy> got = Tighten(Ceiling(), asked);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->speculation, SpeculationControl::kMitigate);
}

TEST(CeilingTest, WhatIsTheSameOrLessIsGiven) {
  const Attempt less[] = {
      {"the same", [](Policy&) {}, ""},
      {"time to end in, of the same time", [](Policy& p) { p.limits.wall_time = absl::Seconds(15); p.limits.grace = absl::Seconds(5); }, ""},
      {"no network", [](Policy& p) { p.network.mode = NetworkMode::kNone; }, ""},
      {"less to see", [](Policy& p) { Drop(p, "/usr"); Drop(p, "/made/in"); }, ""},
      {"nothing of a folder, with what hides parts of it",
       [](Policy& p) { Drop(p, "/data"); Drop(p, "/data/hidden"); Drop(p, "/data/fixed"); }, ""},
      {"nothing made, and no device",
       [](Policy& p) { Drop(p, "/given"); Drop(p, "/both"); Drop(p, "/dev/dri"); Drop(p, "/dev/dri/card0"); Drop(p, "/made"); Drop(p, "/made/in"); }, ""},
      {"what is made, empty", [](Policy& p) { Drop(p, "/made/in"); }, ""},
      {"devices to look at", [](Policy& p) { RuleFor(p, "/dev/dri").access = FileRule::Access::kReadOnly; }, ""},
      {"not to write", [](Policy& p) { RuleFor(p, "/data").access = FileRule::Access::kReadOnly; }, ""},
      {"not to execute", [](Policy& p) { RuleFor(p, "/data").no_exec = true; }, ""},
      {"a smaller one", [](Policy& p) { RuleFor(p, "/data/hidden").size_bytes = 1 << 20; }, ""},
      {"lower limits", [](Policy& p) { p.limits.memory_bytes = 1 << 20; p.limits.wall_time = absl::Seconds(1); }, ""},
      {"a further resource limit, and a lower one",
       [](Policy& p) {
         p.limits.rlimits["memlock"] = 0;
         p.limits.rlimits["stack"] = 1 << 10;
       },
       ""},
      {"one CPU of two", [](Policy& p) { p.limits.cpu_set = CpuSet(0b10); }, ""},
      {"no weaker layers", [](Policy& p) { p.allow_weaker.clear(); }, ""},
      {"one id, another one, without capabilities", [](Policy& p) { p.ids = {.uid = 0, .gid = 0}; p.capabilities.clear(); }, ""},
      {"no sockets", [](Policy& p) { AddRule(p, {.names = {"socket"}, .action = SyscallAction::kKill}); }, ""},
      {"one family of sockets", [](Policy& p) { AddRule(p, {.names = {"socket"}, .args = {{.index = 0, .value = 1}}}); }, ""},
      {"one family, of one type",
       [](Policy& p) { AddRule(p, {.names = {"socket"}, .args = {{.index = 0, .value = 1}, {.index = 1, .value = 1}}}); }, ""},
      {"one family, of one type and protocol",
       [](Policy& p) {
         AddRule(p, {.names = {"socket"}, .args = {{.index = 0, .value = 10}, {.index = 1, .value = 2}, {.index = 2, .value = 17, .width = 32}}});
       },
       ""},
      {"more unlisted is killed", [](Policy& p) { p.unlisted = SyscallAction::kKill; }, ""},
      {"another environment", [](Policy& p) { p.environment = EnvironmentBase::kInherit; }, ""},
  };
  for (const Attempt& attempt : less) {
    Policy asked = Ceiling();
    attempt.change(asked);
    EXPECT_TRUE(Tighten(Ceiling(), asked).ok()) << attempt.what << ": " << Tighten(Ceiling(), asked).status();
  }
}

// The place of a rule is behind a link of the host, so that what it hides is shown by another rule.
TEST(CeilingTest, WhatALinkOfTheMachineLeadsToStaysHidden) {
  const std::filesystem::path directory = std::filesystem::path(testing::TempDir()) / "ceiling_test_links";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory / "shown");
  std::error_code error;
  std::filesystem::create_directory_symlink("/data", directory / "shown" / "link", error);
  if (error) GTEST_SKIP() << "no link can be made: " << error.message();
  Policy ceiling = Ceiling();
  ceiling.files.push_back({.source = (directory / "shown").string(), .destination = "/shown"});
  ceiling.files.push_back({.kind = FileRule::Kind::kTmpfs, .destination = "/shown/link/secret", .access = FileRule::Access::kReadWrite});
  EXPECT_TRUE(Tighten(ceiling, ceiling).ok()) << Tighten(ceiling, ceiling).status();
  Policy asked = ceiling;
  Drop(asked, "/shown");
  EXPECT_TRUE(absl::StrContains(Tighten(ceiling, asked).status().message(), "without /shown, in which a link leads to /shown/link/secret")) << Tighten(ceiling, asked).status();
  Drop(asked, "/shown/link/secret");
  EXPECT_FALSE(Tighten(ceiling, asked).ok());
  std::filesystem::remove_all(directory);
}

TEST(CeilingTest, BuiltinPoliciesThatAreTighterAreGiven) {
  const std::vector<std::string_view> names = BuiltinPolicyNames();
  for (const std::string_view name : names) {
    EXPECT_TRUE(Tighten(BuiltinPolicy("none").value(), BuiltinPolicy(name).value()).ok()) << name;
    EXPECT_EQ(Tighten(BuiltinPolicy("strict").value(), BuiltinPolicy(name).value()).ok(), name == "strict") << name;
  }
  const absl::StatusOr<Policy> strict = Tighten(BuiltinPolicy("default").value(), BuiltinPolicy("strict").value());
  EXPECT_TRUE(strict.ok()) << strict.status();
  EXPECT_FALSE(Tighten(BuiltinPolicy("default").value(), BuiltinPolicy("networked").value()).ok());
  EXPECT_FALSE(Tighten(BuiltinPolicy("default").value(), BuiltinPolicy("none").value()).ok());
}

TEST(CeilingTest, ALimitThatNobodyAsksForIsTheCeilings) {
  Policy asked = Ceiling();
  asked.limits = Limits();
  const absl::StatusOr<Policy> got = Tighten(Ceiling(), asked);
  ASSERT_TRUE(got.ok()) << got.status();
  // Taken apart, so that a new limit does not compile until it is looked at.
  const auto& [memory, processes, cpu_time, wall_time, output, file_size, open_files, core, cpus, cpu_weight, io_weight, disk, io_rate, cpu_set, rlimits, grace] = got->limits;
  EXPECT_EQ(memory, 100u << 20);
  EXPECT_EQ(processes, 10u);
  EXPECT_EQ(cpu_time, absl::Seconds(10));
  EXPECT_EQ(wall_time, absl::Seconds(20));
  EXPECT_EQ(output, 1u << 20);
  EXPECT_EQ(file_size, 1u << 20);
  EXPECT_EQ(open_files, 100u);
  EXPECT_EQ(core, 0u);
  EXPECT_EQ(cpus, 1500u);
  EXPECT_EQ(cpu_weight, 50u);
  EXPECT_EQ(io_weight, 60u);
  EXPECT_EQ(disk, 1u << 20);
  EXPECT_EQ(io_rate, 1u << 20);
  EXPECT_EQ(cpu_set, CpuSet(0b110));
  EXPECT_EQ(rlimits, (std::map<std::string, uint64_t>{{"stack", 1 << 20}}));
  EXPECT_EQ(grace, std::nullopt);  // It gives more time.
}

TEST(CeilingTest, AHigherDefaultBecomesTheCeilings) {
  Policy ceiling = Ceiling();
  ceiling.default_limits = Limits{.memory_bytes = 1 << 20, .processes = 5, .cpu_set = CpuSet(0b110), .rlimits = {{"memlock", 8}, {"data", 7}}};
  ceiling.limits.memory_bytes.reset();
  ceiling.limits.cpu_set.reset();
  Policy asked = ceiling;
  asked.limits = Limits();
  asked.default_limits = Limits{.memory_bytes = 2 << 20, .processes = 50, .cpu_set = CpuSet(0b11), .rlimits = {{"memlock", 9}}};
  const absl::StatusOr<Policy> got = Tighten(ceiling, asked);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->default_limits.memory_bytes, 1u << 20);
  EXPECT_EQ(got->default_limits.cpu_set, CpuSet(0b10));  // Those of both.
  EXPECT_EQ(got->default_limits.rlimits, (std::map<std::string, uint64_t>{{"data", 7}, {"memlock", 8}}));
  asked.default_limits.cpu_set = CpuSet(0b1);
  EXPECT_EQ(Tighten(ceiling, asked)->default_limits.cpu_set, CpuSet(0b110));
  EXPECT_EQ(got->limits.processes, 10u);  // Required, as in the ceiling.
}

TEST(CeilingTest, WhereAllIsShownButRightsAreDroppedNoRootOfItsOwnCanBeAskedFor) {
  Policy ceiling = BuiltinPolicy("none").value();
  ceiling.drop_privileges = true;
  Policy asked = ceiling;
  asked.namespaces = {Layer::kMount};
  asked.files = {{.source = "/root", .destination = "/root"}};
  EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status()));
  asked.namespaces = {Layer::kUser};
  asked.files.clear();
  EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status()));
}

TEST(CeilingTest, LandlockThatIsRequiredMustBeAskedForAsThat) {
  Policy ceiling = Ceiling();
  ceiling.landlock = LandlockUse::kRequired;
  Policy asked = Ceiling();
  EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status()));
  EXPECT_TRUE(Tighten(asked, ceiling).ok()) << Tighten(asked, ceiling).status();
}

TEST(CeilingTest, AttributesAndFiltersOfTheCeilingHoldForAll) {
  Policy ceiling = Ceiling();
  ceiling.process.disable_tsc = ceiling.process.deny_write_execute = true;
  Policy asked = ceiling;
  asked.process = ProcessAttributes();
  asked.bpf_files.clear();
  absl::StatusOr<Policy> got = Tighten(ceiling, asked);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->process.nice, 5);
  EXPECT_EQ(got->process.oom_score_adj, 100);
  EXPECT_EQ(got->process.umask, 022u);
  EXPECT_TRUE(got->process.disable_tsc && got->process.deny_write_execute);
  ASSERT_EQ(got->bpf_files.size(), 1u);
  EXPECT_EQ(got->bpf_files[0].program, "ABCDEFGH");
  // Who asks for the same, or for less, has that, once.
  asked = ceiling;
  asked.process.nice = 19;
  asked.process.umask = 077;
  asked.bpf_files[0].path = "/mine.bpf";
  got = Tighten(ceiling, asked);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->process.nice, 19);
  EXPECT_EQ(got->process.umask, 077u);
  EXPECT_EQ(got->bpf_files.size(), 1u);
}

TEST(CeilingTest, TheLabelOfTheCeilingIsThatOfAll) {
  for (const char* base : {"strict", "none"}) {
    Policy ceiling = BuiltinPolicy(base).value();
    ceiling.label = "brood-job";
    Policy asked = BuiltinPolicy(base).value();
    EXPECT_EQ(Tighten(ceiling, asked)->label, "brood-job") << base;
    asked.label = "brood-job";
    EXPECT_EQ(Tighten(ceiling, asked)->label, "brood-job") << base;
    for (const char* other : {"unconfined", "&brood-job"}) {
      asked.label = other;
      EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status())) << base << ", " << other;
    }
  }
  // What the server itself does not have taken away from it gives nothing.
  Policy asked = BuiltinPolicy("none").value();
  asked.label = "brood-job";
  EXPECT_EQ(Tighten(BuiltinPolicy("none").value(), asked)->label, "brood-job");
}

// What its own filter makes a violation of, another filter could make an error of.
TEST(CeilingTest, AnotherFilterIsForCeilingsWithoutOne) {
  Policy ceiling = BuiltinPolicy("none").value();
  ceiling.drop_privileges = true;
  Policy asked = ceiling;
  asked.bpf_files = {{.path = "/a.bpf", .program = "ABCDEFGH"}};
  EXPECT_TRUE(Tighten(ceiling, asked).ok());
  ceiling.filter_syscalls = asked.filter_syscalls = true;
  EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status()));
}

TEST(CeilingTest, APriorityBelowZeroIsTheUnconfinedsAlone) {
  Policy ceiling = BuiltinPolicy("default").value();
  Policy asked = ceiling;
  asked.process.nice = -1;
  EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status()));
  asked.process.nice = 0;
  asked.process.oom_score_adj = -1;
  EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status()));
  const Policy none = BuiltinPolicy("none").value();
  asked = none;
  asked.process = {.nice = -1, .oom_score_adj = -1, .personality = {"uname26"}};
  EXPECT_TRUE(Tighten(none, asked).ok()) << Tighten(none, asked).status();
}

TEST(CeilingTest, ASystemThatTheCeilingHasNotCannotBeAskedFor) {
  Policy ceiling = Ceiling();
  ceiling.minimal_system = false;
  Policy asked = ceiling;
  asked.minimal_system = true;
  EXPECT_TRUE(absl::IsPermissionDenied(Tighten(ceiling, asked).status()));
}

}  // namespace
}  // namespace brood
