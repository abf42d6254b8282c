#include "sandbox/plan_landlock.h"

#include <linux/mount.h>

#include <map>
#include <string>

#include "gtest/gtest.h"
#include "sandbox/landlock_abi.h"

namespace brood {
namespace {

LandlockPlan Plan(int abi, NetworkMode mode, bool own_network, std::deque<std::string>* texts) {
  Policy policy;
  policy.network.mode = mode;
  const std::vector<MountStep> mounts = {
      {.kind = MountStep::Kind::kBind, .source = "/dev/null", .target = "dev/null", .attributes = MOUNT_ATTR_NOSUID},
      {.kind = MountStep::Kind::kBind, .source = "/out", .target = "out", .attributes = MOUNT_ATTR_NODEV},
      {.kind = MountStep::Kind::kTmpfs, .target = "tmp", .attributes = MOUNT_ATTR_NODEV},
      {.kind = MountStep::Kind::kBind, .source = "/dev/fuse", .target = "given/fuse", .attributes = MOUNT_ATTR_RDONLY, .device = true},
      {.kind = MountStep::Kind::kBind, .source = "/usr", .target = "usr", .attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY}};
  LandlockPlan plan = PlanLandlock(abi, policy, true, own_network);
  if (plan.files != 0) AllowMounts(mounts, texts, &plan);
  return plan;
}

TEST(PlanLandlockTest, AllIsReadAndOnlyWhatIsMountedSoIsWritten) {
  std::deque<std::string> texts;
  std::map<std::string, uint64_t> rules;
  for (const LandlockRule& rule : Plan(7, NetworkMode::kNone, true, &texts).rules) rules[rule.path] = rule.access;
  EXPECT_EQ(rules, (std::map<std::string, uint64_t>{{"/", kLandlockRead},
                                                    {"/out", kLandlockRead | kLandlockWrite},
                                                    {"/tmp", kLandlockRead | kLandlockWrite},
                                                    {"/given/fuse", kLandlockReadFile | kLandlockReadDirectory | kLandlockWriteFile |
                                                                        kLandlockTruncate | kLandlockDeviceControl},
                                                    {"/dev", kLandlockWriteFile | kLandlockTruncate}}));
}

TEST(PlanLandlockTest, EachKernelIsAskedForWhatItHasAndTheRestIsTold) {
  std::deque<std::string> texts;
  const std::string rest = "abstract UNIX sockets and signals to others";
  const std::map<int, std::string> missing = {{0, "not files, truncation, ioctl of devices, TCP, " + rest},
                                              {1, "not files, truncation, ioctl of devices, TCP, " + rest},
                                              {2, "not truncation, ioctl of devices, TCP, " + rest},
                                              {3, "not ioctl of devices, TCP, " + rest},
                                              {4, "not ioctl of devices, " + rest},
                                              {5, "not " + rest},
                                              {6, ""},
                                              {7, ""}};
  for (const auto& [abi, text] : missing) {
    const LandlockPlan plan = Plan(abi, NetworkMode::kNone, true, &texts);
    EXPECT_EQ(plan.missing, text) << abi;
    EXPECT_EQ(plan.by_what.empty(), abi < 2) << abi;
    EXPECT_EQ(plan.files >> (abi < 3 ? 14 : abi < 5 ? 15 : 16), 0u) << abi;
    EXPECT_EQ(plan.tcp != 0, abi >= 4) << abi;
    EXPECT_EQ(plan.scopes != 0, abi >= 6) << abi;
  }
}

TEST(PlanLandlockTest, TcpIsRefusedWhereNoneIsToBeHad) {
  std::deque<std::string> texts;
  EXPECT_NE(Plan(7, NetworkMode::kNone, true, &texts).tcp, 0u);
  EXPECT_NE(Plan(7, NetworkMode::kAllow, true, &texts).tcp, 0u);
  EXPECT_NE(Plan(7, NetworkMode::kLoopback, false, &texts).tcp, 0u);
  EXPECT_EQ(Plan(7, NetworkMode::kLoopback, true, &texts).tcp, 0u);
  EXPECT_EQ(Plan(7, NetworkMode::kHost, false, &texts).tcp, 0u);
}

}  // namespace
}  // namespace brood
