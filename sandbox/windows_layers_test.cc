// What Windows enforces: the right values are set, and a system that does not keep them is noticed. Whether they are enforced is
// for a real Windows to show (launcher:limits_windows_test).
#include <windows.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/windows_handle.h"
#include "gtest/gtest.h"
#include "sandbox/app_container_windows.h"
#include "sandbox/job_limits_windows.h"
#include "sandbox/mitigations_windows.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"
#include "sandbox/probe.h"
#include "sandbox/token_windows.h"
#include "sandbox/windows_layers.h"

namespace brood {
namespace {

using absl::StrContains;

TEST(JobLimitsTest, TheValuesAreThoseOfThePolicy) {
  const JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits =
      ExtendedLimitsOf({.memory_bytes = uint64_t{5} << 30, .processes = 7, .cpu_time = absl::Milliseconds(1500)});
  EXPECT_EQ(limits.JobMemoryLimit, uint64_t{5} << 30);
  EXPECT_EQ(limits.BasicLimitInformation.ActiveProcessLimit, 7u);
  EXPECT_EQ(limits.BasicLimitInformation.PerJobUserTimeLimit.QuadPart, 15'000'000);
  EXPECT_EQ(limits.BasicLimitInformation.LimitFlags,
            DWORD{JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION | JOB_OBJECT_LIMIT_JOB_MEMORY |
                  JOB_OBJECT_LIMIT_ACTIVE_PROCESS | JOB_OBJECT_LIMIT_JOB_TIME});
}

TEST(JobLimitsTest, NothingLetsAProcessBreakAway) {
  const DWORD flags = ExtendedLimitsOf({}).BasicLimitInformation.LimitFlags;
  EXPECT_EQ(flags & (JOB_OBJECT_LIMIT_BREAKAWAY_OK | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK), 0u);
  EXPECT_EQ(flags & JOB_OBJECT_LIMIT_JOB_MEMORY, 0u);
  EXPECT_EQ(UiRestrictionsOf({}), 0u);
  EXPECT_EQ(UiRestrictionsOf({.restricts_ui = true}), 0xFFu);
}

// On every system: what is said to be kept is what the system says of a second look.
TEST(JobLimitsTest, WhatIsNotReadBackIsNoticed) {
  const UniqueFd job = Own(CreateJobObjectW(nullptr, nullptr));
  const JobLimits limits = {.memory_bytes = 123 << 20, .processes = 12, .cpu_time = absl::Seconds(34), .restricts_ui = true};
  const LayerChecks checks = SetJobLimits(job.get(), limits).value();
  ASSERT_EQ(checks.size(), 4u);
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION read = {};
  QueryInformationJobObject(HandleOf(job.get()), JobObjectExtendedLimitInformation, &read, sizeof(read), nullptr);
  EXPECT_EQ(checks.at(Layer::kMemory).ok(), read.JobMemoryLimit == 123 << 20) << checks.at(Layer::kMemory);
  EXPECT_EQ(checks.at(Layer::kProcesses).ok(), read.BasicLimitInformation.ActiveProcessLimit == 12) << checks.at(Layer::kProcesses);
  if (!checks.at(Layer::kMemory).ok()) {
    EXPECT_TRUE(StrContains(checks.at(Layer::kMemory).message(), "was set to 128974848 and reads back as no limit"))
        << checks.at(Layer::kMemory);
  }
}

TEST(JobLimitsTest, AClosedJobIsAnErrorWithItsCode) {
  UniqueFd job = Own(CreateJobObjectW(nullptr, nullptr));
  const int closed = job.get();
  job.reset();
  const absl::Status status = SetJobLimits(closed, {}).status();
  EXPECT_TRUE(StrContains(status.message(), "ERROR_INVALID_HANDLE, 6 (")) << status;
}

TEST(TokenTest, ATokenThatKeepsItsPrivilegesOrItsLevelIsNoticed) {
  HANDLE own = nullptr;
  ASSERT_TRUE(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &own));
  const UniqueFd token = Own(own);
  // That of this process has both.
  for (const auto& [layer, check] : CheckToken(token.get(), {.drops_privileges = true, .low_integrity = true})) {
    EXPECT_EQ(check.code(), absl::StatusCode::kFailedPrecondition) << LayerName(layer);
  }
  EXPECT_TRUE(CheckToken(token.get(), {}).empty());
  EXPECT_EQ(CheckTokenOf(123456, {.low_integrity = true}).at(Layer::kNoNewPrivs).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(MitigationsTest, AProcessWithoutThemIsNoticed) {
  EXPECT_EQ(Mitigations(), 0x0111000100000000u);
  const absl::Status status = CheckMitigations(FdOf(OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, GetCurrentProcessId())));
  EXPECT_TRUE(StrContains(status.message(), "no extension points")) << status;
}

TEST(AppContainerTest, AProcessThatIsInNoneOrInAnotherOneIsNoticed) {
  absl::StatusOr<AppContainer> container = AppContainer::Create();
  if (!container.ok()) GTEST_SKIP() << "this system makes no AppContainer: " << container.status().message();
  const UniqueFd self = Own(OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, GetCurrentProcessId()));
  EXPECT_TRUE(StrContains(container->Check(self.get()).message(), "AppContainer")) << container->Check(self.get());
}

TEST(PlanTest, NoNetworkIsAnAppContainerOrAnErrorThatNamesIt) {
  Policy policy = BuiltinPolicy("none").value();
  policy.namespaces = {Layer::kNet};
  policy.network.mode = NetworkMode::kNone;
  const absl::Status there = ProbeAppContainer();
  const auto plan = CompilePolicy(policy);
  EXPECT_EQ(plan.ok(), there.ok()) << plan.status();
  if (!there.ok()) {
    EXPECT_TRUE(StrContains(plan.status().message(), absl::StrCat("does not enforce net (", there.message(), ")"))) << plan.status();
  }
  policy.allow_weaker = {Layer::kNet};
  EXPECT_EQ(CompilePolicy(policy).value()->enforced().count(Layer::kNet), there.ok() ? 1u : 0u);
  // A loopback of its own no container has.
  policy.allow_weaker = {};
  policy.network.mode = NetworkMode::kLoopback;
  EXPECT_TRUE(StrContains(CompilePolicy(policy).status().message(), "Windows has no net")) << CompilePolicy(policy).status();
}

// The doctor promises no more than a launch would find.
TEST(ProbeTest, SaysOfEachLayerWhatItsCheckSays) {
  LayerChecks checks = ProbeJobLimits({.memory_bytes = 64 << 20, .processes = 3, .cpu_time = absl::Seconds(5), .restricts_ui = true}).value();
  checks.merge(ProbeToken({.drops_privileges = true, .low_integrity = true}));
  checks[Layer::kSeccomp] = ProbeMitigations();
  checks[Layer::kNet] = checks[Layer::kMount] = ProbeAppContainer();
  for (const LayerReport& report : ProbeMachine()) {
    const bool always = report.layer == Layer::kTree || report.layer == Layer::kWallTime || report.layer == Layer::kOutput;
    const auto check = checks.find(report.layer);
    const bool there = always || (check != checks.end() && check->second.ok());
    EXPECT_EQ(report.verdict != LayerReport::Verdict::kUnavailable, there) << LayerName(report.layer) << ": " << report.remedy;
    EXPECT_EQ(report.by_what.empty(), !there) << LayerName(report.layer);
  }
}

// What this system does not keep is named; with its absence accepted, it is not told as enforced.
TEST(PlanTest, ALimitThatIsNotKeptFailsAndNamesItself) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits = {.memory_bytes = 64 << 20, .processes = 3, .cpu_time = absl::Seconds(5)};
  policy.drop_privileges = true;
  LayerChecks checks = ProbeJobLimits({.memory_bytes = 64 << 20, .processes = 3, .cpu_time = absl::Seconds(5)}).value();
  checks.merge(ProbeToken({.drops_privileges = true, .low_integrity = true}));
  ASSERT_EQ(checks.size(), 5u);
  const absl::Status status = CompilePolicy(policy).status();
  for (const auto& [layer, check] : checks) {
    EXPECT_EQ(StrContains(status.message(), LayerName(layer)), !check.ok()) << LayerName(layer) << ": " << status;
    policy.allow_weaker.insert(layer);
  }
  const auto plan = CompilePolicy(policy).value();
  for (const auto& [layer, check] : checks) {
    EXPECT_EQ(plan->enforced().count(layer), check.ok() ? 1u : 0u) << LayerName(layer);
  }
}

// A built-in's own limits take what there is.
TEST(PlanTest, DefaultLimitsThatAreNotKeptAreNoError) {
  Policy policy = BuiltinPolicy("none").value();
  policy.default_limits = {.memory_bytes = 64 << 20, .processes = 3};
  const auto plan = CompilePolicy(policy);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const bool kept = ProbeJobLimits({.memory_bytes = 64 << 20})->at(Layer::kMemory).ok();
  EXPECT_EQ((*plan)->enforced().count(Layer::kMemory), kept ? 1u : 0u);
}

}  // namespace
}  // namespace brood
