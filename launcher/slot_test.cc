// Calls in a sandbox that is kept for the next one.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "launcher/server.h"
#include "launcher/slot_testing.h"
#include "sandbox/machine.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

TEST_F(SlotTest, ACallRunsInIt) {
  StartStrict();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Call("Answer").ToString(), "exited with code 42");
}

TEST_F(SlotTest, AChildIsConfinedAsByThePolicy) {
  StartStrict();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Call("IsConfined").exit_code(), 0);
}

TEST_F(SlotTest, LandlockHoldsEveryChild) {
  StartStrict();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Call("LandlockHolds").exit_code(), 0);
}

TEST_F(SlotTest, AForbiddenCallIsAViolationAndTheNextChildRuns) {
  StartStrict();
  const Outcome outcome = Call("Mount");
  const auto* const violation = std::get_if<Violation>(&outcome.ending);
  ASSERT_NE(violation, nullptr) << outcome.ToString();
  EXPECT_EQ(violation->syscall, "mount");
  EXPECT_EQ(Call("Answer").exit_code(), 42);
}

TEST_F(SlotTest, WhatItsKeeperMayCallAChildMayNot) {
  StartStrict();
  const Outcome outcome = Call("Receive");
  ASSERT_TRUE(std::holds_alternative<Violation>(outcome.ending)) << outcome.ToString();
}

TEST_F(SlotTest, TheCallThatBearsItInItsGroupIsUnknownToAChild) {
  StartStrict();
  EXPECT_EQ(Call("IsClone3Unknown").exit_code(), 0);
}

TEST_F(SlotTest, ASignalIsTheChildsOwn) {
  StartStrict();
  EXPECT_EQ(Call("Segfault").exit_code(), -SIGSEGV);
}

TEST_F(SlotTest, AFileThatAChildLeavesIsNotThereForTheNext) {
  StartStrict();
  EXPECT_EQ(Call("WriteTmp").exit_code(), 0);
  EXPECT_EQ(Call("TmpIsEmpty").exit_code(), 0);
}

TEST_F(SlotTest, DaemonsThatAChildLeavesAreDeadBeforeItsOutcome) {
  StartStrict();
  EXPECT_EQ(Call("LeaveDaemons").exit_code(), 0);
  EXPECT_EQ(Call("OthersAreThere").exit_code(), 0);
}

TEST_F(SlotTest, ASignalToItsGroupReachesNobodyElse) {
  StartStrict();
  EXPECT_EQ(Call("SignalGroup").exit_code(), -SIGKILL);
  EXPECT_EQ(Call("SignalAll").exit_code(), 0);
  EXPECT_EQ(Call("Answer").exit_code(), 42);
}

TEST_F(SlotTest, TheWallTimeIsEachChilds) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
  ASSERT_TRUE(policy.ok());
  policy->limits.wall_time = absl::Milliseconds(100);
  Start(*policy);
  EXPECT_EQ(Call("Spin").StatusWord(), "timeout");
  EXPECT_EQ(Call("Answer").exit_code(), 42);
}

TEST_F(SlotTest, AChildThatReachesItsMemoryLimitEndsAloneAndTheNextHasAllOfIt) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
  ASSERT_TRUE(policy.ok());
  policy->limits.memory_bytes = uint64_t{64} << 20;
  const auto plan = CompilePolicy(*policy);
  if (!plan.ok()) GTEST_SKIP() << plan.status();
  if (!LimitsMemory()) GTEST_SKIP() << ThisMachine().cgroups.why_not;
  Start(*policy);
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = Call("EatMemory");
    EXPECT_EQ(outcome.StatusWord(), "memory") << outcome.ToString();
    EXPECT_GT(outcome.usage.memory_peak_bytes, uint64_t{60} << 20);
    const Outcome next = Call("Answer");
    EXPECT_EQ(next.exit_code(), 42);
    EXPECT_LT(next.usage.memory_peak_bytes, uint64_t{16} << 20);
  }
}

TEST_F(SlotTest, ARefusedForkIsToldOfTheChildThatWasRefusedIt) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
  ASSERT_TRUE(policy.ok());
  policy->limits.processes = 10;
  if (GroupsAt().empty()) GTEST_SKIP() << ThisMachine().cgroups.why_not;
  Start(*policy);
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = Call("ForkUntilRefused");
    EXPECT_EQ(outcome.exit_code(), 9) << outcome.ToString();
    EXPECT_EQ(outcome.limits_hit, std::vector<Layer>{Layer::kProcesses});
    const Outcome next = Call("Answer");
    EXPECT_EQ(next.exit_code(), 42);
    EXPECT_TRUE(next.limits_hit.empty());
  }
}

TEST_F(SlotTest, NoGroupIsLeftOnceTheServerHasEnded) {
  if (GroupsAt().empty()) GTEST_SKIP() << ThisMachine().cgroups.why_not;
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);  // The supervisor, who makes them, becomes our child.
  StartStrict();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Call("Answer").exit_code(), 42);
  const std::vector<std::string> groups = GroupsOfChildren();
  EXPECT_EQ(groups.size(), 1u);
  server_.reset();
  for (const std::string& group : groups) {
    // Looks, since no event tells of the end of a group of version 1.
    for (int waited = 0; access(group.c_str(), F_OK) == 0 && waited < 10'000; ++waited) usleep(1000);
    EXPECT_NE(access(group.c_str(), F_OK), 0) << group;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

TEST_F(SlotTest, APolicyThatCannotBeKeptIsRefusedWithTheReason) {
  absl::StatusOr<Policy> policy = BuiltinPolicy("default");
  ASSERT_TRUE(policy.ok());
  policy->syscalls.push_back({.names = {"keyctl"}, .layer = 1});
  const auto plan = CompilePolicy(*policy);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const absl::StatusOr<Server> server = Server::Start({}, *plan);
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(server.status().message(), "keyctl")) << server.status();
}

TEST_F(SlotTest, WhatAKeeperCannotTakeBackIsRefused) {
  for (const auto& [change, word] : std::vector<std::pair<std::function<void(Policy&)>, std::string>>{
           {[](Policy& p) { p.bpf_files = {{.path = "/some.bpf", .program = std::string("\x06\0\0\0\0\0\xff\x7f", 8)}}; }, "filters of BPF bytes"},
           {[](Policy& p) { p.process.nice = 19; }, "attributes of processes"},
           {[](Policy& p) { p.groups = {getegid() != 0 ? getegid() : 4242}; }, "groups"},
           {[](Policy& p) { p.process.deny_write_execute = true; }, "attributes of processes"}}) {
    Policy policy = BuiltinPolicy("default").value();
    change(policy);
    const auto plan = CompilePolicy(policy);
    if (absl::StrContains(plan.status().message(), "deny_write_execute: this kernel cannot do it")) continue;
    ASSERT_TRUE(plan.ok()) << plan.status();
    const absl::StatusOr<Server> server = Server::Start({}, *plan);
    ASSERT_FALSE(server.ok()) << word;
    EXPECT_TRUE(absl::StrContains(server.status().message(), word)) << server.status();
  }
}

TEST_F(SlotTest, WhatOnlyAGuardianDoesIsRefused) {
  for (const auto& [change, word] : std::vector<std::pair<std::function<void(Policy&)>, std::string>>{
           {[](Policy& p) { p.syscalls.push_back({.names = {"getpid"}, .action = SyscallAction::kNotify, .layer = 1}); }, "counted"},
           {[](Policy& p) { p.network = {.mode = NetworkMode::kAllow, .to = {"127.0.0.1:1"}}; }, "destinations"}}) {
    absl::StatusOr<Policy> policy = BuiltinPolicy("default");
    ASSERT_TRUE(policy.ok());
    change(*policy);
    const auto plan = CompilePolicy(*policy);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const absl::StatusOr<Server> server = Server::Start({}, *plan);
    ASSERT_FALSE(server.ok()) << word;
    EXPECT_TRUE(absl::StrContains(server.status().message(), word)) << server.status();
  }
}

}  // namespace
}  // namespace brood
