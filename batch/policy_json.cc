#include "batch/policy_json.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "batch/bpf_files.h"
#include "batch/files.h"
#include "batch/json.h"
#include "batch/json_table.h"
#include "batch/oci_profile.h"
#include "batch/suggest.h"
#include "flatbuffers/flatbuffers.h"
#include "sandbox/check_filter.h"
#include "sandbox/policy_flatbuffer.h"
#include "sandbox/syscall_groups.h"

// A field of the schema is called `errno`; the C library has a macro of that name, which this file does not need.
#undef errno
#include "serialization/policy_generated.h"

namespace brood {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;

flatbuffers::Offset<fbs::FileRule> WriteFileRule(TableReader& in) {
  const auto path = in.Text("path");
  const auto paths = in.Texts("paths");
  const auto at = in.Text("at");
  const auto tmpfs = in.Text("tmpfs");
  const auto size = in.TextOrNumber("size");
  const auto access = in.Text("access");
  const bool optional = in.Flag("optional").value_or(false);
  const auto overlay = in.Text("overlay");
  const auto changes = in.Text("changes");
  const auto below = in.Texts("below");
  const auto symlink = in.Text("symlink");
  const auto directory = in.Text("directory");
  const auto content = in.Text("content");
  const auto mode = in.Text("mode");
  const bool no_exec = in.Flag("noexec").value_or(false);
  return fbs::CreateFileRule(in.builder(), path, paths, at, tmpfs, size, access, optional, overlay, changes, below, symlink, directory, content, mode, no_exec);
}

flatbuffers::Offset<fbs::Network> WriteNetwork(TableReader& in) {
  const auto mode = in.Text("mode");
  const auto to = in.Texts("to");
  return fbs::CreateNetwork(in.builder(), mode, to);
}

flatbuffers::Offset<fbs::Ids> WriteIds(TableReader& in) {
  // What does not fit is too large for the decoder, too.
  const auto id = [&](std::string_view name) -> flatbuffers::Optional<uint32_t> {
    const auto number = in.Count(name);
    constexpr uint64_t kTooLarge = ~uint32_t{0};
    if (!number.has_value()) return flatbuffers::nullopt;
    return flatbuffers::Optional<uint32_t>(static_cast<uint32_t>(std::min(*number, kTooLarge)));
  };
  const auto uid = id("uid");
  const auto gid = id("gid");
  return fbs::CreateIds(in.builder(), uid, gid, id("count"));
}

flatbuffers::Offset<fbs::Clocks> WriteClocks(TableReader& in) {
  const auto monotonic = in.TextOrNumber("monotonic");
  const auto boottime = in.TextOrNumber("boottime");
  return fbs::CreateClocks(in.builder(), monotonic, boottime);
}

flatbuffers::Offset<fbs::ArgumentRule> WriteArgument(TableReader& in) {
  // Without an index the rule would silently be about the first argument.
  const auto index = in.Count("index");
  constexpr uint64_t kMissing = 1000;  // Refused by the decoder, like any other index above 5.
  const auto op = in.Text("op");
  const auto value = in.TextOrNumber("value");
  const auto mask = in.TextOrNumber("mask");
  const auto width = in.Count("width");
  const auto number = static_cast<uint32_t>(std::min(index.value_or(kMissing), kMissing));
  return fbs::CreateArgumentRule(in.builder(), number, op, value, mask,
                                 static_cast<uint32_t>(std::min(width.value_or(64), kMissing)));
}

flatbuffers::Offset<fbs::SyscallRule> WriteSyscallRule(TableReader& in) {
  const auto names = in.Texts("names");
  const auto args = in.Tables<fbs::ArgumentRule>("args", WriteArgument);
  const auto action = in.Text("action");
  const auto error = in.TextOrNumber("errno");
  return fbs::CreateSyscallRule(in.builder(), names, args, action, error);
}

flatbuffers::Offset<fbs::Process> WriteProcess(TableReader& in) {
  const auto nice = in.TextOrNumber("nice");
  const auto oom_score_adj = in.TextOrNumber("oom_score_adj");
  const auto umask = in.Text("umask");
  const auto personality = in.Texts("personality");
  const auto disable_tsc = in.Flag("disable_tsc");
  const auto deny_write_execute = in.Flag("deny_write_execute");
  return fbs::CreateProcess(in.builder(), nice, oom_score_adj, umask, personality, disable_tsc, deny_write_execute);
}

flatbuffers::Offset<fbs::BpfFile> WriteBpfFile(TableReader::Builder& builder, const std::string& path) {
  return fbs::CreateBpfFile(builder, builder.CreateString(path));
}

flatbuffers::Offset<fbs::Policy> WritePolicy(TableReader& in) {
  const auto extends = in.Text("extends");
  const auto name = in.Text("name");
  const auto namespaces = in.Texts("namespaces");
  const auto drop_privileges = in.Flag("drop_privileges");
  const auto minimal_system = in.Flag("minimal_system");
  const auto files = in.Tables<fbs::FileRule>("files", WriteFileRule);
  const auto network = in.Table<fbs::Network>("network", WriteNetwork);
  const auto filter_syscalls = in.Flag("filter_syscalls");
  const auto syscalls = in.Tables<fbs::SyscallRule>("syscalls", WriteSyscallRule);
  const auto unlisted = in.Text("unlisted");
  const auto unlisted_errno = in.TextOrNumber("unlisted_errno");
  const auto environment = in.Text("environment");
  const auto hostname = in.Text("hostname");
  const auto limits = in.Table<fbs::Limits>("limits", WriteJsonLimits);
  const auto default_limits = in.Table<fbs::Limits>("default_limits", WriteJsonLimits);
  const auto allow_weaker = in.Texts("allow_weaker");
  const auto landlock = in.Text("landlock");
  const auto read_back = in.Flag("read_back");
  const auto clocks = in.Table<fbs::Clocks>("clocks", WriteClocks);
  const auto ids = in.Table<fbs::Ids>("ids", WriteIds);
  const auto capabilities = in.Texts("capabilities");
  const auto speculation = in.Text("speculation");
  const auto process = in.Table<fbs::Process>("process", WriteProcess);
  const auto bpf_files = in.TextTables<fbs::BpfFile>("bpf_files", WriteBpfFile);
  const auto groups = in.Numbers("groups");
  const auto label = in.Text("label");
  const auto proc = in.Text("proc");
  return fbs::CreatePolicy(in.builder(), extends, name, namespaces, drop_privileges, minimal_system, files, network,
                           filter_syscalls, syscalls, unlisted, unlisted_errno, environment, hostname, limits,
                           default_limits, allow_weaker, landlock, read_back, clocks, ids, capabilities, speculation, process, bpf_files, groups, label, proc);
}

// What a person who writes it cannot mean: a number below 0, and a rule behind one for the same call with the same comparisons,
// which never counts. A filter could have both, and a profile made by a program may.
absl::Status CheckRules(const Policy& policy) {
  using Comparison = std::tuple<unsigned, ArgumentRule::Op, uint64_t, uint64_t, unsigned>;
  unsigned nearest = 0;
  for (const SyscallRule& rule : policy.syscalls) nearest = std::max(nearest, rule.layer);
  std::set<std::pair<std::string_view, std::vector<Comparison>>> seen;
  for (const SyscallRule& rule : policy.syscalls) {
    if (rule.layer != nearest || rule.args.empty()) continue;
    std::vector<Comparison> comparisons;
    for (const ArgumentRule& one : rule.args) {
      comparisons.emplace_back(one.index, one.op, one.value, one.mask, one.width);
      const uint64_t highest = one.width == 32 ? std::numeric_limits<uint32_t>::max() : std::numeric_limits<uint64_t>::max();
      const bool never = (one.op == ArgumentRule::Op::kLess && one.value == 0) || (one.op == ArgumentRule::Op::kGreater && (one.value & highest) == highest);
      if (never) {
        return absl::InvalidArgumentError(absl::StrCat("policy: syscalls: the comparison of argument ", one.index, " can never hold: no number of ",
                                                       one.width, " bits is ", one.op == ArgumentRule::Op::kLess ? "below 0" : "above that"));
      }
    }
    absl::c_sort(comparisons);
    for (const std::string& name : rule.names) {
      if (seen.emplace(name, comparisons).second) continue;
      return absl::InvalidArgumentError(absl::StrCat("policy: syscalls: two rules for ", name, " with the same comparisons"));
    }
  }
  return absl::OkStatus();
}

// Of two groups that share calls neither is nearer.
absl::Status CheckGroups(const Policy& policy) {
  unsigned nearest = 0;
  for (const SyscallRule& rule : policy.syscalls) nearest = std::max(nearest, rule.layer);
  std::map<std::string_view, std::pair<std::string_view, const SyscallRule*>> seen;
  for (const SyscallRule& rule : policy.syscalls) {
    if (rule.layer != nearest || !rule.args.empty()) continue;
    for (const std::string& name : rule.names) {
      if (!absl::StartsWith(name, "@")) continue;
      for (const std::string_view member : SyscallGroupMembers(name)) {
        const auto [group, other] = seen.try_emplace(member, name, &rule).first->second;
        if (other->action == rule.action && other->errno_value == rule.errno_value) continue;
        return absl::InvalidArgumentError(absl::StrCat("policy: syscalls: two rules for ", member, ", which is in ", group, " and in ", name));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Policy> Decode(const JsonValue& value, const std::string& file) {
  Builder builder;
  BROOD_ASSIGN_OR_RETURN(JsonObject object, JsonObject::Of(value, file, ""));
  TableReader reader(std::move(object), &builder);
  const auto table = WritePolicy(reader);
  BROOD_RETURN_IF_ERROR(reader.Finish());
  fbs::FinishPolicyBuffer(builder, table);
  absl::StatusOr<Policy> policy =
      DecodePolicy({reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()});
  // Names of system calls are known to the filter's compiler alone.
  const bool names_syscalls =
      absl::c_any_of(value.members, [](const JsonMember& member) { return member.name == "syscalls"; });
  if (policy.ok()) BROOD_RETURN_IF_ERROR(LoadBpfFiles(policy->bpf_files));
  const bool has_rules = policy.ok() && ((names_syscalls && policy->filter_syscalls) || !policy->bpf_files.empty());
  if (has_rules) BROOD_RETURN_IF_ERROR(CheckFilter(*policy));
  if (policy.ok() && names_syscalls) BROOD_RETURN_IF_ERROR(CheckRules(*policy));
  if (policy.ok() && names_syscalls) BROOD_RETURN_IF_ERROR(CheckGroups(*policy));
  return policy;
}

// The decoder knows fields, not lines. So the file is tried again, one member and one list element more at a time: the piece
// with which it fails like that is the one to name. Another may fail before, of several mistakes, or because what belongs to it
// stands further down.
class Locator {
 public:
  // `problem_of` says what is wrong with a file of these members.
  Locator(const JsonValue& whole, std::string file, const absl::Status& error, std::function<absl::Status(const JsonValue&)> problem_of)
      : whole_(whole), file_(std::move(file)), error_(error), problem_of_(std::move(problem_of)) {
    problem_ = absl::StripPrefix(error.message(), "policy: ");
    // The compiler counts the rules of the base as well.
    if (const size_t end = problem_.find("]: "); absl::StartsWith(problem_, "syscalls[") && end != std::string_view::npos) {
      problem_.remove_prefix(end + 3);
    }
  }

  // OK if there is no such piece.
  absl::Status Find(bool exactly) {
    exactly_ = exactly;
    part_ = {.kind = JsonValue::Kind::kObject, .line = whole_.line};
    return Among(whole_, part_, "");
  }
  std::string_view problem() const { return problem_; }

 private:
  bool Fails() const {
    const absl::Status status = problem_of_(part_);
    return !status.ok() && (!exactly_ || status == error_);
  }

  // Adds the members of `all` to `some`, a part of `part_`, until it fails.
  absl::Status Among(const JsonValue& all, JsonValue& some, const std::string& path) {
    for (const JsonMember& member : all.members) {
      some.members.push_back({.name = member.name, .line = member.line, .value = member.value});
      if (!Fails()) continue;
      JsonValue& value = some.members.back().value;
      const std::string name = absl::StrCat(path, member.name);
      // It says the field's name as well.
      problem_ = absl::StripPrefix(problem_, absl::StrCat(member.name, ": "));
      if (value.kind == JsonValue::Kind::kArray && !value.items.empty()) return InList(member.value, value, name);
      const bool has_lists = absl::c_any_of(member.value.members, [](const JsonMember& one) { return one.value.kind == JsonValue::Kind::kArray; });
      if (has_lists) {
        value.members.clear();
        const absl::Status inside = Among(member.value, value, absl::StrCat(name, "."));
        if (!inside.ok()) return inside;
      }
      return JsonError(file_, member.line, name, problem_);
    }
    return absl::OkStatus();
  }

  // The shortest list that fails: what is wrong stays wrong with more of them, of which there may be thousands.
  absl::Status InList(const JsonValue& all, JsonValue& some, const std::string& name) {
    size_t passes = 0;
    size_t fails_with = all.items.size();
    while (fails_with - passes > 1) {
      const size_t middle = passes + (fails_with - passes) / 2;
      some.items.assign(all.items.begin(), all.items.begin() + static_cast<std::ptrdiff_t>(middle));
      (Fails() ? fails_with : passes) = middle;
    }
    return JsonError(file_, all.items[fails_with - 1].line, absl::StrCat(name, "[", fails_with - 1, "]"), problem_);
  }

  const JsonValue& whole_;
  const std::string file_;
  const absl::Status& error_;
  const std::function<absl::Status(const JsonValue&)> problem_of_;
  std::string_view problem_;
  bool exactly_ = false;
  JsonValue part_;
};

absl::Status Locate(const JsonValue& whole, const std::string& file, const absl::Status& error) {
  Locator locator(whole, file, error, [&](const JsonValue& part) { return Decode(part, file).status(); });
  for (const bool exactly : {true, false}) {
    if (absl::Status found = locator.Find(exactly); !found.ok()) return found;
  }
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", locator.problem()));
}

absl::Status CheckExtends(const JsonValue& value, const std::string& file) {
  std::vector<std::string> names;
  for (std::string_view name : BuiltinPolicyNames()) names.emplace_back(name);
  const std::string expected = absl::StrCat("expected one of ", absl::StrJoin(names, ", "), ", or null for no sandbox");
  for (const JsonMember& member : value.members) {
    if (member.name != "extends" || member.value.kind == JsonValue::Kind::kNull) continue;
    if (member.value.kind == JsonValue::Kind::kString && absl::c_linear_search(names, member.value.text)) continue;
    return JsonError(file, member.line, "extends",
                     absl::StrCat(expected, member.value.kind == JsonValue::Kind::kString
                                                ? absl::StrCat(", got \"", member.value.text, "\"")
                                                : absl::StrCat(", got ", JsonKindName(member.value))));
  }
  const bool present = absl::c_any_of(value.members, [](const JsonMember& member) { return member.name == "extends"; });
  const bool container = absl::c_any_of(value.members, [](const JsonMember& member) { return member.name == "ociVersion"; });
  if (container) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": is the configuration of an OCI container, not a policy; its seccomp profile is the object \"seccomp\" in \"linux\""));
  }
  if (!present) return JsonError(file, value.line, "extends", absl::StrCat("missing; ", expected));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Policy> ParsePolicy(std::string_view text, const std::string& file) {
  BROOD_ASSIGN_OR_RETURN(const JsonValue value, ParseJson(text, {.file = file}));
  BROOD_RETURN_IF_ERROR(JsonObject::Of(value, file, "").status());
  if (IsOciProfile(value)) return PolicyFromOciProfile(value, file);
  BROOD_RETURN_IF_ERROR(CheckExtends(value, file));
  absl::StatusOr<Policy> policy = Decode(value, file);
  // Errors that carry a line already come from the JSON side; the decoder's begin with its own word.
  if (!policy.ok() && absl::StartsWith(policy.status().message(), absl::StrCat(file, ":"))) return policy.status();
  if (!policy.ok()) return Locate(value, file, policy.status());
  const bool named = absl::c_any_of(value.members, [](const JsonMember& member) { return member.name == "name"; });
  if (!named) policy->name = file;
  return policy;
}

absl::Status PlaceInFile(const std::string& path, const absl::Status& error, const std::function<absl::Status(const Policy&)>& check) {
  // What came by standard input is read already, and to ask for more of it might be to wait.
  const absl::StatusOr<std::string> text = path != "-" ? ReadFile(path, kMaxPolicyBytes) : absl::NotFoundError("");
  const absl::StatusOr<JsonValue> value = text.ok() ? ParseJson(*text, {.file = path}) : text.status();
  absl::Status place = absl::OkStatus();
  if (value.ok() && value->kind == JsonValue::Kind::kObject && !IsOciProfile(*value)) {
    place = Locator(*value, path, error, [&](const JsonValue& part) {
              const absl::StatusOr<Policy> policy = Decode(part, path);
              return policy.ok() ? check(*policy) : policy.status();
            }).Find(true);
  }
  return place.ok() ? absl::Status(error.code(), absl::StrCat(path, ": ", error.message())) : place;
}

absl::StatusOr<Policy> LoadPolicy(const std::string& name_or_path) {
  absl::StatusOr<Policy> builtin = BuiltinPolicy(name_or_path);
  if (builtin.ok()) return builtin;
  absl::StatusOr<std::string> text = ReadFile(name_or_path, kMaxPolicyBytes);
  if (text.ok()) return ParsePolicy(*text, name_or_path);
  // A word without a slash or dot was meant as a name.
  if (absl::IsNotFound(text.status()) && name_or_path.find_first_of("/.") == std::string::npos) {
    std::vector<std::string> names;
    for (std::string_view name : BuiltinPolicyNames()) names.emplace_back(name);
    return absl::NotFoundError(absl::StrCat(builtin.status().message(), DidYouMean(name_or_path, names)));
  }
  return text.status();
}

}  // namespace brood
