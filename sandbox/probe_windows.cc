#include "absl/strings/str_cat.h"
#include "sandbox/probe.h"

namespace brood {

std::vector<LayerReport> ProbeMachine() {
  std::vector<LayerReport> reports;
  for (const Layer layer : kAllLayers) {
    LayerReport report{.layer = layer};
    if (layer == Layer::kTree) {
      report.verdict = LayerReport::Verdict::kFull;
      report.by_what = "job object, kill on close";
    } else if (layer == Layer::kWallTime) {
      report.verdict = LayerReport::Verdict::kFull;
      report.by_what = "timer that ends the job";
    } else {
      report.remedy = absl::StrCat("Windows has none; --allow-weaker ", LayerName(layer), " goes without");
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace brood
