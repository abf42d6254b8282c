// The limit of all that a tree writes to files.
#ifndef BROOD_SANDBOX_PLAN_DISK_H_
#define BROOD_SANDBOX_PLAN_DISK_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/child_plan.h"

namespace brood {

struct DiskPlan {
  uint64_t in_memory = 0;  // What the file systems in memory hold now, at most, together.
  std::string unlimited;   // A place on the host that can be written as well; empty if there is none.
};

// Divides `bytes` among the file systems in memory: none is larger than it was, nor than its part.
// Errors: InvalidArgument (a part would be less than a page).
absl::StatusOr<DiskPlan> DivideDisk(uint64_t bytes, std::vector<MountStep>* mounts, std::deque<std::string>* texts);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_DISK_H_
