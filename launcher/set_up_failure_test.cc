// Every step of the set-up is made to fail, by a filter that the test puts around the process that launches: nothing of it is
// in the product. The program must not run, the step and the errno must be told, and nothing may be left.
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launcher/set_up_faults.h"
#include "sandbox/machine.h"
#include "sandbox/setup_steps.h"

namespace brood {
namespace {

class SetUpStepTest : public SetUpFailureTest, public testing::WithParamInterface<Fault> {};

INSTANTIATE_TEST_SUITE_P(Every, SetUpStepTest, testing::ValuesIn(kFaults), [](const auto& info) { return info.param.name; });

TEST_P(SetUpStepTest, ThatFailsEndsTheLaunchAndIsTold) { ExpectEndsTheLaunch(GetParam(), absl::StrCat(GetParam().step, "|", GetParam().error, "|")); }

TEST(SetUpStepsTest, AreAllAmongThoseThatAreMadeToFail) {
  std::set<std::string_view> failing = {
      "init",       // Below.
      "label",      // label_test, where AppArmor runs.
      "read_back",  // SetUpLieTest, below.
      "bootstrap",  // Of functions: kept_set_up_failure_test.
      "slot",       // Of kept sandboxes: kept_set_up_failure_test.
  };
  for (const Fault& fault : kFaults) failing.insert(fault.step);
  for (const char* step : child::kSetupSteps) EXPECT_EQ(failing.count(step), 1u) << step;
}

// Which of its descriptors the guardian talks to the init by depends on what its caller has, so each of them is tried.
TEST_F(SetUpFailureTest, AnInitThatCannotBeToldToBeginEndsTheLaunch) {
  policy_.files.push_back({.source = directory_, .destination = directory_, .access = FileRule::Access::kReadWrite});
  const std::vector<std::string> argv = {"sh", "-c", absl::StrCat("echo ran > ", directory_, "/ran")};
  std::string told;
  for (uint32_t socket = 3; socket < 64 && !absl::StartsWith(told, absl::StrCat("init|", EPIPE, "|")); ++socket) {
    std::filesystem::remove(directory_ + "/ran");
    told = Launch({.number = SYS_sendmsg, .error = EPIPE, .argument = 0, .value = socket}, Harm::kDone, argv);
    EXPECT_FALSE(absl::StrContains(told, "\nleft")) << told;
  }
  EXPECT_TRUE(absl::StartsWith(told, absl::StrCat("init|", EPIPE, "|"))) << told;
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/ran"));
}

void WantNice(Policy& policy, const std::string&) { policy.process.nice = 19; }
void WantUmask(Policy& policy, const std::string&) { policy.process.umask = 077; }
void WantPersonality(Policy& policy, const std::string&) { policy.process.personality = {"uname26"}; }
void WantNoTsc(Policy& policy, const std::string&) { policy.process.disable_tsc = true; }
void WantNoWriteExecute(Policy& policy, const std::string&) { policy.process.deny_write_execute = true; }

// Few programs run without it, so that there is none here that does.
TEST_F(SetUpFailureTest, ATimeStampCounterThatStaysOnEndsTheLaunch) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "needs a time stamp counter that can be disabled";
#endif
  policy_.process.disable_tsc = true;
  const std::string told = Launch({.number = SYS_prctl, .error = EACCES, .argument = 0, .value = PR_SET_TSC}, Harm::kDone, {"true"});
  EXPECT_EQ(told, absl::StrCat("attributes|", EACCES, "|disable_tsc: PR_SET_TSC"));
}

// A call that says it has succeeded and has done nothing: what is read back tells. SECCOMP_RET_ERRNO with 0 is that.
constexpr Fault kLies[] = {
    {"CgroupNamespace", SYS_unshare, 0, "namespace cgroup: expected an own one"},
    {"TimeNamespace", SYS_setns, 0, "namespace time: expected an own one"},
    {"Attributes", SYS_mount_setattr, 0, "mount at /"},
    {"OldRoot", SYS_umount2, 0, "mount at /"},
    {.name = "Link", .number = SYS_symlinkat, .step = "/link: expected the link", .wants = WantLink},
    {.name = "MaskOfADirectory", .number = SYS_umask, .step = "/made: expected a directory of the mode",
     .wants = [](Policy& policy, const std::string&) { policy.files.push_back({.kind = FileRule::Kind::kDirectory, .destination = "/made", .mode = 0777}); }},
    {.name = "MaskOfAFile", .number = SYS_umask, .step = "/made: expected the file",
     .wants = [](Policy& policy, const std::string&) { policy.files.push_back({.kind = FileRule::Kind::kFile, .destination = "/made", .mode = 0666}); }},
    {"BoundingSet", SYS_prctl, 0, "CapBnd: expected 0000000000000000", 0, ~0u, PR_CAPBSET_DROP},
    {"Capabilities", SYS_capset, 0, "CapPrm: expected 0000000000000000"},
    {"Limits", SYS_prlimit64, 0, "resource limit ", 2, ~0u, 0, true},
    {"LandlockDomain", SYS_landlock_restrict_self, 0, "landlock: expected"},
    {"Filter", SYS_seccomp, 0, "seccomp: expected", 0, ~0u, SECCOMP_SET_MODE_FILTER},
    {.name = "FurtherFilter", .number = SYS_seccomp, .step = "seccomp: expected ", .argument = 0, .value = SECCOMP_SET_MODE_FILTER, .wants = WantFurtherFilter},
    {.name = "ChosenGroups", .number = SYS_setgroups, .step = "Groups: expected 1 from 4242 on, seen ", .wants = WantGroups},
    {.name = "Nice", .number = SYS_setpriority, .step = "nice: expected 19, seen ", .wants = WantNice},
    {.name = "Umask", .number = SYS_umask, .step = "umask: expected 63, seen 0", .wants = WantUmask},
    {.name = "Personality", .number = SYS_personality, .step = "personality: expected ", .argument = 0, .value = ~0u, .differs = true, .wants = WantPersonality},
    {.name = "TimeStampCounter", .number = SYS_prctl, .step = "disable_tsc: expected ", .argument = 0, .value = PR_SET_TSC, .wants = WantNoTsc},
    {.name = "WriteExecute", .number = SYS_prctl, .step = "deny_write_execute: expected 1, seen 0", .argument = 0, .value = kSetMdwe, .wants = WantNoWriteExecute},
};

class SetUpLieTest : public SetUpFailureTest, public testing::WithParamInterface<Fault> {};

INSTANTIATE_TEST_SUITE_P(Every, SetUpLieTest, testing::ValuesIn(kLies), [](const auto& info) { return info.param.name; });

TEST_P(SetUpLieTest, ThatNothingWasDoneIsReadBack) {
  const Fault& fault = GetParam();
  if (absl::StartsWith(fault.step, "landlock") && ThisMachine().landlock_abi < 6) GTEST_SKIP() << "needs Landlock ABI 6";
  policy_.files.push_back({.source = directory_, .destination = directory_, .access = FileRule::Access::kReadWrite});
  if (const std::string lacks = LacksFor(fault); !lacks.empty()) GTEST_SKIP() << lacks;
  if (fault.wants != nullptr) fault.wants(policy_, directory_);
#if !defined(__x86_64__)
  if (policy_.process.disable_tsc) GTEST_SKIP() << "needs a time stamp counter that can be disabled";
#endif
  if (policy_.process.deny_write_execute && prctl(kSetMdwe + 1, 0, 0, 0, 0) < 0) GTEST_SKIP() << "needs PR_SET_MDWE, Linux 6.3";
  if (fault.number == SYS_setns) policy_.namespaces.insert(Layer::kTime);
  const std::string told = Launch(fault, Harm::kDone, {"sh", "-c", absl::StrCat("echo ran > ", directory_, "/ran")});
  EXPECT_TRUE(absl::StartsWith(told, absl::StrCat("read_back|0|", fault.step))) << told;
  EXPECT_FALSE(absl::StrContains(told, "\nleft")) << told;
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/ran"));
}

// The calls of the set-up, each refused with errnos that some code takes for harmless or not.
TEST_F(SetUpFailureTest, WhateverIsRefusedAProgramRunsConfinedOrNotAtAll) {
  const std::string program = std::filesystem::absolute("tests/programs/bin/is_confined");
  policy_.files.push_back({.source = program, .destination = "/is_confined"});
  ASSERT_EQ(Launch({}, Harm::kNone, {"/is_confined"}), "exited with code 0");
  int refused = 0;
  for (const long number :
       {SYS_socketpair, SYS_clone, SYS_clone3, SYS_unshare, SYS_prctl, SYS_capset, SYS_setresuid, SYS_setresgid, SYS_setgroups,
        SYS_setsid, SYS_sethostname, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_open_tree, SYS_move_mount, SYS_fsopen,
        SYS_fsconfig, SYS_fsmount, SYS_mount_setattr, SYS_openat2, SYS_mkdirat, SYS_symlinkat, SYS_fchdir, SYS_chdir, SYS_statx,
        SYS_fcntl, SYS_dup2, SYS_dup3, SYS_close_range, SYS_prlimit64, SYS_landlock_create_ruleset, SYS_landlock_add_rule,
        SYS_landlock_restrict_self, SYS_seccomp, SYS_execve, SYS_pipe2, SYS_getppid}) {
    for (const int error : {EPERM, EINVAL, ENOSYS, ENOENT, EBUSY}) {
      const Fault fault = {"", number, error, ""};
      const std::string told = Launch(fault, Harm::kDone, {"/is_confined"});
      // 40 and more: what it found that should not be.
      EXPECT_FALSE(absl::StartsWith(told, "exited with code 4")) << number << ", " << strerror(error) << ": " << told;
      EXPECT_FALSE(absl::StrContains(told, "\nleft")) << number << ", " << strerror(error) << ": " << told;
      refused += absl::StartsWith(told, "exited with code 0") ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace brood
