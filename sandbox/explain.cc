#include "sandbox/explain.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "sandbox/errno_words.h"
#include "sandbox/made_files.h"
#include "sandbox/syscall_groups.h"

namespace brood {
namespace {

constexpr size_t kWidth = 96;

std::string SizeText(uint64_t bytes) {
  constexpr std::pair<uint64_t, std::string_view> kUnits[] = {{uint64_t{1} << 30, "G"}, {uint64_t{1} << 20, "M"}, {uint64_t{1} << 10, "K"}};
  for (const auto& [unit, name] : kUnits) {
    if (bytes != 0 && bytes % unit == 0) return absl::StrCat(bytes / unit, name);
  }
  return absl::StrCat(bytes, " bytes");
}

// "  label      words, words," with what does not fit on lines of its own.
void AddWords(std::string_view label, const std::vector<std::string>& words, std::string& text) {
  std::string line = absl::StrFormat("  %-20s", label);
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string word = absl::StrCat(words[i], i + 1 < words.size() ? "," : "");
    if (line.size() + 1 + word.size() > kWidth && line.size() > 22) {
      absl::StrAppend(&text, line, "\n");
      line = std::string(22, ' ');
    }
    absl::StrAppend(&line, line.back() == ' ' ? "" : " ", word);
  }
  absl::StrAppend(&text, line, "\n");
}

std::string MadeText(const FileRule& rule) {
  if (rule.kind == FileRule::Kind::kSymlink) return absl::StrCat("a link ", rule.destination, " to ", rule.text);
  const std::string mode = rule.mode.has_value() ? absl::StrCat(" of mode ", ModeText(*rule.mode)) : "";
  if (rule.kind == FileRule::Kind::kFile) return absl::StrCat("a file ", rule.destination, mode, " of ", rule.text.size(), " bytes");
  return absl::StrCat("a directory ", rule.destination, mode);
}

void ExplainFiles(const Policy& policy, std::string& text) {
  if (policy.namespaces.count(Layer::kMount) == 0) {
    absl::StrAppend(&text, "files: all of this machine, as far as its permissions go\n");
    return;
  }
  absl::StrAppend(&text, "files: nothing of this machine but\n");
  std::vector<std::string> optional, read_only, writable, memory, overlays, kept, merged, devices, made;
  for (const FileRule& rule : policy.files) {
    if (IsMade(rule)) {
      made.push_back(MadeText(rule));
      continue;
    }
    if (rule.access == FileRule::Access::kDevice) {
      devices.push_back(absl::StrCat(rule.source, rule.source == rule.destination ? "" : absl::StrCat(" at ", rule.destination), rule.optional ? " (if it is there)" : ""));
      continue;
    }
    std::string place = rule.source == rule.destination || rule.kind == FileRule::Kind::kTmpfs
                            ? rule.destination
                            : absl::StrCat(rule.source, " at ", rule.destination);
    if (!rule.layers.empty()) absl::StrAppend(&place, " over ", absl::StrJoin(rule.layers, ", "));
    if (rule.no_exec) absl::StrAppend(&place, " (nothing there is executed)");
    if (rule.kind == FileRule::Kind::kTmpfs) {
      const std::string mode = rule.mode.has_value() ? absl::StrCat(", mode ", ModeText(*rule.mode)) : "";
      memory.push_back(absl::StrCat(place, " (", SizeText(rule.size_bytes == 0 ? uint64_t{64} << 20 : rule.size_bytes), mode, ")"));
    } else if (rule.kind == FileRule::Kind::kMerged) {
      merged.push_back(std::move(place));
    } else if (rule.kind == FileRule::Kind::kOverlay && !rule.changes.empty()) {
      kept.push_back(absl::StrCat(place, " (in ", rule.changes, ")"));
    } else if (rule.kind == FileRule::Kind::kOverlay) {
      overlays.push_back(absl::StrCat(place, " (", SizeText(rule.size_bytes == 0 ? uint64_t{64} << 20 : rule.size_bytes), ")"));
    } else if (rule.access == FileRule::Access::kReadWrite) {
      writable.push_back(absl::StrCat(place, rule.optional ? " (if it is there)" : ""));
    } else {
      (rule.optional ? optional : read_only).push_back(place);
    }
  }
  if (!writable.empty()) AddWords("writable", writable, text);
  if (!read_only.empty()) AddWords("read-only", read_only, text);
  if (!optional.empty()) AddWords("read-only, if there", optional, text);
  if (!memory.empty()) AddWords("empty, in memory", memory, text);
  if (!overlays.empty()) AddWords("changes in memory", overlays, text);
  if (!kept.empty()) AddWords("changes are kept", kept, text);
  if (!merged.empty()) AddWords("read-only, as one", merged, text);
  if (!made.empty()) AddWords("made", made, text);
  if (!devices.empty()) {
    AddWords("devices", devices, text);
    AddWords("", {"to be read, written and controlled: by every ioctl that the system calls below let through"}, text);
  }
  if (policy.minimal_system) AddWords("own", {policy.proc == ProcAccess::kReadWrite ? "/proc with the own processes only, whose files can be written" : "/proc with the own processes only", "a minimal /dev"}, text);
}

void ExplainNetwork(const Network& network, std::string& text) {
  switch (network.mode) {
    case NetworkMode::kNone:
      absl::StrAppend(&text, "network: none\n");
      break;
    case NetworkMode::kLoopback:
      absl::StrAppend(&text, "network: an own loopback interface, which reaches nothing outside\n");
      break;
    case NetworkMode::kHost:
      absl::StrAppend(&text, "network: that of this machine\n");
      break;
    case NetworkMode::kAllow:
      absl::StrAppend(&text, "network: an own loopback interface, and connections to\n");
      AddWords("", network.to, text);
      absl::StrAppend(&text, "  made by brood in the child's place; datagrams reach nothing outside, listen gives EACCES, whatever stands below\n");
      break;
  }
}

void ExplainIsolation(const Policy& policy, std::string& text) {
  std::vector<std::string_view> names;
  for (const Layer layer : policy.namespaces) names.push_back(LayerName(layer));
  absl::StrAppend(&text, "isolation: ", names.empty() ? "no namespaces" : absl::StrCat("own ", absl::StrJoin(names, ", "), " namespaces"),
                  !policy.drop_privileges        ? "; the caller's privileges\n"
                  : policy.capabilities.empty() ? "; no capabilities, and no program gives any back\n"
                                                : absl::StrCat("; no capabilities but ", absl::StrJoin(policy.capabilities, ", "),
                                                               " over its own ids, and no program gives any back\n"));
  if (policy.landlock == LandlockUse::kAvailable) absl::StrAppend(&text, "  Landlock besides, as much of it as the machine has\n");
  if (policy.landlock == LandlockUse::kRequired) absl::StrAppend(&text, "  Landlock besides, all that the policy makes use of\n");
  if (policy.speculation == SpeculationControl::kAllow) absl::StrAppend(&text, "  the CPU may guess, where the kernel would stop that under a filter, too\n");
  if (policy.speculation == SpeculationControl::kMitigate) absl::StrAppend(&text, "  the CPU guesses neither past stores nor indirect branches that others have trained\n");
  if (!policy.groups.empty()) absl::StrAppend(&text, "  in the groups ", absl::StrJoin(policy.groups, ", "), " of this machine besides\n");
  if (const std::string attributes = AttributesText(policy.process); !attributes.empty()) absl::StrAppend(&text, "  each process: ", attributes, "\n");
  if (!policy.label.empty()) absl::StrAppend(&text, "  programs under the label ", policy.label, " of AppArmor or SELinux\n");
  if (policy.namespaces.count(Layer::kUser) != 0) {
    absl::StrAppend(&text, "  as user ", policy.ids.uid, ", group ", policy.ids.gid,
                    policy.ids.count > 1 ? absl::StrCat(", of the ids from 0 to ", policy.ids.count - 1, " that there are inside\n") : ", the only ids inside\n");
  }
  if (policy.namespaces.count(Layer::kTime) != 0) {
    absl::StrAppend(&text, "  clocks that begin anew: monotonic at ", absl::FormatDuration(policy.clocks.monotonic), ", boottime at ",
                    absl::FormatDuration(policy.clocks.boottime), "\n");
  }
  if (!policy.allow_weaker.empty()) {
    std::vector<std::string_view> weaker;
    for (const Layer layer : policy.allow_weaker) weaker.push_back(LayerName(layer));
    absl::StrAppend(&text, "  weaker forms, or their absence, are accepted of: ", absl::StrJoin(weaker, ", "), "\n");
  }
  constexpr std::string_view kEnvironments[] = {"PATH, HOME=/tmp, LANG and TERM", "the caller's", "empty"};
  absl::StrAppend(&text, "environment: ", kEnvironments[static_cast<int>(policy.environment)], ", and what is given\n");
}

std::vector<std::string_view> Members(const std::string& name) {
  if (name[0] == '@') return SyscallGroupMembers(name);
  return {name};
}

// Which rules of a call count, as seccomp_compiler.cc reads them: those of the nearest layer.
struct Counting {
  unsigned layer = 0;
  const SyscallRule* otherwise = nullptr;  // Where no comparison holds: by the call's own name, or else by a group's.
  bool by_name = false;
};

std::map<std::string_view, Counting> CountingRules(const Policy& policy) {
  std::map<std::string_view, Counting> counting;
  for (const SyscallRule& rule : policy.syscalls) {
    for (const std::string& name : rule.names) {
      const bool group = name[0] == '@';
      for (const std::string_view member : Members(name)) {
        Counting& counts = counting[member];
        if (rule.layer < counts.layer) continue;
        if (rule.layer > counts.layer) counts = {.layer = rule.layer};
        if (!rule.args.empty() || (group && counts.by_name)) continue;
        counts.otherwise = &rule;
        counts.by_name = !group;
      }
    }
  }
  return counting;
}

void ExplainBpfFiles(const Policy& policy, std::string& text) {
  for (const BpfFile& file : policy.bpf_files) {
    absl::StrAppend(&text, "  and only if the filter of ", file.path, " lets it (", file.program.size() / 8, " instructions, which --bpf shows)\n");
  }
}

void ExplainSyscalls(const Policy& policy, std::string& text) {
  if (!policy.filter_syscalls) {
    absl::StrAppend(&text, "system calls: all\n");
    return ExplainBpfFiles(policy, text);
  }
  absl::StrAppend(&text, "system calls\n");
  const std::map<std::string_view, Counting> counting = CountingRules(policy);
  // Nearer rules first: they replace the others for their calls.
  std::vector<const SyscallRule*> rules;
  for (const SyscallRule& rule : policy.syscalls) rules.push_back(&rule);
  std::stable_sort(rules.begin(), rules.end(), [](const auto* a, const auto* b) { return a->layer > b->layer; });
  for (const SyscallRule* rule : rules) {
    std::vector<std::string> words;
    std::vector<std::string_view> replaced;
    for (const std::string& name : rule->names) {
      const std::vector<std::string_view> members = Members(name);
      size_t left = 0;
      for (const std::string_view member : members) {
        const Counting& counts = counting.at(member);
        if (counts.layer == rule->layer && (!rule->args.empty() || counts.otherwise == rule)) {
          ++left;
        } else {
          replaced.push_back(member);
        }
      }
      if (left > 0) words.push_back(name);
    }
    if (words.empty()) continue;
    if (!replaced.empty()) words.back() += absl::StrCat(" (but for ", absl::StrJoin(replaced, ", "), ")");
    if (!rule->args.empty()) words.back() += absl::StrCat(" if ", ExplainComparisons(rule->args));
    AddWords(ExplainAction(rule->action, rule->errno_value), words, text);
  }
  AddWords(ExplainAction(policy.unlisted, policy.unlisted_errno), {"every other call that is known"}, text);
  AddWords(ExplainAction(SyscallAction::kErrno, ErrnoFromName("ENOSYS")),
           {"calls that brood does not know", "and clone3 unless a rule names it"}, text);
  AddWords(ExplainAction(SyscallAction::kKill, 0), {"calls of a foreign architecture"}, text);
  ExplainBpfFiles(policy, text);
}

void ExplainLimits(const Limits& limits, std::string_view form, std::string& text) {
  std::vector<std::string> words;
  const auto size = [&](std::string_view name, const std::optional<uint64_t>& value) {
    if (value.has_value()) words.push_back(absl::StrCat(name, " ", SizeText(*value)));
  };
  const auto count = [&](std::string_view name, const std::optional<uint64_t>& value) {
    if (value.has_value()) words.push_back(absl::StrCat(name, " ", *value));
  };
  const auto time = [&](std::string_view name, const std::optional<absl::Duration>& value) {
    if (value.has_value()) words.push_back(absl::StrCat(name, " ", absl::FormatDuration(*value)));
  };
  size("memory", limits.memory_bytes);
  count("processes", limits.processes);
  time("cpu_time", limits.cpu_time);
  time("wall_time", limits.wall_time);
  time("grace", limits.grace);
  size("output", limits.output_bytes);
  size("file_size", limits.file_size_bytes);
  count("open_files", limits.open_files);
  size("core", limits.core_bytes);
  size("disk", limits.disk_bytes);
  if (limits.cpus_milli) words.push_back(absl::StrCat("cpus ", *limits.cpus_milli / 1000, ".", absl::Dec(*limits.cpus_milli % 1000, absl::kZeroPad3)));
  if (limits.cpu_set) words.push_back(absl::StrCat("cpu_set ", CpuSetText(*limits.cpu_set)));
  for (const auto& [name, value] : limits.rlimits) words.push_back(absl::StrCat("rlimit ", name, " ", value));
  count("cpu_weight", limits.cpu_weight);
  count("io_weight", limits.io_weight);
  if (limits.io_rate_bytes) words.push_back(absl::StrCat("io_rate ", SizeText(*limits.io_rate_bytes), " a second"));
  if (!words.empty()) AddWords(form, words, text);
}

std::string_view OpText(ArgumentRule::Op op) {
  switch (op) {
    case ArgumentRule::Op::kEqual:
    case ArgumentRule::Op::kMaskedEqual:
      return "is";
    case ArgumentRule::Op::kNotEqual:
      return "is not";
    case ArgumentRule::Op::kLess:
      return "is below";
    case ArgumentRule::Op::kLessOrEqual:
      return "is at most";
    case ArgumentRule::Op::kGreater:
      return "is above";
    case ArgumentRule::Op::kGreaterOrEqual:
      return "is at least";
  }
  return "";
}

}  // namespace

std::string ExplainAction(SyscallAction action, int errno_value) {
  switch (action) {
    case SyscallAction::kAllow:
      return "allowed";
    case SyscallAction::kErrno:
      if (errno_value == kSeemsToSucceed) return "seems to succeed";
      return absl::StrCat("fails with ", ErrnoName(errno_value));
    case SyscallAction::kKill:
      return "a violation";
    case SyscallAction::kLog:
      return "allowed, and logged";
    case SyscallAction::kNotify:
      return "allowed, and told";
  }
  return "";
}

std::string ExplainComparisons(const std::vector<ArgumentRule>& args) {
  std::vector<std::string> texts;
  for (const ArgumentRule& rule : args) {
    std::string text = absl::StrCat("argument ", rule.index);
    if (rule.width == 32) absl::StrAppend(&text, " (32 bits)");
    if (rule.op == ArgumentRule::Op::kMaskedEqual) absl::StrAppendFormat(&text, " & 0x%x", rule.mask);
    absl::StrAppendFormat(&text, " %s 0x%x", OpText(rule.op), rule.value);
    texts.push_back(std::move(text));
  }
  return absl::StrJoin(texts, " and ");
}

std::string ExplainPolicy(const Policy& policy) {
  std::string text = absl::StrCat(policy.name, "\n");
  ExplainFiles(policy, text);
  ExplainNetwork(policy.network, text);
  ExplainIsolation(policy, text);
  ExplainSyscalls(policy, text);
  absl::StrAppend(&text, "limits\n");
  ExplainLimits(policy.limits, "enforced", text);
  ExplainLimits(policy.default_limits, "as far as possible", text);
  if (text.size() >= 7 && text.substr(text.size() - 7) == "limits\n") text.replace(text.size() - 7, 7, "limits: none\n");
  return text;
}

}  // namespace brood
