// Groups of version 2 for the children of one sandbox that is kept (docs/slots.md), one after the other.
//
//   brood-child-PID-N              the sandbox's: shares of CPU and disks. The root of its cgroup namespace
//     brood-child-keeper           its own processes, whose memory is no child's
//     brood-child-0, -1, ...       of one child each: limits and accounts
//
// A child is born in the next of them (clone(2), CLONE_INTO_CGROUP), so that what is read there is its own: nothing of the sandbox,
// nor of the child before. memory.peak cannot be begun anew before Linux 6.12, and what an earlier child still has charged would count
// for the next one; so each gets a new group, which is made before it is needed.
#ifndef BROOD_SANDBOX_SPARE_CGROUPS_H_
#define BROOD_SANDBOX_SPARE_CGROUPS_H_

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "sandbox/cgroup.h"

namespace brood {

class SpareCgroups {
 public:
  // Of a child's group: for its birth, and for its accounts, which may be asked for once it is gone. Those that are not there, or
  // that nobody needs, are invalid.
  struct Files {
    UniqueFd directory;
    UniqueFd memory_peak;
    UniqueFd memory_events;
    UniqueFd process_events;
    UniqueFd cpu;
  };

  SpareCgroups() = default;
  SpareCgroups(const SpareCgroups&) = delete;
  SpareCgroups& operator=(const SpareCgroups&) = delete;
  ~SpareCgroups() { RemoveAll(); }

  // Below the one group of `above`, in which are no processes but `inside`: these are moved. `owner` is the user, outside, who bears
  // children into the groups.
  // Errors: what could not be made or written, with the path and docs/cgroups.md.
  absl::Status Begin(const Cgroups& above, const CgroupRequest& request, const std::vector<pid_t>& inside, uid_t owner);

  // A new group. Errors: as Begin.
  absl::StatusOr<Files> Make();

  // The oldest that is there was used, and is empty.
  void RemoveOldest();

  // What was inside has ended.
  void RemoveAll();

 private:
  absl::StatusOr<UniqueFd> MakeGroup(const std::string& path) const;
  void RemoveStale();

  std::string above_;
  std::string keeper_;
  CgroupRequest request_;
  uid_t owner_ = 0;
  uint64_t next_ = 0;
  std::deque<std::string> made_;
  std::vector<std::string> stale_;  // To be removed once the kernel lets us.
};

}  // namespace brood

#endif  // BROOD_SANDBOX_SPARE_CGROUPS_H_
