#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "sandbox/destination.h"
#include "sandbox/errno_words.h"
#include "sandbox/ids.h"
#include "sandbox/label.h"
#include "sandbox/policy_flatbuffer.h"
#include "sandbox/policy_read.h"
#include "sandbox/policy_words.h"

namespace brood {
namespace {

using namespace internal;  // NOLINT(build/namespaces): the word lists.

absl::StatusOr<uint64_t> ReadValue(std::string_view text, std::string_view field) {
  uint64_t value = 0;
  int64_t negative = 0;
  std::string_view digits = text;
  if (absl::ConsumePrefix(&digits, "0x")) {
    // SimpleHexAtoi would take a second prefix and blanks.
    const bool clean = digits.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
    if (!digits.empty() && clean && absl::SimpleHexAtoi(digits, &value)) return value;
  } else if (digits.find_first_not_of("-0123456789") == std::string_view::npos) {
    if (digits.size() > 1 && digits[0] == '0') {
      for (const char c : digits) {
        if (c < '0' || c > '7' || value >> 61 != 0) {
          return Invalid(field, absl::StrCat("\"", text, "\" is not an octal number of 64 bits"));
        }
        value = value * 8 + static_cast<uint64_t>(c - '0');
      }
      return value;
    }
    if (absl::SimpleAtoi(digits, &value)) return value;
    if (absl::SimpleAtoi(digits, &negative)) return static_cast<uint64_t>(negative);
  }
  return Invalid(field, absl::StrCat("\"", text, "\" is not a number of 64 bits"));
}

// `last`: of those that there are, in their order.
absl::Status ReadLayers(const Strings* names, std::string_view field, Layer last, LayerSet& layers) {
  BROOD_ASSIGN_OR_RETURN(const std::vector<std::string> words, ReadStrings(names, field));
  for (const std::string& word : words) {
    const std::optional<Layer> layer = LayerFromName(word);
    if (!layer.has_value() || *layer > last) {
      std::vector<std::string_view> known;
      for (const Layer one : kAllLayers) {
        if (one <= last) known.push_back(LayerName(one));
      }
      return Invalid(field, absl::StrCat(layer.has_value() ? "\"" : "unknown layer \"", word, layer.has_value() ? "\" is not one that can be asked for" : "\"",
                                         "; there are ", absl::StrJoin(known, ", ")));
    }
    layers.insert(*layer);
  }
  return absl::OkStatus();
}

absl::Status ReadErrno(SyscallAction action, const flatbuffers::String* name, std::string_view field, int& number) {
  number = 0;
  if ((action == SyscallAction::kErrno) != (name != nullptr)) {
    return Invalid(field, "the action \"errno\", and no other, comes with the name of an errno");
  }
  if (name == nullptr) return absl::OkStatus();
  const std::optional<int> value = ErrnoFromWord(View(name));
  if (!value.has_value()) return Invalid(field, absl::StrCat("unknown errno \"", View(name), "\""));
  number = *value;
  return absl::OkStatus();
}

absl::StatusOr<ArgumentRule> ReadArgument(const fbs::ArgumentRule& from) {
  ArgumentRule rule;
  rule.index = from.index();
  if (rule.index > 5) return Invalid("syscalls: args", "index is 0 to 5");
  BROOD_ASSIGN_OR_RETURN(rule.op, ReadWord(kOpWords, View(from.op()), "syscalls: args: op"));
  BROOD_ASSIGN_OR_RETURN(rule.value, ReadValue(View(from.value()), "syscalls: args: value"));
  if ((rule.op == ArgumentRule::Op::kMaskedEqual) != (from.mask() != nullptr)) {
    return Invalid("syscalls: args", "the operator \"&==\", and no other, comes with a mask");
  }
  if (from.mask() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(rule.mask, ReadValue(View(from.mask()), "syscalls: args: mask"));
  }
  rule.width = from.width();
  if (rule.width != 32 && rule.width != 64) return Invalid("syscalls: args", "width is 32 or 64");
  return rule;
}

absl::Status ReadSyscalls(const fbs::Policy& from, unsigned first_layer, std::vector<SyscallRule>& syscalls) {
  if (from.syscalls() == nullptr) return absl::OkStatus();
  std::set<std::pair<unsigned, std::string>> unconditional;
  for (const fbs::SyscallRule* entry : *from.syscalls()) {
    SyscallRule rule;
    BROOD_ASSIGN_OR_RETURN(rule.names, ReadStrings(entry->names(), "syscalls: names"));
    if (rule.names.empty()) return Invalid("syscalls", "a rule without names");
    BROOD_ASSIGN_OR_RETURN(rule.action, ReadWord(kActionWords, View(entry->action()), "syscalls: action"));
    BROOD_RETURN_IF_ERROR(ReadErrno(rule.action, entry->errno(), "syscalls: errno", rule.errno_value));
    constexpr unsigned kMaxLayer = 1000;
    if (entry->layer() > kMaxLayer) return Invalid("syscalls", "layer is at most 1000");
    rule.layer = first_layer + entry->layer();
    if (entry->args() != nullptr) {
      for (const fbs::ArgumentRule* argument : *entry->args()) {
        BROOD_ASSIGN_OR_RETURN(rule.args.emplace_back(), ReadArgument(*argument));
      }
    }
    for (const std::string& name : rule.names) {
      if (rule.args.empty() && !unconditional.emplace(rule.layer, name).second) {
        return Invalid("syscalls", absl::StrCat("two rules for ", name));
      }
    }
    syscalls.push_back(std::move(rule));
  }
  return absl::OkStatus();
}

absl::Status ReadNetwork(const fbs::Network& from, Network& to) {
  BROOD_ASSIGN_OR_RETURN(to.mode, ReadWord(kNetworkWords, View(from.mode()), "network: mode"));
  BROOD_ASSIGN_OR_RETURN(to.to, ReadStrings(from.to(), "network: to"));
  if ((to.mode == NetworkMode::kAllow) != !to.to.empty()) {
    return Invalid("network", "the mode \"allow\", and no other, comes with a list \"to\"");
  }
  for (const std::string& destination : to.to) {
    if (const absl::Status valid = CheckDestination(destination); !valid.ok()) return Invalid("network: to", valid.message());
  }
  return absl::OkStatus();
}

template <typename T, typename Parse>
absl::Status ReadLimit(const flatbuffers::String* text, std::string_view field, FieldError error, Parse parse,
                       std::optional<T>& limit) {
  if (text == nullptr) return absl::OkStatus();
  absl::StatusOr<T> value = parse(View(text));
  if (!value.ok()) return error(field, value.status().message());
  limit = *value;
  return absl::OkStatus();
}

absl::Status LimitError(std::string_view field, std::string_view problem) {
  return Invalid(absl::StrCat("limits: ", field), problem);
}

absl::Status ReadClock(const flatbuffers::String* text, std::string_view field, absl::Duration& clock) {
  if (text == nullptr) return absl::OkStatus();
  // As other times, but for zero, at which a clock may well begin.
  if (View(text) == "0" || View(text) == "0s") {
    clock = absl::ZeroDuration();
    return absl::OkStatus();
  }
  const absl::StatusOr<absl::Duration> value = ParseTime(View(text));
  if (!value.ok()) return Invalid(field, value.status().message());
  if (*value > kMaxClock) return Invalid(field, "at most 876000h, a hundred years");
  clock = *value;
  return absl::OkStatus();
}

template <typename T, typename Parse>
absl::Status ReadAttribute(const flatbuffers::String* text, std::string_view field, Parse parse, std::optional<T>& to) {
  if (text == nullptr) return absl::OkStatus();
  const absl::StatusOr<T> value = parse(View(text));
  if (!value.ok()) return Invalid(absl::StrCat("process: ", field), value.status().message());
  to = *value;
  return absl::OkStatus();
}

absl::Status ReadProcess(const fbs::Process* from, ProcessAttributes& to) {
  if (from == nullptr) return absl::OkStatus();
  BROOD_RETURN_IF_ERROR(ReadAttribute(from->nice(), "nice", ParseNice, to.nice));
  BROOD_RETURN_IF_ERROR(ReadAttribute(from->oom_score_adj(), "oom_score_adj", ParseOomScoreAdj, to.oom_score_adj));
  BROOD_RETURN_IF_ERROR(ReadAttribute(from->umask(), "umask", ParseUmask, to.umask));
  if (from->personality() != nullptr) {
    to.personality.clear();
    BROOD_ASSIGN_OR_RETURN(const std::vector<std::string> names, ReadStrings(from->personality(), "process: personality"));
    for (const std::string& name : names) {
      const absl::StatusOr<std::set<std::string>> flag = ParsePersonality(name);
      if (!flag.ok()) return Invalid("process: personality", flag.status().message());
      to.personality.insert(name);
    }
  }
  to.disable_tsc = from->disable_tsc().value_or(to.disable_tsc);
  to.deny_write_execute = from->deny_write_execute().value_or(to.deny_write_execute);
  return absl::OkStatus();
}

// The programs are looked at where they are compiled for a machine: sandbox/bpf_check.h.
absl::Status ReadBpfFiles(const fbs::Policy& from, std::vector<BpfFile>& to) {
  if (from.bpf_files() == nullptr) return absl::OkStatus();
  for (const fbs::BpfFile* file : *from.bpf_files()) {
    const std::string_view path = View(file->path());
    if (path.empty() || path.find('\0') != std::string_view::npos) return Invalid("bpf_files", "an empty path, or one with a zero byte");
    BpfFile& added = to.emplace_back(BpfFile{.path = std::string(path), .program = {}});
    if (file->program() != nullptr) added.program.assign(file->program()->begin(), file->program()->end());
  }
  return absl::OkStatus();
}

absl::Status ReadPolicy(const fbs::Policy& from, unsigned first_layer, Policy& to) {
  if (from.name() != nullptr) to.name = View(from.name());
  if (from.namespaces() != nullptr) {
    to.namespaces.clear();
    BROOD_RETURN_IF_ERROR(ReadLayers(from.namespaces(), "namespaces", Layer::kTime, to.namespaces));
  }
  if (from.drop_privileges().has_value()) to.drop_privileges = *from.drop_privileges();
  if (from.read_back().has_value()) to.read_back = *from.read_back();
  if (from.minimal_system().has_value()) to.minimal_system = *from.minimal_system();
  if (from.filter_syscalls().has_value()) to.filter_syscalls = *from.filter_syscalls();
  BROOD_RETURN_IF_ERROR(ReadFiles(from, to.files));
  if (from.ids() != nullptr) {
    to.ids.uid = from.ids()->uid().value_or(to.ids.uid);
    to.ids.gid = from.ids()->gid().value_or(to.ids.gid);
    to.ids.count = from.ids()->count().value_or(to.ids.count);
  }
  if (from.capabilities() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(to.capabilities, ReadStrings(from.capabilities(), "capabilities"));
  }
  if (from.groups() != nullptr) to.groups.assign(from.groups()->begin(), from.groups()->end());
  BROOD_RETURN_IF_ERROR(Annotate(CheckIds(to), "policy"));
  if (from.clocks() != nullptr) {
    BROOD_RETURN_IF_ERROR(ReadClock(from.clocks()->monotonic(), "clocks: monotonic", to.clocks.monotonic));
    BROOD_RETURN_IF_ERROR(ReadClock(from.clocks()->boottime(), "clocks: boottime", to.clocks.boottime));
  }
  if (from.network() != nullptr) BROOD_RETURN_IF_ERROR(ReadNetwork(*from.network(), to.network));
  BROOD_RETURN_IF_ERROR(ReadSyscalls(from, first_layer, to.syscalls));
  if (from.unlisted() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(to.unlisted, ReadWord(kActionWords, View(from.unlisted()), "unlisted"));
    BROOD_RETURN_IF_ERROR(ReadErrno(to.unlisted, from.unlisted_errno(), "unlisted_errno", to.unlisted_errno));
  } else if (from.unlisted_errno() != nullptr) {
    return Invalid("unlisted_errno", "goes with \"unlisted\"");
  }
  if (from.environment() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(to.environment, ReadWord(kEnvironmentWords, View(from.environment()), "environment"));
  }
  if (from.landlock() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(to.landlock, ReadWord(kLandlockWords, View(from.landlock()), "landlock"));
  }
  if (from.speculation() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(to.speculation, ReadWord(kSpeculationWords, View(from.speculation()), "speculation"));
  }
  if (from.hostname() != nullptr) {
    to.hostname = View(from.hostname());
    if (const absl::Status valid = CheckHostname(to.hostname); !valid.ok()) return Invalid("hostname", valid.message());
  }
  if (from.proc() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(to.proc, ReadWord(kProcWords, View(from.proc()), "proc"));
  }
  if (from.label() != nullptr) {
    const absl::StatusOr<std::string> label = ParseLabel(View(from.label()));
    if (!label.ok()) return Invalid("label", label.status().message());
    to.label = *label;
  }
  BROOD_RETURN_IF_ERROR(ReadProcess(from.process(), to.process));
  BROOD_RETURN_IF_ERROR(ReadBpfFiles(from, to.bpf_files));
  BROOD_RETURN_IF_ERROR(DecodeLimits(from.limits(), LimitError, to.limits));
  BROOD_RETURN_IF_ERROR(DecodeLimits(from.default_limits(), LimitError, to.default_limits));
  return ReadLayers(from.allow_weaker(), "allow_weaker", kAllLayers.back(), to.allow_weaker);
}

}  // namespace

absl::Status DecodeLimits(const fbs::Limits* from, FieldError error, Limits& to) {
  if (from == nullptr) return absl::OkStatus();
  BROOD_RETURN_IF_ERROR(ReadLimit(from->memory(), "memory", error, ParseSize, to.memory_bytes));
  BROOD_RETURN_IF_ERROR(ReadLimit(from->cpu_time(), "cpu_time", error, ParseTime, to.cpu_time));
  BROOD_RETURN_IF_ERROR(ReadLimit(from->wall_time(), "wall_time", error, ParseTime, to.wall_time));
  BROOD_RETURN_IF_ERROR(ReadLimit(from->grace(), "grace", error, ParseTime, to.grace));
  BROOD_RETURN_IF_ERROR(ReadLimit(from->output(), "output", error, ParseSize, to.output_bytes));
  BROOD_RETURN_IF_ERROR(ReadLimit(from->file_size(), "file_size", error, ParseSize, to.file_size_bytes));
  BROOD_RETURN_IF_ERROR(ReadLimit(from->core(), "core", error, ParseSize, to.core_bytes));
  if (from->processes().has_value()) to.processes = *from->processes();
  if (from->open_files().has_value()) to.open_files = *from->open_files();
  BROOD_RETURN_IF_ERROR(ReadLimit(from->cpus(), "cpus", error, ParseCpus, to.cpus_milli));
  BROOD_RETURN_IF_ERROR(ReadLimit(from->cpu_set(), "cpu_set", error, ParseCpuSet, to.cpu_set));
  BROOD_RETURN_IF_ERROR(ReadLimit(from->disk(), "disk", error, ParseSize, to.disk_bytes));
  BROOD_RETURN_IF_ERROR(ReadLimit(from->io_rate(), "io_rate", error, ParseSize, to.io_rate_bytes));
  if (from->rlimits() != nullptr) {
    std::map<std::string, uint64_t> rlimits;
    for (const flatbuffers::String* text : *from->rlimits()) {
      auto rlimit = ParseRlimit(View(text));
      if (!rlimit.ok()) return error("rlimits", rlimit.status().message());
      if (!rlimits.insert(*rlimit).second) return error("rlimits", absl::StrCat("\"", rlimit->first, "\" is there twice"));
    }
    for (auto& [name, value] : rlimits) to.rlimits[name] = value;
  }
  if (from->cpu_weight().has_value()) to.cpu_weight = *from->cpu_weight();
  if (from->io_weight().has_value()) to.io_weight = *from->io_weight();
  for (const auto& [field, weight] : {std::pair("cpu_weight", to.cpu_weight), std::pair("io_weight", to.io_weight)}) {
    if (weight.has_value() && (*weight == 0 || *weight > kMaxWeight)) return error(field, "expected 1 to 10000; others have 100");
  }
  if (to.io_rate_bytes == uint64_t{0}) return error("io_rate", "must be more than zero: nothing could be read");
  constexpr std::string_view kNothingStarts = "must be more than zero: nothing could start";
  if (to.memory_bytes == uint64_t{0}) return error("memory", kNothingStarts);
  if (to.processes == uint64_t{0}) return error("processes", kNothingStarts);
  if (to.open_files == uint64_t{0}) return error("open_files", kNothingStarts);
  return absl::OkStatus();
}

absl::StatusOr<Policy> DecodePolicy(std::string_view bytes) {
  if (bytes.size() > kMaxPolicyBytes) {
    return absl::InvalidArgumentError(absl::StrCat("policy: ", bytes.size(), " bytes; at most ", kMaxPolicyBytes));
  }
  // Where the caller's bytes happen to lie must not matter: a FlatBuffer is read in place, at its own alignment.
  const std::vector<uint64_t> aligned = [&] {
    std::vector<uint64_t> words((bytes.size() + 7) / 8);
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(words.data()));
    return words;
  }();
  constexpr flatbuffers::uoffset_t kMaxDepth = 16;
  constexpr flatbuffers::uoffset_t kMaxTables = 100'000;
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(aligned.data()), bytes.size(), kMaxDepth, kMaxTables);
  if (!fbs::VerifyPolicyBuffer(verifier)) return absl::InvalidArgumentError("policy: the bytes are not a policy");
  const fbs::Policy& from = *fbs::GetPolicy(aligned.data());
  Policy policy;
  unsigned first_layer = 0;
  if (from.extends() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(policy, BuiltinPolicy(View(from.extends())));
    for (const SyscallRule& rule : policy.syscalls) first_layer = std::max(first_layer, rule.layer + 1);
  }
  BROOD_RETURN_IF_ERROR(ReadPolicy(from, first_layer, policy));
  return policy;
}

}  // namespace brood
