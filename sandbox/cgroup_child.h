// What a guardian does with the cgroups of its child: put it in, read what was used, end what is inside, remove them.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_CGROUP_CHILD_H_
#define BROOD_SANDBOX_CGROUP_CHILD_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace brood {

inline constexpr size_t kMaxCgroups = 6;

// Directories of one child: one for each controller with version 1, one for all with version 2.
struct CgroupRecord {
  enum class Role : int { kUnified, kMemory, kProcesses, kCpu, kCpuShare, kIo, kCpuSet };
  struct Directory {
    Role role = Role::kUnified;
    int fd = -1;                 // Locked by flock(2) as long as an owner lives.
    int tasks_fd = -1;           // Version 1: its `tasks`, open for writing with the caller's rights.
    const char* path = nullptr;  // To remove it by.
  };
  Directory directories[kMaxCgroups];
  size_t count = 0;
  bool limits_memory = false;
  bool limits_processes = false;
  bool counts_cpu = false;
};

struct CgroupUsage {
  uint64_t memory_peak_bytes = 0;
  uint64_t oom_kills = 0;  // By the limit of this child. Version 1 does not tell which killed where several were reached.
  uint64_t process_refusals = 0;
  uint64_t cpu_ns = 0;
};

namespace child {

// The directory of version 2, in which the init is born (clone(2), CLONE_INTO_CGROUP): that costs nothing, while writing
// to cgroup.procs waits for an RCU grace period. -1: there is none.
int BirthCgroup(const CgroupRecord& record);

// Puts `pid` (of the guardian's namespace) into the directory of version 2, where it could not be born in it. Returns 0
// or an errno value.
int EnterCgroups(const CgroupRecord& record, pid_t pid);

// Puts the calling process, which must have one thread, into every directory of version 1. A thread that moves itself is
// the one case for which the kernel does not take its lock over all processes of the machine, whose other side waits for
// an RCU grace period: microseconds instead of milliseconds. kernel/cgroup/cgroup.c, cgroup_procs_write_start().
int EnterOwnCgroups(const CgroupRecord& record);

// Whether the calling process is in all of them, as the kernel tells it in the /proc that it sees. Before a cgroup namespace of
// its own, in which every group is the root.
bool IsInCgroups(const CgroupRecord& record);

CgroupUsage ReadCgroupUsage(const CgroupRecord& record);

// Sends SIGKILL to all that is inside. Once: the caller repeats it until nothing is left.
void KillCgroups(const CgroupRecord& record);

// True if no process is inside any more.
bool CgroupsEmpty(const CgroupRecord& record);

// Removes the directories; they must be empty. False if one is still there after `patience_ms`.
bool RemoveCgroups(const CgroupRecord& record, int patience_ms);

}  // namespace child
}  // namespace brood

#endif  // BROOD_SANDBOX_CGROUP_CHILD_H_
