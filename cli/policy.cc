// brood policy: validates policy files, and says what policies allow.
#include "sandbox/policy.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "batch/files.h"
#include "batch/policy_json.h"
#include "batch/suggest.h"
#include "batch/text.h"
#include "cli/commands.h"
#include "cli/filter_listing.h"
#include "cli/learn.h"
#include "cli/options.h"
#include "launcher/launch_options.h"
#include "sandbox/explain.h"
#include "sandbox/policy_flatbuffer.h"
#include "sandbox/syscall_groups.h"

namespace brood {
namespace {

int Print(std::string_view text) { return PrintOut(text) ? kExitOk : kExitBroodFailed; }

// Whoever reads what a policy allows may have it from a stranger: it must not forge a line, nor drive the terminal.
Policy MadePrintable(Policy policy) {
  policy.name = Printable(policy.name);
  for (FileRule& rule : policy.files) {
    for (std::string* path : {&rule.source, &rule.destination, &rule.changes}) *path = Printable(*path);
    if (rule.kind == FileRule::Kind::kSymlink) rule.text = Printable(rule.text);
    for (std::string& layer : rule.layers) layer = Printable(layer);
  }
  for (BpfFile& file : policy.bpf_files) file.path = Printable(file.path);
  for (std::string& destination : policy.network.to) destination = Printable(destination);
  return policy;
}

int Fail(const absl::Status& status) {
  PrintError("policy", Printable(status.message()));
  return absl::IsInvalidArgument(status) ? kExitNegative : kExitUsage;
}

int ExplainGroup(const std::string& name) {
  std::vector<std::string> names;
  for (const SyscallGroup& group : SyscallGroups()) {
    if (group.name == name) return Print(absl::StrCat(group.name, ": ", group.description, "\n", group.members, "\n"));
    names.emplace_back(group.name);
  }
  PrintError("policy", absl::StrCat("no group ", name, DidYouMean(name, names), "; there are ", absl::StrJoin(names, ", ")));
  return kExitUsage;
}

int ExplainFile(const std::string& name) {
  if (const absl::StatusOr<std::string_view> text = BuiltinPolicyText(name); text.ok()) return Print(*text);
  const absl::StatusOr<std::string> text = ReadFile(name, kMaxPolicyBytes);
  return text.ok() ? Print(*text) : Fail(text.status());
}

int Explain(const std::string& name, const ParsedOptions& options) {
  if (name[0] == '@') return ExplainGroup(name);
  const absl::StatusOr<Policy> policy = LoadPolicy(name);
  if (!policy.ok()) return Fail(policy.status());
  if (options.Has("--json")) return ExplainFile(name);
  if (!options.Has("--bpf")) return Print(ExplainPolicy(MadePrintable(*policy)));
  const absl::StatusOr<std::string> listing = FilterListing(*policy);
  return listing.ok() ? Print(*listing) : Fail(listing.status());
}

int Check(const std::string& path) {
  const absl::StatusOr<Policy> policy = LoadPolicy(path);
  if (!policy.ok()) return Fail(policy.status());
  const auto compile = [](const Policy& one) { return CompilePolicy(one).status(); };
  if (const absl::Status compiled = compile(*policy); !compiled.ok()) {
    PrintError("policy", Printable(PlaceInFile(path, compiled, compile).message()));
    return kExitNegative;
  }
  return Print(absl::StrCat(path, ": ok\n"));
}

int Usage(std::string_view problem) { return ReportUsage("policy", absl::InvalidArgumentError(problem), kExitUsage); }

}  // namespace

int PolicyMain(const std::vector<std::string>& args) {
  constexpr std::string_view kExpected = "expected explain NAME|FILE, check FILE or learn PROGRAM";
  const bool has_verb = !args.empty() && args[0][0] != '-';
  const std::string verb = has_verb ? args[0] : "";
  const absl::StatusOr<ParsedOptions> options = ParseOptions("policy", {args.begin() + (has_verb ? 1 : 0), args.end()});
  if (!options.ok()) return ReportUsage("policy", options.status(), kExitUsage);
  if (verb != "explain" && verb != "check" && verb != "learn") {
    return Usage(absl::StrCat(kExpected, verb.empty() ? "" : DidYouMean(verb, {"explain", "check", "learn"})));
  }
  for (const auto& [name, value] : options->given()) {
    const std::string_view owner = name == "--output" || name == "--wall-time" ? "learn" : "explain";
    if (verb != owner) return Usage(absl::StrCat(name, " goes with ", owner));
  }
  if (verb == "learn") {
    if (options->operands().empty() || options->operands()[0].empty()) return Usage("learn: PROGRAM is missing");
    LearnSettings settings{.argv = options->operands(), .output = options->Value("--output")};
    if (options->Has("--wall-time")) {
      const absl::StatusOr<absl::Duration> time = ParseTime(options->Value("--wall-time"));
      if (!time.ok()) return Usage(absl::StrCat("--wall-time: ", time.status().message()));
      settings.wall_time = *time;
    }
    return Learn(settings);
  }
  if (options->operands().size() != 1 || options->operands()[0].empty()) return Usage(kExpected);
  if (verb == "explain") return Explain(options->operands()[0], *options);
  return Check(options->operands()[0]);
}

}  // namespace brood
