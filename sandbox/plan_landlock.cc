#include "sandbox/plan_landlock.h"

#include <linux/mount.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "sandbox/landlock_abi.h"
#include "sandbox/made_files.h"
#include "sandbox/plan_devices.h"

namespace brood {
namespace {

// Used as such, and nothing made beside it.
constexpr uint64_t kLandlockOfDevice =
    kLandlockReadFile | kLandlockReadDirectory | kLandlockWriteFile | kLandlockTruncate | kLandlockDeviceControl;

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

LandlockRule Rule(std::string path, uint64_t access, bool optional, std::deque<std::string>* texts) {
  return {.path = texts->emplace_back(std::move(path)).c_str(), .access = access, .optional = optional};
}

}  // namespace

LandlockPlan PlanLandlock(int abi, const Policy& policy, bool files, bool own_network) {
  LandlockPlan plan;
  LandlockPlanner planner(abi);
  if (files) {
    if (planner.Use(kLeastAbi, "files")) {
      plan.files = kLandlockRead | kLandlockWriteFile | kLandlockMakeOrRemove | kLandlockRefer;
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

// A root of its own is all there is to read; to be written is what is mounted so. A rule for each mount that is only read
// would cost each launch its walk to it, and say no more.
void AllowMounts(const std::vector<MountStep>& mounts, std::deque<std::string>* texts, LandlockPlan* plan) {
  plan->rules.push_back(Rule("/", kLandlockRead, false, texts));
  bool devices = false;
  for (const MountStep& step : mounts) {
    if (step.device) {
      plan->rules.push_back(Rule(absl::StrCat("/", step.target), kLandlockOfDevice, step.optional, texts));
      continue;
    }
    if (step.kind == MountStep::Kind::kProc) {
      if ((step.attributes & MOUNT_ATTR_RDONLY) == 0) plan->rules.push_back(Rule(absl::StrCat("/", step.target), kLandlockRead | kLandlockWriteFile | kLandlockTruncate, false, texts));
      continue;
    }
    if (!IsMount(step) || (step.attributes & MOUNT_ATTR_RDONLY) != 0) continue;
    if (step.kind == MountStep::Kind::kBind && (step.attributes & MOUNT_ATTR_NODEV) == 0) {
      devices = true;
    } else {
      plan->rules.push_back(Rule(absl::StrCat("/", step.target), kLandlockRead | kLandlockWrite, step.optional, texts));
    }
  }
  // Nothing else in it can be written, and nothing is controlled by ioctl(2).
  if (devices) plan->rules.push_back({.path = "/dev", .access = kLandlockWriteFile | kLandlockTruncate});
}

absl::Status AllowHostFiles(const Policy& policy, std::deque<std::string>* texts, LandlockPlan* plan) {
  std::map<std::string, const FileRule*> places;  // The last rule for one counts.
  for (const FileRule& rule : policy.files) places[rule.destination] = &rule;
  for (const auto& [destination, rule] : places) {
    if (rule->kind == FileRule::Kind::kTmpfs) continue;
    if (rule->kind != FileRule::Kind::kBind) {
      const std::string_view what = IsMade(*rule) ? destination : rule->source;
      return absl::InvalidArgumentError(absl::StrCat("files: ", IsMade(*rule) ? "" : "overlay ", "\"", what, "\": without a mount namespace there is none"));
    }
    if (rule->source != destination) {
      return absl::InvalidArgumentError(absl::StrCat("files: \"", rule->source, "\" at \"", destination,
                                                     "\": without a mount namespace a file is at its own path only"));
    }
    // It would refuse execve(2), and let a file be mapped to be executed.
    if (rule->no_exec) return absl::InvalidArgumentError(absl::StrCat("files: \"", destination, "\": without a mount namespace there is no \"noexec\""));
    if (!rule->optional && access(rule->source.c_str(), F_OK) != 0) return ErrnoStatus(errno, "files: path", rule->source);
    const bool device = rule->access == FileRule::Access::kDevice;
    if (device && !rule->optional) BROOD_RETURN_IF_ERROR(LookAtDevice(rule->source).status());
    const uint64_t more = rule->access == FileRule::Access::kReadWrite ? kLandlockWrite : 0;
    plan->rules.push_back(Rule(destination, device ? kLandlockOfDevice : kLandlockRead | more, rule->optional, texts));
  }
  if (!policy.minimal_system) return absl::OkStatus();
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) {
    plan->rules.push_back({.path = device, .access = kLandlockReadFile | kLandlockWriteFile | kLandlockTruncate, .optional = true});
  }
  // Of the first process: a rule is for a file that there is, and others have a directory of their own.
  plan->rules.push_back({.path = "/proc/self", .access = kLandlockRead, .optional = true});
  if (policy.unlisted == SyscallAction::kKill) return absl::OkStatus();
  for (const char* file : {"/proc/cpuinfo", "/proc/filesystems", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/sys",
                           "/proc/uptime", "/proc/version"}) {
    plan->rules.push_back({.path = file, .access = kLandlockRead, .optional = true});
  }
  return absl::OkStatus();
}

}  // namespace brood
