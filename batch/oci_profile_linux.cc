#include "batch/oci_profile.h"

#include <sys/utsname.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "sandbox/errno_words.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

using Op = ArgumentRule::Op;

constexpr std::pair<std::string_view, Op> kOps[] = {
    {"SCMP_CMP_EQ", Op::kEqual},   {"SCMP_CMP_NE", Op::kNotEqual},       {"SCMP_CMP_LT", Op::kLess},
    {"SCMP_CMP_LE", Op::kLessOrEqual}, {"SCMP_CMP_GT", Op::kGreater}, {"SCMP_CMP_GE", Op::kGreaterOrEqual},
    {"SCMP_CMP_MASKED_EQ", Op::kMaskedEqual}};

// As Go and Docker name the machine's architecture, and as libseccomp does.
struct ArchWords {
  std::string_view own, go, seccomp;
};
constexpr ArchWords kArchWords[] = {{"x86_64", "amd64", "SCMP_ARCH_X86_64"}, {"aarch64", "arm64", "SCMP_ARCH_AARCH64"}};

const ArchWords& NativeWords() {
  const std::string own = ArchName(NativeArch(), 0);
  return *absl::c_find_if(kArchWords, [&](const ArchWords& words) { return words.own == own; });
}

bool KernelIsAtLeast(int major, int minor) {
  utsname system = {};
  uname(&system);
  int running_major = 0;
  int running_minor = 0;
  const std::vector<std::string> parts = absl::StrSplit(system.release, absl::ByAnyChar(".-"));
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[0], &running_major) || !absl::SimpleAtoi(parts[1], &running_minor)) return false;
  return std::pair(running_major, running_minor) >= std::pair(major, minor);
}

struct Effect {
  SyscallAction action = SyscallAction::kErrno;
  int errno_value = EPERM;  // Of kErrno.
};

class ProfileReader {
 public:
  ProfileReader(const JsonValue& value, std::string file) : value_(value), file_(std::move(file)) {}

  absl::StatusOr<Policy> Read() {
    BROOD_ASSIGN_OR_RETURN(Policy policy, BuiltinPolicy("default"));
    policy.name = file_;
    policy.syscalls.clear();
    BROOD_ASSIGN_OR_RETURN(JsonObject profile, JsonObject::Of(value_, file_, ""));
    BROOD_ASSIGN_OR_RETURN(const Effect fallback, ReadEffect(profile, "defaultAction", "defaultErrnoRet", "defaultErrno"));
    policy.unlisted = fallback.action;
    policy.unlisted_errno = fallback.action == SyscallAction::kErrno ? fallback.errno_value : 0;
    BROOD_RETURN_IF_ERROR(CheckArchitecture(profile));
    // For a listener that answers SCMP_ACT_NOTIFY, and of the loading.
    for (const char* ignored : {"listenerPath", "listenerMetadata", "flags"}) profile.Find(ignored);
    if (const JsonValue* rules = profile.Find("syscalls"); rules != nullptr) {
      if (rules->kind != JsonValue::Kind::kArray) {
        return profile.Error("syscalls", absl::StrCat("expected a list, got ", JsonKindName(*rules)));
      }
      for (size_t i = 0; i < rules->items.size(); ++i) {
        BROOD_RETURN_IF_ERROR(ReadRule(rules->items[i], absl::StrCat("syscalls[", i, "]"), policy.syscalls));
      }
    }
    BROOD_RETURN_IF_ERROR(profile.Finish());
    const absl::Status compiled = CompileFilter(policy).status();
    if (!compiled.ok()) return absl::InvalidArgumentError(absl::StrCat(file_, ": ", compiled.message()));
    return policy;
  }

 private:
  // Podman's profiles have the errno by name besides, and that is what counts.
  absl::StatusOr<Effect> ReadEffect(JsonObject& object, const char* field, const char* errno_field, const char* errno_name_field) {
    BROOD_ASSIGN_OR_RETURN(const std::optional<std::string> word, object.String(field));
    BROOD_ASSIGN_OR_RETURN(std::optional<uint64_t> number, object.Unsigned(errno_field));
    BROOD_ASSIGN_OR_RETURN(const std::optional<std::string> name, object.String(errno_name_field));
    if (!word.has_value()) return object.Error(field, "missing");
    if (name.has_value() && !name->empty()) {
      const int value = ErrnoFromName(*name);
      if (value == 0) return object.Error(errno_name_field, absl::StrCat("unknown errno \"", *name, "\""));
      number = static_cast<uint64_t>(value);
    }
    if (number.value_or(0) > kLargestErrno) return object.Error(errno_field, absl::StrCat("expected 0 to ", kLargestErrno));
    // As the runtimes have it: a call that does not take place, and returns 0.
    const int errno_value = number == uint64_t{0} ? kSeemsToSucceed : static_cast<int>(number.value_or(EPERM));
    if (*word == "SCMP_ACT_ALLOW") return Effect{SyscallAction::kAllow, 0};
    if (*word == "SCMP_ACT_LOG") return Effect{SyscallAction::kLog, 0};
    if (*word == "SCMP_ACT_ERRNO") return Effect{SyscallAction::kErrno, errno_value};
    // What the kernel gives where nobody traces. seccomp(2), SECCOMP_RET_TRACE.
    if (*word == "SCMP_ACT_TRACE") return Effect{SyscallAction::kErrno, ENOSYS};
    for (const char* kill : {"SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"}) {
      if (*word == kill) return Effect{SyscallAction::kKill, 0};
    }
    if (*word == "SCMP_ACT_NOTIFY") return object.Error(field, "SCMP_ACT_NOTIFY needs an agent that decides, which brood has not");
    return object.Error(field, absl::StrCat("expected an SCMP_ACT_ word, got \"", *word, "\""));
  }

  // Other architectures' calls are violations, whatever the profile says; but it must be for this one.
  absl::Status CheckArchitecture(JsonObject& profile) const {
    BROOD_ASSIGN_OR_RETURN(const auto plain, profile.Strings("architectures"));
    std::vector<std::string> named = plain.value_or(std::vector<std::string>());
    if (const JsonValue* map = profile.Find("archMap"); map != nullptr) {
      if (map->kind != JsonValue::Kind::kArray) return profile.Error("archMap", absl::StrCat("expected a list, got ", JsonKindName(*map)));
      for (size_t i = 0; i < map->items.size(); ++i) {
        BROOD_ASSIGN_OR_RETURN(JsonObject entry, JsonObject::Of(map->items[i], file_, absl::StrCat("archMap[", i, "]")));
        BROOD_ASSIGN_OR_RETURN(const auto architecture, entry.String("architecture"));
        BROOD_RETURN_IF_ERROR(entry.Strings("subArchitectures").status());
        BROOD_RETURN_IF_ERROR(entry.Finish());
        if (architecture.has_value()) named.push_back(*architecture);
      }
    }
    if (named.empty() || absl::c_linear_search(named, NativeWords().seccomp)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ": the profile is for ", absl::StrJoin(named, ", "), " and not for ", NativeWords().seccomp));
  }

  // Whether a condition names this machine or child. What is not given is null.
  struct Match {
    std::optional<bool> capability, architecture, kernel;
  };

  absl::StatusOr<Match> ReadMatch(JsonObject& rule, const char* field) const {
    Match match;
    const JsonValue* value = rule.Find(field);
    if (value == nullptr) return match;
    BROOD_ASSIGN_OR_RETURN(JsonObject object, JsonObject::Of(*value, file_, rule.PathOf(field)));
    BROOD_ASSIGN_OR_RETURN(const auto capabilities, object.Strings("caps"));
    BROOD_ASSIGN_OR_RETURN(const auto architectures, object.Strings("arches"));
    BROOD_ASSIGN_OR_RETURN(const auto kernel, object.String("minKernel"));
    BROOD_RETURN_IF_ERROR(object.Finish());
    if (capabilities.has_value() && !capabilities->empty()) match.capability = false;
    if (architectures.has_value() && !architectures->empty()) match.architecture = absl::c_linear_search(*architectures, NativeWords().go);
    if (kernel.has_value() && !kernel->empty()) {
      const std::vector<std::string> parts = absl::StrSplit(*kernel, '.');
      int major = 0;
      int minor = 0;
      if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &major) || !absl::SimpleAtoi(parts[1], &minor)) {
        return object.Error("minKernel", absl::StrCat("expected MAJOR.MINOR, got \"", *kernel, "\""));
      }
      match.kernel = KernelIsAtLeast(major, minor);
    }
    return match;
  }

  absl::StatusOr<ArgumentRule> ReadArgument(const JsonValue& value, const std::string& path) const {
    BROOD_ASSIGN_OR_RETURN(JsonObject object, JsonObject::Of(value, file_, path));
    BROOD_ASSIGN_OR_RETURN(const auto index, object.Unsigned("index"));
    BROOD_ASSIGN_OR_RETURN(const auto first, object.Unsigned("value"));
    BROOD_ASSIGN_OR_RETURN(const auto second, object.Unsigned("valueTwo"));
    BROOD_ASSIGN_OR_RETURN(const auto word, object.String("op"));
    BROOD_RETURN_IF_ERROR(object.Finish());
    if (!index.has_value() || *index > 5) return object.Error("index", "expected 0 to 5");
    for (const auto& [text, op] : kOps) {
      if (word != text) continue;
      ArgumentRule rule{.index = static_cast<unsigned>(*index), .op = op, .value = first.value_or(0)};
      if (op == Op::kMaskedEqual) {
        rule.mask = first.value_or(0);
        rule.value = second.value_or(0);
      }
      return rule;
    }
    return object.Error("op", absl::StrCat("expected an SCMP_CMP_ word, got \"", word.value_or(""), "\""));
  }

  absl::StatusOr<std::vector<std::vector<ArgumentRule>>> ReadArguments(JsonObject& rule) const {
    std::vector<ArgumentRule> all;
    const JsonValue* list = rule.Find("args");
    if (list != nullptr && list->kind != JsonValue::Kind::kArray) return rule.Error("args", "expected a list");
    for (size_t i = 0; list != nullptr && i < list->items.size(); ++i) {
      BROOD_ASSIGN_OR_RETURN(all.emplace_back(), ReadArgument(list->items[i], absl::StrCat(rule.PathOf("args"), "[", i, "]")));
    }
    // As runc has it: conditions that look at one argument twice are alternatives, else all must hold.
    std::set<unsigned> indices;
    for (const ArgumentRule& one : all) indices.insert(one.index);
    if (indices.size() == all.size()) return std::vector<std::vector<ArgumentRule>>{all};
    std::vector<std::vector<ArgumentRule>> alternatives;
    for (const ArgumentRule& one : all) alternatives.push_back({one});
    return alternatives;
  }

  absl::Status ReadRule(const JsonValue& value, const std::string& path, std::vector<SyscallRule>& rules) {
    BROOD_ASSIGN_OR_RETURN(JsonObject rule, JsonObject::Of(value, file_, path));
    BROOD_ASSIGN_OR_RETURN(const Effect effect, ReadEffect(rule, "action", "errnoRet", "errno"));
    BROOD_ASSIGN_OR_RETURN(const auto names, rule.Strings("names"));
    BROOD_ASSIGN_OR_RETURN(const auto name, rule.String("name"));
    BROOD_ASSIGN_OR_RETURN(const auto alternatives, ReadArguments(rule));
    BROOD_ASSIGN_OR_RETURN(const Match included, ReadMatch(rule, "includes"));
    BROOD_ASSIGN_OR_RETURN(const Match excluded, ReadMatch(rule, "excludes"));
    rule.Find("comment");
    BROOD_RETURN_IF_ERROR(rule.Finish());
    if (names.has_value() == name.has_value()) return rule.Error("names", "expected a list of system calls");
    for (const auto& needed : {included.capability, included.architecture, included.kernel}) {
      if (!needed.value_or(true)) return absl::OkStatus();
    }
    for (const auto& refused : {excluded.capability, excluded.architecture, excluded.kernel}) {
      if (refused.value_or(false)) return absl::OkStatus();
    }
    SyscallRule result{.action = effect.action, .errno_value = effect.action == SyscallAction::kErrno ? effect.errno_value : 0};
    for (const std::string& one : names.has_value() ? *names : std::vector<std::string>{*name}) {
      // Those of other architectures and of other times; runc leaves them out too.
      if (!IsSyscallName(one)) continue;
      if (alternatives.front().empty() && !unconditional_.insert(one).second) continue;
      result.names.push_back(one);
    }
    if (result.names.empty()) return absl::OkStatus();
    for (const std::vector<ArgumentRule>& args : alternatives) {
      result.args = args;
      rules.push_back(result);
    }
    return absl::OkStatus();
  }

  const JsonValue& value_;
  const std::string file_;
  std::set<std::string> unconditional_;
};

}  // namespace

absl::StatusOr<Policy> PolicyFromOciProfile(const JsonValue& value, const std::string& file) {
  return ProfileReader(value, file).Read();
}

}  // namespace brood
