#include "sandbox/learn/learned_policy.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "sandbox/filter_answers.h"
#include "sandbox/learn/json_text.h"
#include "sandbox/learn/paths.h"
#include "sandbox/learn/policy_text.h"
#include "sandbox/learn/rule_text.h"
#include "sandbox/learn/socket_address.h"
#include "sandbox/notice_child.h"
#include "sandbox/seccomp_compiler.h"
#include "sandbox/syscall_groups.h"

namespace brood {
namespace {

bool IsIn(std::string_view group, std::string_view syscall) { return absl::c_linear_search(SyscallGroupMembers(group), syscall); }

// TIOCSTI and TIOCLINUX type into the caller's terminal.
bool TypesIntoTerminal(const TracedCall& call) {
  constexpr uint64_t kLinux = 0x541c;
  return call.syscall == "ioctl" && ((call.args[1] & 0xffffffff) == TIOCSTI || (call.args[1] & 0xffffffff) == kLinux);
}

enum class Answer { kTakesPlace, kRefused, kViolation };

Answer AnswerOf(const std::vector<sock_filter>& filter, int64_t number, const std::array<uint64_t, 6>& args) {
  if (filter.empty()) return Answer::kTakesPlace;
  uint64_t six[6];
  std::copy(args.begin(), args.end(), six);
  const uint32_t answer = AnswerTo(filter.data(), filter.size(), static_cast<uint32_t>(number), six);
  if (answer == NoticeAction(Notice::kViolation)) return Answer::kViolation;
  return (answer & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO ? Answer::kRefused : Answer::kTakesPlace;
}

bool IsShown(const NeededFile& file, const Policy& policy) {
  const FileRule* nearest = nullptr;
  for (const FileRule& rule : policy.files) {
    if (file.path != rule.destination && !IsBelow(file.path, rule.destination)) continue;
    if (nearest == nullptr || rule.destination.size() >= nearest->destination.size()) nearest = &rule;
  }
  if (nearest == nullptr) return false;
  if (nearest->kind == FileRule::Kind::kSymlink) return !file.link.empty();
  // An empty directory in memory shows nothing that was there before.
  if (nearest->kind == FileRule::Kind::kTmpfs) return file.memory;
  return !(file.writable || file.memory) || nearest->access == FileRule::Access::kReadWrite;
}

std::string FileRuleText(const NeededFile& file) {
  if (!file.link.empty()) return absl::StrCat("{\"symlink\": ", QuotedJson(file.link), ", \"at\": ", QuotedJson(file.path), "}");
  if (file.memory) return absl::StrCat("{\"tmpfs\": ", QuotedJson(file.path), "}");
  return absl::StrCat("{\"path\": ", QuotedJson(file.path), file.writable ? ", \"access\": \"rw\"}" : "}");
}

// The rule of the file itself for that very path.
std::optional<TextRange> OwnRule(const std::string& text, const std::string& path, bool* is_simple) {
  for (const TextRange& range : ListElements(text, {"files"})) {
    const auto rule = nlohmann::json::parse(text.substr(range.begin, range.end - range.begin), nullptr, false, true);
    if (!rule.is_object()) continue;
    // A field that is null is one that is not there.
    const auto says = [&rule = rule, &path = path](const char* field) {
      const auto found = rule.find(field);
      return found != rule.end() && *found == path;
    };
    const auto has = [&rule = rule](const char* field) { return rule.contains(field) && !rule[field].is_null(); };
    *is_simple = says("path") && !has("at") && !has("paths");
    const bool among = has("paths") && absl::c_linear_search(rule["paths"], nlohmann::json(path));
    if (*is_simple || among || says("at") || says("tmpfs")) return range;
  }
  return std::nullopt;
}

bool Holds(const ArgumentRule& rule, const std::array<uint64_t, 6>& args) {
  using Op = ArgumentRule::Op;
  const uint64_t bits = rule.width == 32 ? 0xffffffff : ~uint64_t{0};
  const uint64_t argument = args[rule.index] & bits;
  const uint64_t value = rule.value & bits;
  switch (rule.op) {
    case Op::kEqual:
      return argument == value;
    case Op::kNotEqual:
      return argument != value;
    case Op::kLess:
      return argument < value;
    case Op::kLessOrEqual:
      return argument <= value;
    case Op::kGreater:
      return argument > value;
    case Op::kGreaterOrEqual:
      return argument >= value;
    case Op::kMaskedEqual:
      return (argument & rule.mask) == value;
  }
  return false;
}

// The rule of the file itself that says what becomes of that call; null if it is another's, or none.
const SyscallRule* OwnRuleFor(std::string_view text, const Policy& policy, std::string_view syscall, const std::array<uint64_t, 6>& args) {
  if (!FindField(text, {"syscalls"}).has_value()) return nullptr;
  unsigned nearest = 0;
  for (const SyscallRule& rule : policy.syscalls) nearest = std::max(nearest, rule.layer);
  const SyscallRule* by_name = nullptr;
  const SyscallRule* by_group = nullptr;
  for (const SyscallRule& rule : policy.syscalls) {
    if (rule.layer != nearest) continue;
    const bool named = absl::c_linear_search(rule.names, syscall);
    if (!named && absl::c_none_of(rule.names, [&](const std::string& name) { return IsIn(name, syscall); })) continue;
    if (rule.args.empty()) {
      (named ? by_name : by_group) = &rule;
    } else if (absl::c_all_of(rule.args, [&](const ArgumentRule& one) { return Holds(one, args); })) {
      return &rule;
    }
  }
  return by_name != nullptr ? by_name : by_group;
}

// Whether the file itself answers that call with an error, by a rule, for all that it does not list, or by the network that it asks for.
bool RefusesItself(std::string_view text, const Policy& policy, std::string_view syscall, const std::array<uint64_t, 6>& args) {
  if (policy.network.mode == NetworkMode::kAllow && IsIn("@network", syscall)) return true;
  if (const SyscallRule* rule = OwnRuleFor(text, policy, syscall, args); rule != nullptr) return rule->action == SyscallAction::kErrno;
  const bool named = absl::c_any_of(policy.syscalls, [&](const SyscallRule& rule) {
    return absl::c_any_of(rule.names, [&](const std::string& name) { return name == syscall || IsIn(name, syscall); });
  });
  return !named && FindField(text, {"unlisted"}).has_value();
}

bool IsLoopback(std::string_view to) { return absl::StartsWith(to, "127.") || absl::StartsWith(to, "[::1]"); }

}  // namespace

std::string LearnedPolicy::NewFile() {
  std::string text = R"({
  "extends": null,
  "namespaces": ["user", "pid", "mount", "net", "ipc", "uts", "cgroup"],
  "drop_privileges": true,
  "minimal_system": true,
  "files": [
  ],
  "network": {"mode": "none"},
  "filter_syscalls": true,
  "syscalls": [
    {"names": ["execve", "execveat", "exit", "exit_group", "rt_sigreturn", "restart_syscall"], "action": "allow"},  // always: to start, to end, to go on after a signal
    {"names": ["brk", "mmap", "munmap", "mremap", "madvise", "futex", "sched_yield", "nanosleep", "clock_nanosleep", "tgkill", "kill"], "action": "allow"},  // always: memory, locks, pauses and signals among own threads and processes, needed more or less from run to run
    {"names": ["getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getpid", "getppid", "gettid"], "action": "allow"},  // always: who it is, which is another inside, where a program may ask for more of it
    {"names": ["@io-uring", "@newer", "clone3", "openat2"], "action": "errno", "errno": "ENOSYS"}  // always: as while this was learnt
  ],
  "unlisted": "kill",
  "environment": "minimal"
}
)";
  // Who is not root may give up what root keeps, and inside nobody is root. Without capabilities nothing is gained by it.
  if (geteuid() != 0) return text;
  return AddToList(std::move(text), {"syscalls"},
                   {{R"({"names": ["setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid"], "action": "allow"})",
                     "always, as root has learnt it: who is not root may give up what root keeps"}});
}

void LearnedPolicy::Add(const TracedCall& call) {
  // What the run got ENOSYS for, and the policy answers so too.
  if (IsIn("@io-uring", call.syscall) || IsIn("@newer", call.syscall)) return;
  if (call.syscall == "clone3" || call.syscall == "openat2") return;
  const bool attack = IsIn("@kernel-surface", call.syscall) || TypesIntoTerminal(call);
  if (call.number < 0 || call.syscall == "unknown" || attack) {
    const std::string_view foreign = call.number < 0 ? " of another architecture" : "";
    left_out_[absl::StrCat("system call ", call.syscall, foreign)].Saw("", call.program);
    return;
  }
  UsedCall& used = syscalls_[AllowRuleText(call.syscall, call.args)];
  if (used.evidence.count() == 0) used = {.name = call.syscall, .number = call.number, .args = call.args};
  used.evidence.Saw("", call.program);
  used.succeeded |= call.result >= 0 || call.result == -EINPROGRESS;
  if (call.syscall == "listen" || !call.addresses.empty()) UseNetwork(call);
  if (call.result < 0) return;
  if (!call.path.empty()) files_.Use(call, call.path);
  if (!call.other_path.empty()) files_.Use(call, call.other_path);
  if (!call.path.empty() && !call.other_path.empty()) files_.UseBoth(call);
  for (const std::string& link : call.crossed_links) files_.UseCrossed(call, link);
}

void LearnedPolicy::UseNetwork(const TracedCall& call) {
  if (call.result < 0 && call.result != -EINPROGRESS) return;
  if (const std::string own = SocketAddressText(call.own_address); !own.empty()) own_addresses_.insert(own);
  if (call.syscall == "listen") {
    listens_ = true;
    listening_.Saw("listen", call.program);
  }
  for (const std::string& address : call.addresses) UseAddress(call, address);
}

void LearnedPolicy::UseAddress(const TracedCall& call, const std::string& address) {
  const std::string text = SocketAddressText(address);
  if (text.empty()) return;
  const bool local = absl::StartsWith(text, "unix:");
  const bool stream = call.socket_type == SOCK_STREAM || (local && call.socket_type == SOCK_SEQPACKET);
  if (call.syscall == "bind") {
    own_addresses_.insert(text);
    if (absl::StartsWith(text, "unix:/")) files_.Use(call, text.substr(sizeof("unix:") - 1));
  } else if (stream && call.syscall != "connect") {
    // Otherwise it has no meaning. tcp(7).
    const uint64_t flags = call.args[call.syscall == "sendmsg" ? 2 : 3];
    if ((flags & MSG_FASTOPEN) != 0) left_out_[absl::StrCat("TCP Fast Open to ", text)].Saw(call.syscall, call.program);
  } else if (stream && !IsOwn(text) && (call.relative_address || !IsJsonText(text))) {
    left_out_[absl::StrCat("a connection to ", text, call.relative_address ? ", by a relative path" : ", a name that is no text of JSON")].Saw(
        "connect", call.program);
  } else if (stream) {
    destinations_[text].Saw("connect", call.program);
  } else if (!IsOwn(text)) {
    left_out_[absl::StrCat("datagrams to ", text)].Saw(call.syscall, call.program);
  } else if (!local) {
    listens_ = true;
    listening_.Saw(absl::StrCat(call.syscall, " of datagrams to ", text), call.program);
  }
}

// Inside, the program's own loopback alone is there, and with it only what it listens on itself.
bool LearnedPolicy::IsOwn(const std::string& address) const {
  if (own_addresses_.count(address) != 0) return true;
  if (!IsLoopback(address)) return false;
  const std::string port = address.substr(address.rfind(':'));
  return own_addresses_.count("0.0.0.0" + port) != 0 || own_addresses_.count("[::]" + port) != 0;
}

absl::StatusOr<std::string> LearnedPolicy::Extend(std::string text, const Policy& policy) {
  refused_.clear();
  text = AddFiles(std::move(text), policy);
  text = AddNetwork(std::move(text), policy);
  text = AddHostname(std::move(text), policy);
  return AddSyscalls(std::move(text), policy);
}

std::string LearnedPolicy::AddFiles(std::string text, const Policy& policy) {
  std::vector<PolicyLine> lines;
  for (const NeededFile& file : files_.Needed()) {
    if (!policy.namespaces.count(Layer::kMount) || IsShown(file, policy)) continue;
    bool is_simple = false;
    const std::optional<TextRange> own = OwnRule(text, file.path, &is_simple);
    if (!own.has_value()) {
      lines.push_back({FileRuleText(file), file.evidence});
    } else if (is_simple && file.writable) {
      text = Replace(std::move(text), *own, {FileRuleText(file), file.evidence});
    } else {
      refused_.insert(absl::StrCat(file.path, file.writable ? " to be written" : "", ": a rule of the file shows something else there"));
    }
  }
  return AddToList(std::move(text), {"files"}, lines);
}

// A program that asks for the host's name and then for its address finds both in /etc/hosts; another name would be looked up.
std::string LearnedPolicy::AddHostname(std::string text, const Policy& policy) {
  if (!policy.namespaces.count(Layer::kUts) || !policy.hostname.empty() || !files_.used("/etc/hosts")) return text;
  const auto uname = absl::c_find_if(syscalls_, [](const auto& call) { return call.second.name == "uname"; });
  if (uname == syscalls_.end()) return text;
  utsname names = {};
  if (::uname(&names) != 0 || !CheckHostname(names.nodename).ok()) return text;
  const std::string evidence = absl::StrCat("uname ", uname->second.evidence.Text(), ", and /etc/hosts was read");
  return SetField(std::move(text), "hostname", {QuotedJson(names.nodename), evidence});
}

absl::StatusOr<std::string> LearnedPolicy::AddSyscalls(std::string text, const Policy& policy) {
  if (!policy.filter_syscalls) return text;
  BROOD_ASSIGN_OR_RETURN(const CompiledFilter filter, CompileFilter(policy));
  std::vector<PolicyLine> lines;
  for (const auto& [rule, used] : syscalls_) {
    const Answer answer = AnswerOf(filter.instructions, used.number, used.args);
    if (answer == Answer::kTakesPlace) continue;
    if (answer == Answer::kViolation) {
      if (OwnRuleFor(text, policy, used.name, used.args) != nullptr) {
        refused_.insert(absl::StrCat("system call ", used.name, ": a rule of the file forbids it"));
      } else {
        lines.push_back({rule, used.evidence.Text()});
      }
      continue;
    }
    // What the built-in that the file extends answers with an error programs go on without, mostly. Of this one it is not known.
    if (RefusesItself(text, policy, used.name, used.args)) {
      refused_.insert(absl::StrCat("system call ", used.name, ": the file answers with an error"));
    } else if (used.succeeded) {
      lines.push_back({rule, used.evidence.Text()});
    }
  }
  return AddToList(std::move(text), {"syscalls"}, lines);
}

std::string LearnedPolicy::AddNetwork(std::string text, const Policy& policy) {
  std::vector<PolicyLine> others;
  for (const auto& [to, evidence] : destinations_) {
    if (!IsOwn(to)) others.push_back({QuotedJson(to), evidence.Text()});
  }
  const auto refuse_others = [&](std::string_view why) {
    for (const PolicyLine& line : others) refused_.insert(absl::StrCat("a connection to ", line.value, ": ", why));
  };
  constexpr std::string_view kEither = "a policy has connections to listed destinations, or its own loopback to listen on";
  switch (policy.network.mode) {
    case NetworkMode::kHost:
      return text;
    case NetworkMode::kLoopback:
      refuse_others(kEither);
      return text;
    case NetworkMode::kNone:
      if (listens_) {
        refuse_others(kEither);
        return SetField(std::move(text), "network", {R"({"mode": "loopback"})", listening_.Text()});
      }
      if (others.empty()) return text;
      text = SetField(std::move(text), "network", {R"({"mode": "allow", "to": []})", ""});
      return AddToList(std::move(text), {"network", "to"}, others);
    case NetworkMode::kAllow:
      if (listens_) refused_.insert(absl::StrCat("listening, ", listening_.Text(), ": ", kEither));
      const auto listed = [&](const PolicyLine& line) {
        return absl::c_any_of(policy.network.to, [&](const std::string& to) {
          return IsWithinDestination(std::string(absl::StripSuffix(absl::StripPrefix(line.value, "\""), "\"")), to);
        });
      };
      others.erase(std::remove_if(others.begin(), others.end(), listed), others.end());
      if (!others.empty() && !FindField(text, {"network", "to"}).has_value()) {
        refuse_others("the list of destinations is not this file's");
        return text;
      }
      return AddToList(std::move(text), {"network", "to"}, others);
  }
  return text;
}

std::vector<std::string> LearnedPolicy::LeftOut() const {
  std::vector<std::string> lines;
  for (const auto* map : {&left_out_, &files_.left_out()}) {
    for (const auto& [what, evidence] : *map) lines.push_back(OneLine(absl::StrCat(what, ", ", evidence.Text())));
  }
  for (const std::string& what : refused_) lines.push_back(OneLine(what));
  return lines;
}

}  // namespace brood
