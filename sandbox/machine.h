// What this machine and this caller can do, as far as a plan depends on it. Looked up once per process.
#ifndef BROOD_SANDBOX_MACHINE_H_
#define BROOD_SANDBOX_MACHINE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace brood {

struct Machine {
  uid_t uid = 0;  // Effective.
  gid_t gid = 0;
  bool can_map_any_id = false;    // CAP_SETUID and CAP_SETGID in a user namespace that knows the ownerless ids.
  bool can_map_own_id = false;    // Root needs CAP_SETFCAP to map its id into a user namespace. user_namespaces(7).
  bool can_empty_bounding_set = false;  // Of capabilities, outside of a user namespace; or it is empty already.
  bool can_drop_groups = false;   // CAP_SETGID, and setgroups is not denied.
  uint32_t ownerless_base = 0;
  uint32_t ownerless_count = 0;
  uint32_t ranges_base = 0;       // Ownerless ids besides, of which a child can have many.
  uint32_t ranges_count = 0;
  char* argument_begin = nullptr; // Where the kernel put this process's arguments and environment, which anyone may read
  char* argument_end = nullptr;   // in /proc/PID/cmdline; null if unknown.
  int landlock_abi = 0;           // 0: none.
  bool foreign_proc = false;      // /proc is of another pid namespace: what has a process's number there is somebody else.
  bool hides_processes = false;   // From this one, in /proc: also the init of a sandbox, and with it what is below that. proc(5), hidepid
  bool has_proc_children = false; // /proc/PID/task/TID/children, by which a tree is walked.

  struct Cgroups {
    // Directories in which this caller can make cgroups for children; empty if it cannot.
    std::string unified;    // Version 2, with its controllers in `unified_controllers`.
    std::vector<std::string> unified_controllers;
    std::string memory;     // Version 1.
    std::string pids;
    std::string cpuacct;
    std::string cpu;
    std::string blkio;
    std::string cpuset;
    std::vector<std::string> unified_available;  // Controllers that could be handed down in `unified`.
    std::string why_not;    // What to change, when a controller is missing.
    bool read_only = false;  // Why not: they are mounted so.
    bool swap_limit = false;  // What is swapped out can be limited too, or there is no swap with version 2.
    bool swap_in_use = false; // The machine has swap.
  };
  Cgroups cgroups;
};

// Thread-safe. The groups and limits of the caller at the first call are what counts.
const Machine& ThisMachine();

// The supplementary groups of this process other than its effective one.
std::vector<int64_t> SupplementaryGroups();

}  // namespace brood

#endif  // BROOD_SANDBOX_MACHINE_H_
