#include "absl/strings/str_cat.h"
#include "sandbox/app_container_windows.h"
#include "sandbox/job_limits_windows.h"
#include "sandbox/mitigations_windows.h"
#include "sandbox/probe.h"
#include "sandbox/token_windows.h"
#include "sandbox/windows_layers.h"

namespace brood {
namespace {

// All that can be set, with values that no default is: what reads back as they are was kept.
LayerChecks CheckAll() {
  absl::StatusOr<LayerChecks> checks = ProbeJobLimits(
      {.memory_bytes = 123 << 20, .processes = 123, .cpu_time = absl::Seconds(123), .restricts_ui = true});
  LayerChecks all = checks.ok() ? *std::move(checks) : LayerChecks();
  all.merge(ProbeToken({.drops_privileges = true, .low_integrity = true}));
  all[Layer::kSeccomp] = ProbeMitigations();
  all[Layer::kNet] = all[Layer::kMount] = ProbeAppContainer();
  return all;
}

}  // namespace

std::vector<LayerReport> ProbeMachine() {
  const LayerChecks checks = CheckAll();
  std::vector<LayerReport> reports;
  for (const Layer layer : kAllLayers) {
    LayerReport report{.layer = layer};
    const std::string_view by_what = LayerByWhat(layer);
    const auto check = checks.find(layer);
    const std::string without = absl::StrCat("--allow-weaker ", LayerName(layer), " goes without");
    if (by_what.empty()) {
      report.why = "Windows has none";
      report.remedy = without;
    } else if (check != checks.end() && !check->second.ok()) {
      report.why = check->second.message();
      report.remedy = without;
    } else {
      const bool weaker = by_what.substr(0, 7) == "weaker:";
      report.verdict = weaker ? LayerReport::Verdict::kWeaker : LayerReport::Verdict::kFull;
      report.by_what = by_what;
      if (weaker) report.why = "Windows has no full form";
      if (weaker) report.remedy = absl::StrCat("--allow-weaker ", LayerName(layer), " accepts it");
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace brood
