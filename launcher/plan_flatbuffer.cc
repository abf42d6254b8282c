#include "launcher/plan_flatbuffer.h"

#include <linux/mount.h>

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "sandbox/mounts_child.h"
#include "sandbox/policy.h"
#include "serialization/verify.h"

namespace brood::internal {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

constexpr size_t kMaxFilter = 4096;  // BPF_MAXINSNS

Offset<flatbuffers::String> Text(Builder& builder, const char* text) {
  return text != nullptr ? builder.CreateString(text) : Offset<flatbuffers::String>();
}

Offset<fbs::Mount> WriteMount(Builder& builder, const MountStep& step) {
  const auto& [kind, source_text, target_text, text_text, attributes, optional, lent, idmapped, idmap_required, mode, device] = step;
  const auto source = Text(builder, source_text);
  const auto target = Text(builder, target_text);
  const auto text = Text(builder, text_text);
  return fbs::CreateMount(builder, static_cast<uint8_t>(kind), source, target, text, attributes, optional, lent, idmapped,
                          idmap_required, mode, device);
}

absl::Status Damaged(std::string_view what) { return absl::DataLossError(absl::StrCat("plan: ", what)); }

// The overlay whose layers the steps end with; null: they end otherwise.
const MountStep* OpenOverlay(const std::vector<MountStep>& steps) {
  size_t last = steps.size();
  while (last > 0 && steps[last - 1].kind == MountStep::Kind::kLayer) --last;
  return last > 0 && steps[last - 1].kind == MountStep::Kind::kOverlay ? &steps[last - 1] : nullptr;
}

bool AwaitsChanges(const std::vector<MountStep>& steps) {
  const MountStep* const overlay = OpenOverlay(steps);
  return overlay != nullptr && overlay->text == nullptr && (overlay->attributes & MOUNT_ATTR_RDONLY) == 0;
}

absl::Status FitsAfter(const std::vector<MountStep>& steps, MountStep::Kind kind) {
  if (kind == MountStep::Kind::kLayer) {
    const MountStep* const overlay = OpenOverlay(steps);
    if (overlay == nullptr) return Damaged("a layer of no overlay");
    const size_t layers = steps.size() - static_cast<size_t>(overlay - steps.data());
    return layers <= kMaxLayers ? absl::OkStatus() : Damaged("an overlay of too many layers");
  }
  return AwaitsChanges(steps) == (kind == MountStep::Kind::kChanges) ? absl::OkStatus() : Damaged("an overlay and its changes go together");
}

Offset<flatbuffers::Vector<Offset<fbs::FurtherFilter>>> WriteFurtherFilters(Builder& builder, const FurtherFilter* filters, size_t count) {
  std::vector<Offset<fbs::FurtherFilter>> written;
  for (size_t i = 0; i < count; ++i) {
    const auto& [path_text, program, length] = filters[i];
    std::vector<fbs::Instruction> instructions;
    for (size_t at = 0; at < length; ++at) instructions.emplace_back(program[at].code, program[at].jt, program[at].jf, program[at].k);
    const auto path = Text(builder, path_text);
    written.push_back(fbs::CreateFurtherFilter(builder, path, builder.CreateVectorOfStructs(instructions)));
  }
  return written.empty() ? 0 : builder.CreateVector(written);
}

Offset<fbs::Attributes> WriteAttributes(Builder& builder, const AttributeSteps& steps) {
  const auto& [sets_nice, nice, sets_oom_score_adj, oom_score_adj, sets_umask, umask, personality, disable_tsc, deny_write_execute] = steps;
  return fbs::CreateAttributes(builder, sets_nice, nice, sets_oom_score_adj, oom_score_adj, sets_umask, umask, personality, disable_tsc, deny_write_execute);
}

void ReadAttributes(const fbs::Attributes* from, AttributeSteps* to) {
  if (from == nullptr) return;
  *to = {.sets_nice = from->sets_nice(),
         .nice = from->nice(),
         .sets_oom_score_adj = from->sets_oom_score_adj(),
         .oom_score_adj = from->oom_score_adj(),
         .sets_umask = from->sets_umask(),
         .umask = from->umask(),
         .personality = from->personality(),
         .disable_tsc = from->disable_tsc(),
         .deny_write_execute = from->deny_write_execute()};
}

Offset<fbs::Label> WriteLabel(Builder& builder, const LabelStep& step) {
  const auto& [module, text, any_mode] = step;
  if (module == LabelStep::Module::kNone) return 0;
  return fbs::CreateLabel(builder, static_cast<uint8_t>(module), Text(builder, text), any_mode);
}

const char* Pointer(const flatbuffers::String* text) { return text != nullptr ? text->c_str() : nullptr; }

absl::Status ReadDestination(const fbs::Destination& from, std::vector<DestinationRecord>& out) {
  DestinationRecord record;
  if (from.kind() > static_cast<uint8_t>(DestinationRecord::Kind::kUnix)) return Damaged("unknown kind of destination");
  record.kind = static_cast<DestinationRecord::Kind>(from.kind());
  if (from.address() == nullptr || from.address()->size() != sizeof(record.address)) return Damaged("a destination's address");
  std::copy(from.address()->begin(), from.address()->end(), record.address);
  record.prefix_bits = from.prefix_bits();
  if (record.prefix_bits > (record.kind == DestinationRecord::Kind::kInet4 ? 32 : 128)) return Damaged("a destination's prefix");
  record.port = from.port();
  record.path = Pointer(from.path());
  if (record.kind == DestinationRecord::Kind::kUnix && record.path == nullptr) return Damaged("a destination without its path");
  out.push_back(record);
  return absl::OkStatus();
}

absl::Status ReadFurtherFilters(const fbs::Plan& from, ReceivedPlan& out) {
  out.plan.further_filters_let_read = from.further_filters_let_read();
  if (from.further_filters() == nullptr) return absl::OkStatus();
  for (const fbs::FurtherFilter* filter : *from.further_filters()) {
    if (filter->path() == nullptr || filter->program() == nullptr || filter->program()->size() == 0 || filter->program()->size() > kMaxFilter) return Damaged("a further filter");
    std::vector<sock_filter>& program = out.further_programs.emplace_back();
    for (const fbs::Instruction* instruction : *filter->program()) program.push_back({instruction->code(), instruction->jt(), instruction->jf(), instruction->k()});
    out.further_filters.push_back({.path = Pointer(filter->path()), .program = program.data(), .length = static_cast<uint16_t>(program.size())});
  }
  out.plan.further_filters = out.further_filters.data();
  out.plan.further_filter_count = out.further_filters.size();
  return absl::OkStatus();
}

}  // namespace

// Every record is taken apart by a structured binding, so that a new field does not compile until it travels.
Offset<fbs::Plan> WritePlan(Builder& builder, const ChildPlan& plan) {
  const auto& [namespaces, ids, caller_uid, caller_gid, ownerless_base, ownerless_count, inside_uid, inside_gid, id_count, sub_uid, sub_gid,
               sub_ranges, uid_mapper_text, gid_mapper_text, kept_capabilities, switch_ids, drop_groups, group_numbers, group_count,
               drop_privileges, hostname_text, loopback, monotonic_start_ns, boottime_start_ns, speculation_off, read_back, mount_steps, mount_count, instructions, filter_length,
               filter_notifies, filter_hides_clone3, filter_allows_speculation, further_steps, further_count, further_filters_let_read, attribute_steps, label_step, limit_watches, rlimit_steps, rlimit_count, limits_cpus, cpu_words, new_session, destination_records, destination_count,
               landlock_files, landlock_tcp, landlock_scopes, landlock_steps, landlock_rule_count] = plan;
  const auto hostname = Text(builder, hostname_text);
  const auto uid_mapper = Text(builder, uid_mapper_text);
  const auto gid_mapper = Text(builder, gid_mapper_text);
  std::vector<Offset<fbs::Mount>> steps;
  for (size_t i = 0; i < mount_count; ++i) steps.push_back(WriteMount(builder, mount_steps[i]));
  const auto mounts = builder.CreateVector(steps);
  std::vector<fbs::Instruction> written_instructions;
  for (size_t i = 0; i < filter_length; ++i) {
    const auto& [code, jt, jf, k] = instructions[i];
    written_instructions.emplace_back(code, jt, jf, k);
  }
  const auto filter = builder.CreateVectorOfStructs(written_instructions);
  const auto further_filters = WriteFurtherFilters(builder, further_steps, further_count);
  const auto attributes = WriteAttributes(builder, attribute_steps);
  const auto label = WriteLabel(builder, label_step);
  const auto groups = group_count > 0 ? builder.CreateVector(group_numbers, group_count) : 0;
  std::vector<fbs::Rlimit> limits;
  for (size_t i = 0; i < rlimit_count; ++i) {
    const auto& [resource, limit] = rlimit_steps[i];
    limits.emplace_back(static_cast<uint64_t>(resource), limit.rlim_cur, limit.rlim_max);
  }
  const auto rlimits = builder.CreateVectorOfStructs(limits);
  std::vector<Offset<fbs::Destination>> written_destinations;
  for (size_t i = 0; i < destination_count; ++i) {
    const auto& [kind, prefix_bits, port, address, path_text] = destination_records[i];
    const auto path = Text(builder, path_text);
    const auto bytes = builder.CreateVector(address, sizeof(address));
    written_destinations.push_back(fbs::CreateDestination(builder, static_cast<uint8_t>(kind), prefix_bits, port, bytes, path));
  }
  const auto destinations = builder.CreateVector(written_destinations);
  std::vector<Offset<fbs::LandlockRule>> written_landlock;
  for (size_t i = 0; i < landlock_rule_count; ++i) {
    const auto& [path_text, access, optional] = landlock_steps[i];
    written_landlock.push_back(fbs::CreateLandlockRule(builder, Text(builder, path_text), access, optional));
  }
  const auto landlock_rules = builder.CreateVector(written_landlock);
  const auto cpus = limits_cpus ? builder.CreateVector(cpu_words, ChildPlan::kCpuWords) : 0;
  return fbs::CreatePlan(builder, namespaces, static_cast<uint8_t>(ids), caller_uid, caller_gid,
                         ownerless_base, ownerless_count, inside_uid, inside_gid, id_count, sub_uid, sub_gid, sub_ranges,
                         uid_mapper, gid_mapper, kept_capabilities, switch_ids, drop_groups, drop_privileges,
                         hostname, loopback, monotonic_start_ns, boottime_start_ns, read_back, mounts, filter, filter_notifies, filter_hides_clone3, limit_watches, rlimits, new_session, destinations,
                         landlock_files, landlock_tcp, landlock_scopes, landlock_rules, cpus, speculation_off, filter_allows_speculation,
                         further_filters, further_filters_let_read, attributes, groups, label);
}

absl::Status ReadPlan(const fbs::Plan& from, ReceivedPlan& out) {
  ChildPlan& plan = out.plan;
  plan.namespaces = from.namespaces();
  if (from.ids() > static_cast<uint8_t>(IdMapping::kOwnerless)) return Damaged("unknown mapping of ids");
  plan.ids = static_cast<IdMapping>(from.ids());
  plan.caller_uid = from.caller_uid();
  plan.caller_gid = from.caller_gid();
  plan.ownerless_base = from.ownerless_base();
  plan.ownerless_count = from.ownerless_count();
  plan.inside_uid = from.inside_uid();
  plan.inside_gid = from.inside_gid();
  plan.id_count = from.id_count();
  plan.sub_uid = from.sub_uid();
  plan.sub_gid = from.sub_gid();
  plan.sub_ranges = from.sub_ranges();
  plan.uid_mapper = Pointer(from.uid_mapper());
  plan.gid_mapper = Pointer(from.gid_mapper());
  plan.kept_capabilities = from.kept_capabilities();
  if (plan.id_count == 0 || (plan.id_count > 1 && std::max(plan.inside_uid, plan.inside_gid) >= plan.id_count)) {
    return Damaged("an id that is none of those there are");
  }
  if ((plan.uid_mapper == nullptr) != (plan.gid_mapper == nullptr)) return Damaged("one program for ids and none for groups");
  plan.switch_ids = from.switch_ids();
  if ((plan.switch_ids || plan.ids == IdMapping::kOwnerless) && plan.ownerless_count == 0) return Damaged("no ids to switch to");
  plan.drop_groups = from.drop_groups();
  plan.drop_privileges = from.drop_privileges();
  plan.hostname = Pointer(from.hostname());
  plan.loopback = from.loopback();
  plan.monotonic_start_ns = from.monotonic_start_ns();
  plan.boottime_start_ns = from.boottime_start_ns();
  plan.read_back = from.read_back();
  plan.filter_notifies = from.filter_notifies();
  plan.filter_hides_clone3 = from.filter_hides_clone3();
  plan.speculation_off = from.speculation_off();
  if (plan.speculation_off >= 8) return Damaged("unknown kinds of speculation");
  plan.filter_allows_speculation = from.filter_allows_speculation();
  plan.limit_watches = from.limit_watches();
  plan.new_session = from.new_session();
  if (from.mounts() != nullptr) {
    for (const fbs::Mount* mount : *from.mounts()) {
      if (mount->kind() > static_cast<uint8_t>(MountStep::Kind::kCovered) || mount->target() == nullptr) {
        return Damaged("unknown kind of mount");
      }
      const auto kind = static_cast<MountStep::Kind>(mount->kind());
      if ((HasSource({.kind = kind}) && mount->source() == nullptr) ||
          ((kind == MountStep::Kind::kSymlink || kind == MountStep::Kind::kFile) && mount->text() == nullptr)) {
        return Damaged("a mount that lacks its text");
      }
      if (const absl::Status fits = FitsAfter(out.mounts, kind); !fits.ok()) return fits;
      out.mounts.push_back({.kind = kind,
                             .source = Pointer(mount->source()),
                             .target = Pointer(mount->target()),
                             .text = Pointer(mount->text()),
                             .attributes = mount->attributes(),
                             .optional = mount->optional(),
                             .lent = mount->lent(),
                             .idmapped = mount->idmapped(),
                             .idmap_required = mount->idmap_required(),
                             .mode = mount->mode(),
                             .device = mount->device()});
    }
  }
  if (AwaitsChanges(out.mounts)) return Damaged("an overlay without a place for its changes");
  if (out.mounts.size() > child::kMaxMountSteps) return Damaged("too many mounts");
  plan.mounts = out.mounts.data();
  plan.mount_count = out.mounts.size();
  if (from.filter() != nullptr) {
    if (from.filter()->size() > kMaxFilter) return Damaged("too long a filter");
    for (const fbs::Instruction* instruction : *from.filter()) {
      out.filter.push_back({instruction->code(), instruction->jt(), instruction->jf(), instruction->k()});
    }
  }
  plan.filter = out.filter.data();
  plan.filter_length = static_cast<uint16_t>(out.filter.size());
  if (const absl::Status read = ReadFurtherFilters(from, out); !read.ok()) return read;
  ReadAttributes(from.attributes(), &plan.attributes);
  if (from.label() != nullptr) {
    if (from.label()->kind() > static_cast<uint8_t>(LabelStep::Module::kSelinux) || from.label()->text() == nullptr) return Damaged("a label");
    plan.label = {.module = static_cast<LabelStep::Module>(from.label()->kind()), .text = Pointer(from.label()->text()), .any_mode = from.label()->any_mode()};
  }
  if (from.groups() != nullptr) out.groups.assign(from.groups()->begin(), from.groups()->end());
  if (out.groups.size() > kMaxGroups) return Damaged("too many groups");
  plan.groups = out.groups.data();
  plan.group_count = out.groups.size();
  if (!IsAligned(from.rlimits())) return Damaged("misaligned limits");
  if (from.rlimits() != nullptr) {
    for (const fbs::Rlimit* limit : *from.rlimits()) {
      out.rlimits.push_back({.resource = static_cast<int>(limit->resource()),
                              .limit = {.rlim_cur = limit->soft(), .rlim_max = limit->hard()}});
    }
  }
  plan.rlimits = out.rlimits.data();
  plan.rlimit_count = out.rlimits.size();
  if (from.destinations() != nullptr) {
    for (const fbs::Destination* destination : *from.destinations()) {
      if (const absl::Status read = ReadDestination(*destination, out.destinations); !read.ok()) return read;
    }
  }
  plan.destinations = out.destinations.data();
  plan.destination_count = out.destinations.size();
  plan.landlock_files = from.landlock_files();
  plan.landlock_tcp = from.landlock_tcp();
  plan.landlock_scopes = from.landlock_scopes();
  if (from.landlock_rules() != nullptr) {
    for (const fbs::LandlockRule* rule : *from.landlock_rules()) {
      if (rule->path() == nullptr) return Damaged("a Landlock rule without its path");
      out.landlock_rules.push_back({.path = Pointer(rule->path()), .access = rule->access(), .optional = rule->optional()});
    }
  }
  if (from.cpus() != nullptr) {
    if (!IsAligned(from.cpus()) || from.cpus()->size() != ChildPlan::kCpuWords) return Damaged("a set of CPUs");
    plan.limits_cpus = true;
    std::copy(from.cpus()->begin(), from.cpus()->end(), plan.cpus);
  }
  plan.landlock_rules = out.landlock_rules.data();
  plan.landlock_rule_count = out.landlock_rules.size();
  return absl::OkStatus();
}

}  // namespace brood::internal
