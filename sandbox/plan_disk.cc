#include "sandbox/plan_disk.h"

#include <linux/mount.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

constexpr uint64_t kPage = 4096;

bool IsInMemory(const MountStep& step) {
  return step.kind == MountStep::Kind::kTmpfs || (step.kind == MountStep::Kind::kOverlay && step.text != nullptr);
}

// Devices are the only binds that keep what makes them devices.
bool IsWritableHost(const MountStep& step) {
  if (step.kind == MountStep::Kind::kChanges) return true;
  return step.kind == MountStep::Kind::kBind && (step.attributes & MOUNT_ATTR_RDONLY) == 0 && (step.attributes & MOUNT_ATTR_NODEV) != 0;
}

}  // namespace

absl::StatusOr<DiskPlan> DivideDisk(uint64_t bytes, std::vector<MountStep>* mounts, std::deque<std::string>* texts) {
  DiskPlan plan;
  uint64_t places = 0;
  for (const MountStep& step : *mounts) {
    places += IsInMemory(step) ? 1 : 0;
    if (IsWritableHost(step)) plan.unlimited = absl::StrCat("/", step.target);
  }
  if (places == 0) return plan;
  const uint64_t part = bytes / places / kPage * kPage;
  if (part == 0) {
    return absl::InvalidArgumentError(absl::StrCat("limits: disk: ", bytes, " bytes are less than a page for each of ", places, " places in memory"));
  }
  for (MountStep& step : *mounts) {
    if (!IsInMemory(step)) continue;
    BROOD_ASSIGN_OR_RETURN(const uint64_t size, ParseSize(step.text));
    const uint64_t most = std::min(size, part);
    plan.in_memory += most;
    if (most < size) step.text = texts->emplace_back(absl::StrCat(most)).c_str();
  }
  return plan;
}

}  // namespace brood
