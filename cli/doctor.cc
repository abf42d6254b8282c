// brood doctor: what this machine can enforce, and what to change.
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "launcher/launch_options.h"
#include "sandbox/default_policy.h"
#include "sandbox/layer.h"
#include "sandbox/policy.h"
#include "sandbox/probe.h"

namespace brood {
namespace {

std::string_view VerdictWord(LayerReport::Verdict verdict) {
  switch (verdict) {
    case LayerReport::Verdict::kFull:
      return "yes";
    case LayerReport::Verdict::kWeaker:
      return "weaker";
    case LayerReport::Verdict::kUnavailable:
      return "no";
  }
  return "no";
}

std::string Table(const std::vector<LayerReport>& reports) {
  std::string text = absl::StrFormat("%-14s %-7s %s\n", "layer", "here", "by what; what is in the way; what to change");
  for (const LayerReport& report : reports) {
    std::vector<std::string_view> parts;
    for (const std::string* part : {&report.by_what, &report.why, &report.remedy}) {
      if (!part->empty()) parts.push_back(*part);
    }
    const std::string what = absl::StrJoin(parts, "; ");
    absl::StrAppendFormat(&text, "%-14s %-7s %s\n", LayerName(report.layer), VerdictWord(report.verdict), what);
  }
  return text;
}

std::string Json(const std::vector<LayerReport>& reports, const absl::Status& default_policy) {
  std::vector<std::string> layers;
  for (const LayerReport& report : reports) {
    layers.push_back(absl::StrCat(
        "{\"layer\":", JsonText(LayerName(report.layer)), ",\"here\":", JsonText(VerdictWord(report.verdict)),
        ",\"by_what\":", JsonText(report.by_what), ",\"why\":", JsonText(report.why), ",\"remedy\":", JsonText(report.remedy), "}"));
  }
  const std::string problem = default_policy.ok() ? "null" : JsonText(default_policy.message());
  return absl::StrCat("{\"v\":1,\"default_policy_ok\":", default_policy.ok() ? "true" : "false",
                      ",\"default_policy_problem\":", problem, ",\"layers\":[", absl::StrJoin(layers, ","), "]}\n");
}

// Whether the policy that is used unless another is named can be enforced here.
absl::Status CheckDefaultPolicy(const std::vector<LayerReport>& reports) {
  const absl::StatusOr<Policy> policy = BuiltinPolicy(DefaultPolicyName());
  if (!policy.ok()) return policy.status();
  if (const auto compiled = CompilePolicy(*policy); !compiled.ok()) return compiled.status();
  LayerSet needed = policy->namespaces;
  needed.insert(Layer::kTree);
  if (policy->drop_privileges) needed.insert({Layer::kCapabilities, Layer::kNoNewPrivs});
  if (policy->filter_syscalls) needed.insert(Layer::kSeccomp);
  std::vector<std::string_view> missing;
  for (const LayerReport& report : reports) {
    if (report.verdict == LayerReport::Verdict::kUnavailable && needed.contains(report.layer)) {
      missing.push_back(LayerName(report.layer));
    }
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("not enforceable: ", absl::StrJoin(missing, ", ")));
}

}  // namespace

int DoctorMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("doctor", args);
  if (!options.ok()) return ReportUsage("doctor", options.status(), kExitUsage);
  if (!options->operands().empty()) {
    return ReportUsage("doctor", absl::InvalidArgumentError("takes no operands"), kExitUsage);
  }
  const std::vector<LayerReport> reports = ProbeMachine();
  const absl::Status default_policy = CheckDefaultPolicy(reports);
  if (!PrintOut(options->Has("--json") ? Json(reports, default_policy) : Table(reports))) return kExitBroodFailed;
  if (default_policy.ok()) return kExitOk;
  PrintError("doctor", absl::StrCat("policy \"", DefaultPolicyName(), "\": ", default_policy.message()));
  return kExitNegative;
}

}  // namespace brood
