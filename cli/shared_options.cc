#include "cli/shared_options.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "batch/bpf_files.h"
#include "batch/copy_options.h"
#include "batch/file_rules.h"
#include "batch/files.h"
#include "batch/function_job.h"
#include "batch/suggest.h"
#include "bootstrap/plugin.h"
#include "sandbox/ids.h"
#include "sandbox/label.h"
#include "serialization/messages.h"

namespace brood {
namespace {

template <typename Parse, typename To>
absl::Status Read(const ParsedOptions& options, std::string_view name, Parse parse, To& to) {
  if (!options.Has(name)) return absl::OkStatus();
  auto value = parse(options.Value(name));
  if (!value.ok()) return Annotate(value.status(), name);
  to = *std::move(value);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ParseCount(std::string_view text) {
  uint64_t count = 0;
  if (!absl::SimpleAtoi(text, &count) || count == 0) {
    return absl::InvalidArgumentError(absl::StrCat("expected a number from 1, got \"", text, "\""));
  }
  return count;
}

absl::StatusOr<uint64_t> ParseWeight(std::string_view text) {
  const absl::StatusOr<uint64_t> weight = ParseCount(text);
  if (weight.ok() && *weight <= kMaxWeight) return weight;
  return absl::InvalidArgumentError(absl::StrCat("expected 1 to ", kMaxWeight, ", got \"", text, "\"; others have 100"));
}

absl::StatusOr<uint64_t> ParseRate(std::string_view text) {
  absl::StatusOr<uint64_t> rate = ParseSize(text);
  if (rate.ok() && *rate == 0) return absl::InvalidArgumentError("must be more than zero: nothing could be read");
  return rate;
}

absl::Status AddVariable(std::string_view where, std::string_view entry, std::vector<std::string>& env) {
  if (entry.empty() || entry[0] == '=' || entry.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": expected NAME=VALUE or NAME, got \"", entry, "\""));
  }
  env.emplace_back(entry);
  return absl::OkStatus();
}

absl::Status AddEnvironmentFile(const std::string& path, std::vector<std::string>& env) {
  constexpr size_t kMaxBytes = size_t{4} << 20;
  BROOD_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  int line = 0;
  for (std::string_view entry : absl::StrSplit(text, '\n')) {
    ++line;
    entry = absl::StripTrailingAsciiWhitespace(entry);
    if (entry.empty() || entry[0] == '#') continue;
    BROOD_RETURN_IF_ERROR(AddVariable(absl::StrCat(path, ":", line), entry, env));
  }
  return absl::OkStatus();
}

absl::Status AddFileRule(const std::string& name, absl::StatusOr<FileRule> rule, std::vector<FileRule>& files) {
  if (!rule.ok()) return Annotate(rule.status(), name);
  for (const FileRule& other : files) {
    if (other.destination == rule->destination) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": two rules for ", rule->destination));
    }
  }
  files.push_back(*std::move(rule));
  return absl::OkStatus();
}

absl::StatusOr<StartMethod> ParseStartMethod(std::string_view text) {
  std::vector<std::string> names;
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    if (text == StartMethodName(method)) return method;
    names.emplace_back(StartMethodName(method));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("expected spawn, fork or forkserver, got \"", text, "\"", DidYouMean(text, names)));
}

absl::StatusOr<Isolation> ParseIsolation(std::string_view text) {
  if (text == "kept") return Isolation::kKept;
  if (text == "fresh") return Isolation::kFresh;
  return absl::InvalidArgumentError(absl::StrCat("expected kept or fresh, got \"", text, "\"", DidYouMean(text, {"kept", "fresh"})));
}

// The server has the caller's files, and resolves nothing.
absl::Status ReadPreload(const ParsedOptions& options, JobDefaults& defaults) {
  for (const std::string& value : options.Values("--preload")) {
    if (defaults.start_method != StartMethod::kForkServer && !options.Has("--socket")) {
      return absl::InvalidArgumentError("--preload: only a server loads before its children are born; use --start-method forkserver");
    }
    if (!SplitPluginTarget(value).has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("--preload: expected PATH", kPluginSuffix, " or PATH", kPluginSuffix, ":NAME, got \"", value, "\""));
    }
    absl::StatusOr<std::string> target = ResolveTarget(value);
    if (!target.ok()) return Annotate(target.status(), "--preload");
    defaults.preload.push_back(*std::move(target));
  }
  return absl::OkStatus();
}

absl::Status ReadServer(const ParsedOptions& options, JobDefaults& defaults) {
  defaults.server = options.Value("--server");
  if (defaults.server.empty()) return absl::InvalidArgumentError("--server: expected a path");
  for (const std::string_view name : {"--start-method", "--preload"}) {
    if (options.Has(name)) return absl::InvalidArgumentError(absl::StrCat(name, ": the server has its own; see brood serve"));
  }
  if (!options.Has("--policy")) defaults.policy.clear();
  defaults.server_template = options.Value("--template");
  if (!options.Has("--server-uid")) return absl::OkStatus();
  uint32_t uid = 0;
  if (!absl::SimpleAtoi(options.Value("--server-uid"), &uid)) {
    return absl::InvalidArgumentError(absl::StrCat("--server-uid: expected the number of a user, got \"", options.Value("--server-uid"), "\""));
  }
  defaults.server_uid = uid;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JobDefaults> ReadSharedOptions(const ParsedOptions& options) {
  JobDefaults defaults;
  PolicyOptions& policy = defaults.options;
  defaults.policy = options.Value("--policy", defaults.policy);
  defaults.cwd = options.Value("--cwd");
  if (defaults.cwd.empty() && options.Has("--cwd")) return absl::InvalidArgumentError("--cwd: expected a directory");
  for (const auto& [name, value] : options.given()) {
    if (name == "--ro")
      BROOD_RETURN_IF_ERROR(AddFileRule(name, ParseBindRule(value, FileRule::Access::kReadOnly), policy.files));
    if (name == "--rw")
      BROOD_RETURN_IF_ERROR(AddFileRule(name, ParseBindRule(value, FileRule::Access::kReadWrite), policy.files));
    if (name == "--tmpfs") BROOD_RETURN_IF_ERROR(AddFileRule(name, ParseTmpfsRule(value), policy.files));
    if (name == "--overlay-kept") BROOD_RETURN_IF_ERROR(AddFileRule(name, ParseKeptOverlayRule(value), policy.files));
    if (name == "--overlay-ro") BROOD_RETURN_IF_ERROR(AddFileRule(name, ParseMergedRule(value), policy.files));
    if (name == "--overlay-below") BROOD_RETURN_IF_ERROR(Annotate(AddOverlayLayer(value, policy.files), name));
    if (name == "--symlink") BROOD_RETURN_IF_ERROR(AddFileRule(name, ParseSymlinkRule(value), policy.files));
    if (name == "--dir") BROOD_RETURN_IF_ERROR(AddFileRule(name, ParseDirectoryRule(value), policy.files));
    if (name == "--device") BROOD_RETURN_IF_ERROR(AddFileRule(name, ParseDeviceRule(value), policy.files));
    if (name == "--overlay") BROOD_RETURN_IF_ERROR(AddFileRule(name, ParseOverlayRule(value), policy.files));
    if (name == "--noexec") {
      absl::StatusOr<std::string> place = ParsePlace(value);
      if (!place.ok()) return Annotate(place.status(), name);
      policy.no_exec.push_back(*std::move(place));
    }
    if (name == "--seccomp-bpf") {
      absl::StatusOr<BpfFile> file = ReadBpfOption(value);
      if (!file.ok()) return Annotate(file.status(), name);
      policy.bpf_files.push_back(*std::move(file));
    }
    if (name == "--rlimit") {
      const auto rlimit = ParseRlimit(value);
      if (!rlimit.ok()) return Annotate(rlimit.status(), name);
      policy.limits.rlimits[rlimit->first] = rlimit->second;
    }
    if (name == "--allow-weaker") {
      const absl::StatusOr<LayerSet> layers = ParseLayers(value);
      if (!layers.ok()) return Annotate(layers.status(), name);
      policy.allow_weaker.insert(layers->begin(), layers->end());
    }
  }
  // Files first, so that --env wins over them wherever it stands.
  for (const std::string& path : options.Values("--env-file"))
    BROOD_RETURN_IF_ERROR(AddEnvironmentFile(path, defaults.env));
  for (const std::string& entry : options.Values("--env"))
    BROOD_RETURN_IF_ERROR(AddVariable("--env", entry, defaults.env));
  if (options.Has("--clear-env")) policy.environment = EnvironmentBase::kEmpty;
  if (options.Has("--hostname")) {
    policy.hostname = options.Value("--hostname");
    BROOD_RETURN_IF_ERROR(Annotate(CheckHostname(*policy.hostname), "--hostname"));
  }
  if (options.Has("--server")) {
    BROOD_RETURN_IF_ERROR(ReadServer(options, defaults));
  } else if (!options.Has("--socket") && options.Has("--template")) {
    return absl::InvalidArgumentError("--template: of a server; it goes with --server");
  }
  if (options.Has("--retry-lost") && !absl::SimpleAtoi(options.Value("--retry-lost"), &defaults.retry_lost)) {
    return absl::InvalidArgumentError(absl::StrCat("--retry-lost: expected a number from 0 on, got \"", options.Value("--retry-lost"), "\""));
  }
  if (options.Has("--wait-tree")) defaults.tree_end = TreeEnd::kWait;
  defaults.violation_stack = options.Has("--violation-stack");
  for (const std::string& text : options.Values("--copy-in")) {
    absl::StatusOr<CopyIn> copy = ParseCopyIn(text);
    if (!copy.ok()) return Annotate(copy.status(), "--copy-in");
    defaults.copy_in.push_back(*std::move(copy));
  }
  for (const std::string& text : options.Values("--copy-out")) {
    absl::StatusOr<CopyOut> copy = ParseCopyOut(text);
    if (!copy.ok()) return Annotate(copy.status(), "--copy-out");
    defaults.copy_out.push_back(*std::move(copy));
  }
  BROOD_RETURN_IF_ERROR(Read(options, "--start-method", ParseStartMethod, defaults.start_method));
  BROOD_RETURN_IF_ERROR(Read(options, "--isolation", ParseIsolation, defaults.isolation));
  BROOD_RETURN_IF_ERROR(ReadPreload(options, defaults));
  BROOD_RETURN_IF_ERROR(Read(options, "--net", ParseNetwork, policy.network));
  BROOD_RETURN_IF_ERROR(Read(options, "--wall-time", ParseTime, policy.limits.wall_time));
  BROOD_RETURN_IF_ERROR(Read(options, "--cpu-time", ParseTime, policy.limits.cpu_time));
  BROOD_RETURN_IF_ERROR(Read(options, "--memory", ParseSize, policy.limits.memory_bytes));
  BROOD_RETURN_IF_ERROR(Read(options, "--output", ParseSize, policy.limits.output_bytes));
  BROOD_RETURN_IF_ERROR(Read(options, "--file-size", ParseSize, policy.limits.file_size_bytes));
  BROOD_RETURN_IF_ERROR(Read(options, "--processes", ParseCount, policy.limits.processes));
  BROOD_RETURN_IF_ERROR(Read(options, "--disk", ParseSize, policy.limits.disk_bytes));
  BROOD_RETURN_IF_ERROR(Read(options, "--cpus", ParseCpus, policy.limits.cpus_milli));
  BROOD_RETURN_IF_ERROR(Read(options, "--grace", ParseTime, policy.limits.grace));
  BROOD_RETURN_IF_ERROR(Read(options, "--cpu-set", ParseCpuSet, policy.limits.cpu_set));
  BROOD_RETURN_IF_ERROR(Read(options, "--cpu-weight", ParseWeight, policy.limits.cpu_weight));
  BROOD_RETURN_IF_ERROR(Read(options, "--io-weight", ParseWeight, policy.limits.io_weight));
  BROOD_RETURN_IF_ERROR(Read(options, "--io-rate", ParseRate, policy.limits.io_rate_bytes));
  BROOD_RETURN_IF_ERROR(Read(options, "--groups", ParseGroups, policy.groups));
  BROOD_RETURN_IF_ERROR(Read(options, "--exec-label", ParseLabel, policy.label));
  BROOD_RETURN_IF_ERROR(Read(options, "--nice", ParseNice, policy.process.nice));
  BROOD_RETURN_IF_ERROR(Read(options, "--oom-score-adj", ParseOomScoreAdj, policy.process.oom_score_adj));
  BROOD_RETURN_IF_ERROR(Read(options, "--umask", ParseUmask, policy.process.umask));
  BROOD_RETURN_IF_ERROR(Read(options, "--personality", ParsePersonality, policy.process.personality));
  if (options.Has("--proc-rw")) policy.proc = ProcAccess::kReadWrite;
  policy.process.disable_tsc = options.Has("--disable-tsc");
  policy.process.deny_write_execute = options.Has("--deny-write-execute");
  BROOD_RETURN_IF_ERROR(Read(options, "--open-files", ParseCount, policy.limits.open_files));
  return defaults;
}

}  // namespace brood
