#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "sandbox/errno_words.h"
#include "sandbox/made_files.h"
#include "sandbox/policy_flatbuffer.h"
#include "sandbox/policy_words.h"

namespace brood {
namespace {

using namespace internal;  // NOLINT(build/namespaces): the word lists.
using flatbuffers::Offset;
using Strings = flatbuffers::Vector<Offset<flatbuffers::String>>;

template <typename T, size_t N>
std::string_view WriteWord(const Word<T> (&words)[N], T value) {
  for (const Word<T>& word : words) {
    if (word.value == value) return word.text;
  }
  return "";
}

using Builder = flatbuffers::FlatBufferBuilder;

Offset<flatbuffers::String> Text(Builder& builder, std::string_view text) {
  return builder.CreateString(text.data(), text.size());
}

Offset<Strings> WriteStrings(Builder& builder, const std::vector<std::string>& strings) {
  return builder.CreateVectorOfStrings(strings);
}

Offset<Strings> WriteLayers(Builder& builder, const LayerSet& layers) {
  std::vector<std::string> names;
  for (const Layer layer : layers) names.emplace_back(LayerName(layer));
  return WriteStrings(builder, names);
}

// Only the fields that go with its kind are there, as in what people write.
Offset<fbs::FileRule> WriteFileRule(Builder& builder, const FileRule& rule) {
  const bool tmpfs = rule.kind == FileRule::Kind::kTmpfs;
  const bool overlay = rule.kind == FileRule::Kind::kOverlay;
  const bool merged = rule.kind == FileRule::Kind::kMerged;
  const bool bind = rule.kind == FileRule::Kind::kBind;
  const bool directory = rule.kind == FileRule::Kind::kDirectory;
  const auto place = Text(builder, rule.destination);
  const auto source = ShowsHost(rule) ? Text(builder, rule.source) : 0;
  const auto text = !ShowsHost(rule) && !tmpfs && !directory ? Text(builder, rule.text) : 0;
  // Without one it is the usual.
  const bool sized = rule.size_bytes > 0 && (tmpfs || (overlay && rule.changes.empty()));
  const auto size = sized ? Text(builder, absl::StrCat(rule.size_bytes)) : 0;
  const auto access = bind ? Text(builder, WriteWord(kAccessWords, rule.access)) : merged ? Text(builder, "ro") : 0;
  const auto changes = overlay && !rule.changes.empty() ? Text(builder, rule.changes) : 0;
  const auto below = rule.layers.empty() ? 0 : WriteStrings(builder, rule.layers);
  const auto mode = rule.mode.has_value() ? Text(builder, ModeText(*rule.mode)) : 0;
  fbs::FileRuleBuilder table(builder);
  if (bind) table.add_path(source);
  if (overlay || merged) table.add_overlay(source);
  if (tmpfs) table.add_tmpfs(place);
  if (directory) table.add_directory(place);
  if (!tmpfs && !directory) table.add_at(place);
  if (rule.kind == FileRule::Kind::kSymlink) table.add_symlink(text);
  if (rule.kind == FileRule::Kind::kFile) table.add_content(text);
  table.add_size(size);
  table.add_access(access);
  table.add_optional(bind && rule.optional);
  table.add_changes(changes);
  table.add_below(below);
  table.add_mode(mode);
  table.add_noexec(rule.no_exec);
  return table.Finish();
}

Offset<fbs::SyscallRule> WriteSyscallRule(Builder& builder, const SyscallRule& rule) {
  std::vector<Offset<fbs::ArgumentRule>> args;
  for (const ArgumentRule& argument : rule.args) {
    const auto op = Text(builder, WriteWord(kOpWords, argument.op));
    const auto value = Text(builder, absl::StrCat(argument.value));
    const bool masked = argument.op == ArgumentRule::Op::kMaskedEqual;
    const auto mask = masked ? Text(builder, absl::StrCat(argument.mask)) : 0;
    args.push_back(fbs::CreateArgumentRule(builder, argument.index, op, value, mask, argument.width));
  }
  const auto names = WriteStrings(builder, rule.names);
  const auto written_args = builder.CreateVector(args);
  const auto action = Text(builder, WriteWord(kActionWords, rule.action));
  const auto error = rule.action == SyscallAction::kErrno ? Text(builder, ErrnoWord(rule.errno_value)) : 0;
  return fbs::CreateSyscallRule(builder, names, written_args, action, error, rule.layer);
}

Offset<flatbuffers::String> WriteTime(Builder& builder, absl::Duration time) {
  const int64_t nanoseconds = absl::ToInt64Nanoseconds(time);
  const std::string fraction = absl::StrCat(absl::Dec(nanoseconds % 1'000'000'000, absl::kZeroPad9));
  return Text(builder, absl::StrCat(nanoseconds / 1'000'000'000, ".", fraction, "s"));
}

Offset<fbs::Clocks> WriteClocks(Builder& builder, const Clocks& clocks) {
  const auto clock = [&](absl::Duration start) { return start == absl::ZeroDuration() ? 0 : WriteTime(builder, start); };
  if (clocks.monotonic == absl::ZeroDuration() && clocks.boottime == absl::ZeroDuration()) return 0;
  const auto monotonic = clock(clocks.monotonic);
  return fbs::CreateClocks(builder, monotonic, clock(clocks.boottime));
}

Offset<fbs::Process> WriteProcess(Builder& builder, const ProcessAttributes& process) {
  const auto& [nice_value, oom_value, umask_value, flags, disable_tsc, deny_write_execute] = process;
  if (process == ProcessAttributes()) return 0;
  const auto nice = nice_value ? Text(builder, absl::StrCat(*nice_value)) : 0;
  const auto oom_score_adj = oom_value ? Text(builder, absl::StrCat(*oom_value)) : 0;
  const auto umask = umask_value ? Text(builder, absl::StrFormat("%04o", *umask_value)) : 0;
  const auto personality = flags.empty() ? 0 : WriteStrings(builder, {flags.begin(), flags.end()});
  return fbs::CreateProcess(builder, nice, oom_score_adj, umask, personality, disable_tsc, deny_write_execute);
}

Offset<flatbuffers::Vector<Offset<fbs::BpfFile>>> WriteBpfFiles(Builder& builder, const std::vector<BpfFile>& files) {
  if (files.empty()) return 0;
  std::vector<Offset<fbs::BpfFile>> written;
  for (const auto& [path, program] : files) {
    const auto bytes = builder.CreateVector(reinterpret_cast<const uint8_t*>(program.data()), program.size());
    written.push_back(fbs::CreateBpfFile(builder, Text(builder, path), bytes));
  }
  return builder.CreateVector(written);
}

}  // namespace

Offset<fbs::Limits> EncodeLimits(Builder& builder, const Limits& limits) {
  const auto size = [&](std::optional<uint64_t> bytes) -> Offset<flatbuffers::String> {
    return bytes.has_value() ? Text(builder, absl::StrCat(*bytes)) : 0;
  };
  const auto time = [&](std::optional<absl::Duration> duration) -> Offset<flatbuffers::String> {
    if (!duration.has_value() || *duration == absl::InfiniteDuration()) return 0;
    return WriteTime(builder, *duration);
  };
  const auto count = [](std::optional<uint64_t> value) {
    return value.has_value() ? flatbuffers::Optional<uint64_t>(*value) : flatbuffers::nullopt;
  };
  const auto memory = size(limits.memory_bytes);
  const auto cpu_time = time(limits.cpu_time);
  const auto wall_time = time(limits.wall_time);
  const auto output = size(limits.output_bytes);
  const auto file_size = size(limits.file_size_bytes);
  const auto core = size(limits.core_bytes);
  const std::optional<uint64_t> milli = limits.cpus_milli;
  const auto cpus = milli ? Text(builder, absl::StrCat(*milli / 1000, ".", absl::Dec(*milli % 1000, absl::kZeroPad3))) : 0;
  const auto io_rate = size(limits.io_rate_bytes);
  const auto disk = size(limits.disk_bytes);
  std::vector<std::string> texts;
  for (const auto& [name, value] : limits.rlimits) texts.push_back(absl::StrCat(name, "=", value));
  const auto grace = time(limits.grace);
  const auto rlimits = texts.empty() ? 0 : WriteStrings(builder, texts);
  const auto cpu_set = limits.cpu_set ? Text(builder, CpuSetText(*limits.cpu_set)) : 0;
  return fbs::CreateLimits(builder, memory, count(limits.processes), cpu_time, wall_time, output, file_size,
                           count(limits.open_files), core, cpus, count(limits.cpu_weight), count(limits.io_weight), io_rate, disk, cpu_set, rlimits, grace);
}

std::string EncodePolicy(const Policy& policy) {
  Builder builder;
  std::vector<Offset<fbs::FileRule>> files;
  for (size_t i = 0; i < policy.files.size(); ++i) {
    const auto same_place = [&](const FileRule& later) { return later.destination == policy.files[i].destination; };
    const auto later = policy.files.begin() + static_cast<ptrdiff_t>(i) + 1;
    const bool replaced = std::any_of(later, policy.files.end(), same_place);
    if (!replaced) files.push_back(WriteFileRule(builder, policy.files[i]));
  }
  std::vector<Offset<fbs::SyscallRule>> syscalls;
  for (const SyscallRule& rule : policy.syscalls) syscalls.push_back(WriteSyscallRule(builder, rule));
  const auto mode = Text(builder, WriteWord(kNetworkWords, policy.network.mode));
  const auto network = fbs::CreateNetwork(builder, mode, WriteStrings(builder, policy.network.to));
  const auto name = Text(builder, policy.name);
  const auto namespaces = WriteLayers(builder, policy.namespaces);
  const auto written_files = builder.CreateVector(files);
  const auto written_syscalls = builder.CreateVector(syscalls);
  const auto unlisted = Text(builder, WriteWord(kActionWords, policy.unlisted));
  const auto unlisted_errno =
      policy.unlisted == SyscallAction::kErrno ? Text(builder, ErrnoWord(policy.unlisted_errno)) : 0;
  const auto environment = Text(builder, WriteWord(kEnvironmentWords, policy.environment));
  const auto landlock = Text(builder, WriteWord(kLandlockWords, policy.landlock));
  const auto speculation = Text(builder, WriteWord(kSpeculationWords, policy.speculation));
  const auto hostname = policy.hostname.empty() ? 0 : Text(builder, policy.hostname);
  const auto limits = EncodeLimits(builder, policy.limits);
  const auto default_limits = EncodeLimits(builder, policy.default_limits);
  const auto allow_weaker = WriteLayers(builder, policy.allow_weaker);
  const auto clocks = WriteClocks(builder, policy.clocks);
  const auto ids = fbs::CreateIds(builder, policy.ids.uid, policy.ids.gid, policy.ids.count);
  const auto capabilities = WriteStrings(builder, policy.capabilities);
  const auto process = WriteProcess(builder, policy.process);
  const auto bpf_files = WriteBpfFiles(builder, policy.bpf_files);
  const auto label = policy.label.empty() ? 0 : Text(builder, policy.label);
  const auto proc = Text(builder, WriteWord(kProcWords, policy.proc));
  const auto groups = policy.groups.empty() ? 0 : builder.CreateVector(policy.groups);
  fbs::FinishPolicyBuffer(
      builder, fbs::CreatePolicy(builder, 0, name, namespaces, policy.drop_privileges, policy.minimal_system,
                                 written_files, network, policy.filter_syscalls, written_syscalls, unlisted,
                                 unlisted_errno, environment, hostname, limits, default_limits, allow_weaker, landlock, policy.read_back, clocks,
                                 ids, capabilities, speculation, process, bpf_files, groups, label, proc));
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

}  // namespace brood
