#include "batch/policy_options.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "batch/suggest.h"

namespace brood {
namespace {

// Of Linux, of which the rules of a policy speak whatever system reads them. socket(2), netlink(7), errno(3).
constexpr uint64_t kUnix = 1;
constexpr uint64_t kInet = 2;  // Rules about the internet's families stand for both. Masked, kInet6 is kInet.
constexpr uint64_t kInet6 = 10;
constexpr uint64_t kNetlink = 16;
constexpr uint64_t kNetlinkRoute = 0;
constexpr uint64_t kStream = 1;
constexpr uint64_t kSeqpacket = 5;
constexpr int kAccessDenied = 13;  // EACCES.

template <typename T>
void Replace(const std::optional<T>& nearer, std::optional<T>& value) {
  if (nearer.has_value()) value = nearer;
}

// Without "." and "..", so that two spellings of one place are one rule.
std::string Normal(std::string_view path) {
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

bool Names(const SyscallRule& rule, std::string_view name) { return absl::c_linear_search(rule.names, name); }

// What `default` says of the internet's sockets: TCP and UDP, and nothing else of these families.
absl::StatusOr<std::vector<SyscallRule>> InternetSockets() {
  BROOD_ASSIGN_OR_RETURN(Policy base, BuiltinPolicy("default"));
  std::erase_if(base.syscalls, [](const SyscallRule& rule) {
    return !Names(rule, "socket") || rule.args.empty() || rule.args[0].index != 0 || rule.args[0].value != kInet;
  });
  return std::move(base.syscalls);
}

// Rules of the nearest file win for each system call as a whole, so those about other families come along.
absl::Status AllowSocketFamilies(bool routes, bool leaves_own_network, bool unix_sockets, Policy& policy) {
  unsigned nearest = 0;
  unsigned socket_layer = 0;
  for (const SyscallRule& rule : policy.syscalls) {
    nearest = std::max(nearest, rule.layer);
    if (Names(rule, "socket")) socket_layer = std::max(socket_layer, rule.layer);
  }
  // The family is an int: what a register has above it does not count.
  const auto family = [](uint64_t value) {
    return ArgumentRule{.index = 0, .op = ArgumentRule::Op::kMaskedEqual, .value = value, .mask = 0xffffffff};
  };
  BROOD_ASSIGN_OR_RETURN(std::vector<SyscallRule> rules, InternetSockets());
  rules.push_back({.names = {"@sockets"}});
  if (unix_sockets) rules.push_back({.names = {"socket"}, .args = {family(kUnix)}});
  // Name resolution asks which addresses this machine has.
  if (routes)
    rules.push_back({.names = {"socket"}, .args = {family(kNetlink), {.index = 2, .value = kNetlinkRoute}}});
  for (const SyscallRule& rule : policy.syscalls) {
    const bool about_a_family = rule.args.size() == 1 && rule.args[0].index == 0;
    if (!Names(rule, "socket") || rule.layer != socket_layer || !about_a_family) continue;
    const uint64_t value = rule.args[0].value;
    if (value == kInet || value == kInet6 || (unix_sockets && value == kUnix)) continue;
    rules.push_back(rule);
    rules.back().names = {"socket"};
  }
  // What was allowed while the names were the child's own reaches the host's abstract sockets now: session buses, X11. As in
  // the built-in `networked`. unix(7).
  if (leaves_own_network) {
    std::erase_if(rules, [](const SyscallRule& rule) {
      return Names(rule, "socket") && rule.args[0].value == kUnix;
    });
    rules.push_back({.names = {"socket"}, .args = {family(kUnix)}, .action = SyscallAction::kErrno, .errno_value = kAccessDenied});
    if (absl::c_any_of(policy.syscalls, [](const SyscallRule& rule) { return Names(rule, "socketpair"); })) {
      for (const uint64_t type : {kStream, kSeqpacket}) {
        const ArgumentRule of_type{.index = 1, .op = ArgumentRule::Op::kMaskedEqual, .value = type, .mask = 0xf};
        rules.push_back({.names = {"socketpair"}, .args = {family(kUnix), of_type}});
      }
    }
  }
  for (SyscallRule& rule : rules) {
    rule.layer = nearest + 1;
    policy.syscalls.push_back(std::move(rule));
  }
  return absl::OkStatus();
}

// The files that `networked` has and `default` lacks: what name resolution and TLS read.
absl::Status ShowResolverFiles(Policy& policy) {
  BROOD_ASSIGN_OR_RETURN(const Policy networked, BuiltinPolicy("networked"));
  BROOD_ASSIGN_OR_RETURN(const Policy base, BuiltinPolicy("default"));
  const auto has = [](const Policy& where, const FileRule& rule) {
    return absl::c_any_of(where.files, [&](const FileRule& other) { return other.destination == rule.destination; });
  };
  for (const FileRule& rule : networked.files) {
    if (!has(base, rule) && !has(policy, rule)) policy.files.push_back(rule);
  }
  return absl::OkStatus();
}

absl::Status ApplyNetwork(const Network& network, Policy& policy) {
  policy.network = network;
  const bool shares_the_machines = network.mode == NetworkMode::kHost;
  const bool had_own = policy.namespaces.contains(Layer::kNet);
  if (shares_the_machines) {
    policy.namespaces.erase(Layer::kNet);
  } else {
    policy.namespaces.insert(Layer::kNet);
  }
  if (network.mode == NetworkMode::kNone) return absl::OkStatus();
  if (policy.filter_syscalls) {
    const bool unix_sockets =
        absl::c_any_of(network.to, [](const std::string& to) { return absl::StartsWith(to, "unix:"); });
    BROOD_RETURN_IF_ERROR(AllowSocketFamilies(shares_the_machines, shares_the_machines && had_own, unix_sockets, policy));
  }
  if (shares_the_machines && policy.namespaces.contains(Layer::kMount)) return ShowResolverFiles(policy);
  return absl::OkStatus();
}

// The last rule for a place is the one that counts.
absl::Status ForbidExecution(const std::string& place, std::vector<FileRule>& files) {
  const auto rule = std::find_if(files.rbegin(), files.rend(), [&](const FileRule& other) { return other.destination == place; });
  if (rule == files.rend()) {
    return absl::InvalidArgumentError(absl::StrCat("noexec: no rule of the policy, nor an option, shows something at ", place,
                                                   "; name the place of one, or show what is there with one of its own"));
  }
  rule->no_exec = true;
  return absl::OkStatus();
}

absl::Status NothingFits(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("a size of 0, in which nothing fits, in \"", text, "\"; without a size it is 64M"));
}

}  // namespace

void ApplyAttributes(const ProcessAttributes& nearer, ProcessAttributes& process) {
  const auto& [nice, oom_score_adj, umask, personality, disable_tsc, deny_write_execute] = nearer;
  Replace(nice, process.nice);
  Replace(oom_score_adj, process.oom_score_adj);
  Replace(umask, process.umask);
  if (!personality.empty()) process.personality = personality;
  process.disable_tsc = process.disable_tsc || disable_tsc;
  process.deny_write_execute = process.deny_write_execute || deny_write_execute;
}

void ApplyLimits(const Limits& nearer, Limits& limits) {
  Replace(nearer.memory_bytes, limits.memory_bytes);
  Replace(nearer.processes, limits.processes);
  Replace(nearer.cpu_time, limits.cpu_time);
  Replace(nearer.wall_time, limits.wall_time);
  Replace(nearer.output_bytes, limits.output_bytes);
  Replace(nearer.file_size_bytes, limits.file_size_bytes);
  Replace(nearer.open_files, limits.open_files);
  Replace(nearer.core_bytes, limits.core_bytes);
  Replace(nearer.cpus_milli, limits.cpus_milli);
  Replace(nearer.cpu_weight, limits.cpu_weight);
  Replace(nearer.io_weight, limits.io_weight);
  Replace(nearer.disk_bytes, limits.disk_bytes);
  Replace(nearer.io_rate_bytes, limits.io_rate_bytes);
  Replace(nearer.cpu_set, limits.cpu_set);
  Replace(nearer.grace, limits.grace);
  for (const auto& [name, value] : nearer.rlimits) limits.rlimits[name] = value;
}

absl::Status ApplyPolicyOptions(const PolicyOptions& options, Policy& policy) {
  if (!options.files.empty() && !policy.namespaces.contains(Layer::kMount)) {
    return absl::InvalidArgumentError(
        absl::StrCat("policy \"", policy.name, "\" shows the whole machine, so that file rules (",
                     options.files[0].destination, ") have no effect; use strict, default or networked"));
  }
  if (options.network.has_value()) BROOD_RETURN_IF_ERROR(ApplyNetwork(*options.network, policy));
  LayFiles(options.files, policy.files);
  for (const std::string& place : options.no_exec) BROOD_RETURN_IF_ERROR(ForbidExecution(place, policy.files));
  if (options.hostname.has_value()) {
    policy.hostname = *options.hostname;
    policy.namespaces.insert(Layer::kUts);
  }
  if (options.environment.has_value()) policy.environment = *options.environment;
  ApplyLimits(options.limits, policy.limits);
  policy.allow_weaker.insert(options.allow_weaker.begin(), options.allow_weaker.end());
  if (options.groups.has_value()) policy.groups = *options.groups;
  if (options.label.has_value()) policy.label = *options.label;
  if (options.proc.has_value()) policy.proc = *options.proc;
  ApplyAttributes(options.process, policy.process);
  policy.bpf_files.insert(policy.bpf_files.end(), options.bpf_files.begin(), options.bpf_files.end());
  return absl::OkStatus();
}

absl::StatusOr<FileRule> ParseBindRule(std::string_view text, FileRule::Access access) {
  const size_t split = text.find(":/");
  const std::string_view source = text.substr(0, split);
  if (source.empty()) return absl::InvalidArgumentError(absl::StrCat("expected SRC[:DEST], got \"", text, "\""));
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(std::filesystem::path(source), error);
  if (error) return absl::FailedPreconditionError(absl::StrCat("current directory: ", error.message()));
  FileRule rule{.access = access};
  rule.source = Normal(absolute.string());
  rule.destination = split == std::string_view::npos ? rule.source : Normal(text.substr(split + 1));
  return rule;
}

absl::StatusOr<FileRule> ParseTmpfsRule(std::string_view text) {
  FileRule rule{.kind = FileRule::Kind::kTmpfs, .access = FileRule::Access::kReadWrite};
  std::string_view destination = text;
  if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    BROOD_ASSIGN_OR_RETURN(rule.size_bytes, ParseSize(text.substr(colon + 1)));
    if (rule.size_bytes == 0) return NothingFits(text);
    destination = text.substr(0, colon);
  }
  if (destination.empty() || destination[0] != '/') {
    return absl::InvalidArgumentError(absl::StrCat("expected DEST[:SIZE] with an absolute path, got \"", text, "\""));
  }
  rule.destination = Normal(destination);
  return rule;
}

absl::StatusOr<FileRule> ParseOverlayRule(std::string_view text) {
  uint64_t size = 0;
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos && text.substr(colon + 1, 1) != "/") {
    BROOD_ASSIGN_OR_RETURN(size, ParseSize(text.substr(colon + 1)));
    if (size == 0) return NothingFits(text);
    text = text.substr(0, colon);
  }
  BROOD_ASSIGN_OR_RETURN(FileRule rule, ParseBindRule(text, FileRule::Access::kReadWrite));
  rule.kind = FileRule::Kind::kOverlay;
  rule.size_bytes = size;
  return rule;
}

absl::StatusOr<FileRule> ParseKeptOverlayRule(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == 0 || colon == std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("expected CHANGES:SRC[:DEST], got \"", text, "\""));
  }
  BROOD_ASSIGN_OR_RETURN(const FileRule changes, ParseBindRule(text.substr(0, colon), FileRule::Access::kReadWrite));
  BROOD_ASSIGN_OR_RETURN(FileRule rule, ParseBindRule(text.substr(colon + 1), FileRule::Access::kReadWrite));
  rule.kind = FileRule::Kind::kOverlay;
  rule.changes = changes.source;
  return rule;
}

absl::StatusOr<std::string> ParsePlace(std::string_view text) {
  if (text.empty() || text[0] != '/') return absl::InvalidArgumentError(absl::StrCat("expected DEST, an absolute path, got \"", text, "\""));
  return Normal(text);
}

absl::StatusOr<LayerSet> ParseLayers(std::string_view text) {
  LayerSet layers;
  for (std::string_view name : absl::StrSplit(text, ',')) {
    const std::optional<Layer> layer = LayerFromName(name);
    if (!layer.has_value()) {
      std::vector<std::string> names;
      for (Layer known : kAllLayers) names.emplace_back(LayerName(known));
      return absl::InvalidArgumentError(absl::StrCat("unknown layer \"", name, "\"", DidYouMean(name, names),
                                                     "; there are ", absl::StrJoin(names, ", ")));
    }
    layers.insert(*layer);
  }
  return layers;
}

}  // namespace brood
