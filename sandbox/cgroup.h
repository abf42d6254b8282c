// Makes the cgroups of one child. What happens to them afterwards is in cgroup_child.h.
#ifndef BROOD_SANDBOX_CGROUP_H_
#define BROOD_SANDBOX_CGROUP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "sandbox/cgroup_child.h"

namespace brood {

struct CgroupRequest {
  std::optional<uint64_t> memory_bytes;
  std::optional<uint64_t> processes;
  bool count_cpu = false;
};

// The directories of one child, until its guardian has taken charge of them: destroying it removes those that are
// there and empty.
class Cgroups {
 public:
  Cgroups() = default;
  Cgroups(Cgroups&&) = default;
  Cgroups& operator=(Cgroups&&) = default;
  ~Cgroups();

  // What of `request` this machine can do is decided by the caller (ThisMachine().cgroups).
  // Errors: those of mkdir(2) and write(2), with the path.
  static absl::StatusOr<Cgroups> Create(const CgroupRequest& request);

  // Borrowed: paths and descriptors stay owned by this object.
  CgroupRecord Record() const;

  // From now on the guardian removes them.
  void Release() { released_ = true; }

 private:
  struct Directory {
    CgroupRecord::Role role;
    std::string path;
    UniqueFd fd;
    UniqueFd tasks;  // Version 1 only.
  };
  absl::Status Make(CgroupRecord::Role role, const std::string& parent, const std::string& name);

  std::vector<Directory> directories_;
  bool limits_memory_ = false;
  bool limits_processes_ = false;
  bool counts_cpu_ = false;
  bool released_ = false;
};

}  // namespace brood

#endif  // BROOD_SANDBOX_CGROUP_H_
