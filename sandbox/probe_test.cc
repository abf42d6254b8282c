#include "sandbox/probe.h"

#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(ProbeTest, EveryLayerHasAVerdictAndARemedyWhereItIsMissing) {
  const std::vector<LayerReport> reports = ProbeMachine();
  ASSERT_EQ(reports.size(), kAllLayers.size());
  for (size_t i = 0; i < reports.size(); ++i) {
    EXPECT_EQ(reports[i].layer, kAllLayers[i]);
    if (reports[i].verdict == LayerReport::Verdict::kFull) {
      EXPECT_FALSE(reports[i].by_what.empty()) << LayerName(reports[i].layer);
    } else {
      EXPECT_FALSE(reports[i].why.empty()) << LayerName(reports[i].layer);
      EXPECT_FALSE(reports[i].remedy.empty()) << LayerName(reports[i].layer);
    }
  }
}

}  // namespace
}  // namespace brood
