// Looks for the places where this process may make cgroups for its children.
//
// Thread-safe. Changes nothing but `cgroup.subtree_control` of version 2 groups, where controllers are missing.
#ifndef BROOD_SANDBOX_CGROUP_SEARCH_H_
#define BROOD_SANDBOX_CGROUP_SEARCH_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/machine.h"

namespace brood {

struct CgroupMounts {
  std::string unified;                                          // Mount point of cgroup2; empty if there is none.
  std::vector<std::pair<std::string, std::string>> versions1;  // Mount point, comma-separated options.
};

CgroupMounts FindCgroupMounts();

// The cgroup of this process in the hierarchy of `controller` ("" for version 2), as it sees it: "/user.slice".
std::string OwnCgroup(std::string_view controller);

// Below a mount point; "/" is the mount point itself.
std::string CgroupDirectory(std::string_view mount, std::string_view cgroup);

// The words of a file such as cgroup.controllers; none if it cannot be read.
std::vector<std::string> CgroupWords(const std::string& file);

// Whether this process may write to a cgroup's directory and files.
bool CgroupWritable(const std::string& path);

// Enables what of `wanted` a version 2 group can hand down and does not yet. Returns those it enabled now; `*error` is the errno
// of the first that the kernel refused, or 0.
std::vector<std::string> EnableControllers(const std::string& directory, int* error,
                                           const std::vector<std::string>& wanted = {"memory", "pids"});

// By which file a group has a weight of I/O. That depends on what the kernel schedules disks by.
struct IoWeightFile {
  std::string name;      // Empty: there is none.
  uint64_t most = 0;
};
IoWeightFile FindIoWeight(const Machine::Cgroups& cgroups);

Machine::Cgroups FindCgroups();

}  // namespace brood

#endif  // BROOD_SANDBOX_CGROUP_SEARCH_H_
