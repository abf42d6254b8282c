#include "sandbox/plan_landlock.h"

#include <linux/mount.h>

#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "sandbox/landlock_abi.h"

namespace brood {
namespace {

// Before it, nothing can be moved or linked to another directory, whatever a rule says: more than a policy asks for.
constexpr int kLeastAbi = 2;

class LandlockPlanner {
 public:
  explicit LandlockPlanner(int abi) : abi_(abi) {}

  // True if the kernel has `what`, which is of `since`.
  bool Use(int since, std::string_view what) {
    (abi_ >= since ? used_ : missing_).emplace_back(what);
    return abi_ >= since;
  }

  LandlockPlan Finish(LandlockPlan plan) const {
    plan.missing = missing_.empty() ? "" : absl::StrCat("not ", absl::StrJoin(missing_, ", "));
    if (used_.empty()) return plan;
    plan.by_what = absl::StrCat("Landlock ABI ", abi_, ": ", absl::StrJoin(used_, ", "));
    return plan;
  }

 private:
  int abi_;
  std::vector<std::string_view> used_;
  std::vector<std::string_view> missing_;
};

void AddRule(std::string path, uint64_t access, std::deque<std::string>* texts, std::vector<LandlockRule>& rules) {
  rules.push_back({.path = texts->emplace_back(std::move(path)).c_str(), .access = access});
}

// A root of its own is all there is to read; to be written is what is mounted so. A rule for each mount that is only read
// would cost each launch its walk to it, and say no more.
void AllowMounts(const std::vector<MountStep>& mounts, std::deque<std::string>* texts, std::vector<LandlockRule>& rules) {
  AddRule("/", kLandlockRead, texts, rules);
  bool devices = false;
  for (const MountStep& step : mounts) {
    const bool makes_mount = step.kind == MountStep::Kind::kBind || step.kind == MountStep::Kind::kTmpfs ||
                             step.kind == MountStep::Kind::kQueues;
    if (!makes_mount || (step.attributes & MOUNT_ATTR_RDONLY) != 0) continue;
    // Of a whole host that is shown at / too: the rule is for it and what is below.
    const std::string_view target = step.target;
    const bool device = step.kind == MountStep::Kind::kBind && (step.attributes & MOUNT_ATTR_NODEV) == 0;
    if (device) {
      devices = true;
    } else {
      rules.push_back({.path = texts->emplace_back(absl::StrCat("/", target)).c_str(),
                       .access = kLandlockRead | kLandlockWrite,
                       .optional = step.optional});
    }
  }
  // Nothing else in it can be written, and nothing is controlled by ioctl(2).
  if (devices) rules.push_back({.path = "/dev", .access = kLandlockWriteFile | kLandlockTruncate});
}

}  // namespace

LandlockPlan PlanLandlock(int abi, const Policy& policy, const std::vector<MountStep>& mounts, bool own_network,
                          std::deque<std::string>* texts) {
  LandlockPlan plan;
  LandlockPlanner planner(abi);
  if (!mounts.empty()) {
    if (planner.Use(kLeastAbi, "files")) {
      plan.files = kLandlockRead | kLandlockWriteFile | kLandlockMakeOrRemove | kLandlockRefer;
      AllowMounts(mounts, texts, plan.rules);
    }
    if (planner.Use(3, "truncation")) plan.files |= kLandlockTruncate;
    if (planner.Use(5, "ioctl of devices")) plan.files |= kLandlockDeviceControl;
  }
  // Rules go by ports and know no addresses: who has a loopback of its own must have all of TCP.
  const NetworkMode mode = policy.network.mode;
  const bool no_tcp = mode != NetworkMode::kHost && !(mode == NetworkMode::kLoopback && own_network);
  if (no_tcp && planner.Use(4, "TCP")) plan.tcp = kLandlockTcp;
  if (planner.Use(6, "abstract UNIX sockets and signals to others")) plan.scopes = kLandlockScopes;
  return planner.Finish(std::move(plan));
}

}  // namespace brood
