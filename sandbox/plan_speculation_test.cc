#include "sandbox/plan_speculation.h"

#include <linux/prctl.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

constexpr uint32_t kBoth = 1u << PR_SPEC_STORE_BYPASS | 1u << PR_SPEC_INDIRECT_BRANCH;

TEST(PlanSpeculationTest, WhatHasAControlIsTurnedOffWhateverItIsNow) {
  for (const unsigned long now : {PR_SPEC_ENABLE, PR_SPEC_DISABLE, PR_SPEC_FORCE_DISABLE, PR_SPEC_DISABLE_NOEXEC}) {
    const SpeculationPlan plan = PlanSpeculation({static_cast<int>(PR_SPEC_PRCTL | now), static_cast<int>(PR_SPEC_PRCTL | now)});
    EXPECT_EQ(plan.off, kBoth) << now;
    EXPECT_EQ(plan.by_what, "store bypass off for good, indirect branches off for good") << now;
    EXPECT_EQ(plan.missing, "") << now;
  }
}

TEST(PlanSpeculationTest, WhatTheMachineDoesNotDoNeedsNoControl) {
  const SpeculationPlan plan = PlanSpeculation({.store_bypass = PR_SPEC_NOT_AFFECTED, .indirect_branch = PR_SPEC_DISABLE});
  EXPECT_EQ(plan.off, 0u);
  EXPECT_EQ(plan.by_what, "store bypass not affected, indirect branches off for all");
  EXPECT_EQ(plan.missing, "");
}

TEST(PlanSpeculationTest, WhatIsOnAndHasNoControlIsMissing) {
  const SpeculationPlan plan = PlanSpeculation({.store_bypass = PR_SPEC_ENABLE, .indirect_branch = static_cast<int>(PR_SPEC_PRCTL | PR_SPEC_ENABLE)});
  EXPECT_EQ(plan.off, 1u << PR_SPEC_INDIRECT_BRANCH);
  EXPECT_EQ(plan.by_what, "indirect branches off for good");
  EXPECT_TRUE(absl::StartsWith(plan.missing, "store bypass: on, and the kernel has no control of it")) << plan.missing;
}

TEST(PlanSpeculationTest, AKernelThatKnowsNoControlOrRefusesToAnswerIsToldApart) {
  const SpeculationPlan plan = PlanSpeculation({.store_bypass = -EPERM, .indirect_branch = -ENODEV});
  EXPECT_EQ(plan.off, 0u);
  EXPECT_EQ(plan.by_what, "");
  EXPECT_TRUE(absl::StartsWith(plan.missing, "store bypass: the kernel answers EPERM")) << plan.missing;
  EXPECT_TRUE(absl::EndsWith(plan.missing, "; indirect branches: this kernel knows no control of it")) << plan.missing;
}

}  // namespace
}  // namespace brood
