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
  bool read_back = false;  // Once they are written the kernel is asked for the limits, and one that is another is an error.
  std::optional<uint64_t> cpus_milli;
  std::optional<uint64_t> cpu_weight;
  std::optional<uint64_t> io_weight;
  std::optional<uint64_t> io_rate_bytes;
  std::string cpu_set;  // "0-1"; empty: all.
};

// Whether anything is asked for.
inline bool NeedsCgroups(const CgroupRequest& request) {
  return request.memory_bytes || request.processes || request.count_cpu || request.cpus_milli || request.cpu_weight || request.io_weight ||
         request.io_rate_bytes || !request.cpu_set.empty();
}

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

  // From now on the guardian removes them. Gives their paths, for RemoveAbandonedCgroup() should it be killed.
  std::vector<std::string> Release();

 private:
  struct Directory {
    CgroupRecord::Role role;
    std::string path;
    UniqueFd fd;
    UniqueFd tasks;  // Version 1 only.
  };
  static absl::StatusOr<Cgroups> CreateNamed(const CgroupRequest& request, const std::string& name);
  absl::Status ShareUnified(const CgroupRequest& request);
  absl::Status ShareVersion1(const CgroupRequest& request, const std::string& name);
  absl::Status Make(CgroupRecord::Role role, const std::string& parent, const std::string& name);

  std::vector<Directory> directories_;
  bool limits_memory_ = false;
  bool limits_processes_ = false;
  bool counts_cpu_ = false;
  bool released_ = false;
};

// Writes what `request` limits of memory and processes into the group `directory` of version 2, which is at `path`, and reads it
// back if that is asked for. Errors: those of write(2), with the path; those of ReadBackLimit.
absl::Status WriteUnifiedLimits(const UniqueFd& directory, const std::string& path, const CgroupRequest& request);

// Whether the file of a limit in the cgroup `directory`, which is at `path`, has `expected`, as far as the kernel can count:
// memory in whole pages. Errors: FailedPrecondition, what was expected and what was seen; those of read(2).
absl::Status ReadBackLimit(int directory, const std::string& path, const char* file, uint64_t expected);

// Ends what is inside the cgroup `path` and removes it, unless a process holds its lock: those who made it, and the guardian,
// hold a flock(2) on the directory as long as they live, whatever pid namespace or container they are in. True if it is gone.
bool RemoveAbandonedCgroup(const std::string& path);

}  // namespace brood

#endif  // BROOD_SANDBOX_CGROUP_H_
