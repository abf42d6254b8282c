#include "sandbox/cgroup_search.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace brood {
namespace {

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool Contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string Version1(const CgroupMounts& mounts, std::string_view controller) {
  for (const auto& [mount, options] : mounts.versions1) {
    for (std::string_view option : absl::StrSplit(options, ',')) {
      if (option != controller) continue;
      const std::string own = CgroupDirectory(mount, OwnCgroup(controller));
      // The own cgroup, so that limits from above go on to hold; where it is not visible (a container that shows only
      // the root) the root.
      if (CgroupWritable(own)) return own;
      if (access(own.c_str(), F_OK) != 0 && CgroupWritable(mount)) return mount;
    }
  }
  return "";
}

// One group that may become the parent of the children's, and what speaks against it.
struct Candidate {
  std::string directory;
  std::vector<std::string> controllers;  // Those that a child of it has, of `memory` and `pids`.
  std::string problem;                   // Empty if none.
};

Candidate Examine(const std::string& directory) {
  Candidate candidate;
  candidate.directory = directory;
  if (!CgroupWritable(directory)) {
    candidate.problem = "is not writable for this user";
    return candidate;
  }
  // Who moves a process needs this of the group above both places, beside that of the new one. cgroups(7), "Delegation
  // containment".
  if (!CgroupWritable(directory + "/cgroup.procs")) {
    candidate.problem = "belongs to this user, but its cgroup.procs does not, which delegating it includes";
    return candidate;
  }
  // Below any other kind a new group is "domain invalid", and no process can be put in. The root has no such file.
  const std::vector<std::string> type = CgroupWords(directory + "/cgroup.type");
  if (!type.empty() && type != std::vector<std::string>{"domain"}) {
    candidate.problem = absl::StrCat("is of type \"", absl::StrJoin(type, " "),
                                     "\", below which no process can be limited; use one of type \"domain\"");
    return candidate;
  }
  // Asked before the kernel is: pids, which can count threads, would be enabled beside processes, and turn the groups
  // below into threaded ones.
  int error = 0;
  if (!type.empty() && !CgroupWords(directory + "/cgroup.procs").empty()) {
    error = EBUSY;
  } else {
    EnableControllers(directory, &error);
  }
  const std::vector<std::string> enabled = CgroupWords(directory + "/cgroup.subtree_control");
  for (const char* name : {"memory", "pids"}) {
    if (Contains(enabled, name)) candidate.controllers.emplace_back(name);
  }
  if (candidate.controllers.size() == 2) return candidate;
  if (error == EBUSY) {
    candidate.problem =
        "holds processes itself and so can't hand controllers to groups below it (cgroups(7), \"no internal "
        "processes\"); start brood alone in it, or in a group below it";
  } else if (error != 0) {
    candidate.problem = "can't hand controllers down, though it lists them";
  } else {
    candidate.problem = absl::StrCat("has only the controllers \"",
                                     absl::StrJoin(CgroupWords(directory + "/cgroup.controllers"), " "),
                                     "\"; add memory and pids to cgroup.subtree_control of the groups above it");
  }
  return candidate;
}

// The nearest group, from the own one upwards, below which a child has both controllers; else the nearest with one.
void FindUnified(const CgroupMounts& mounts, Machine::Cgroups* out) {
  if (mounts.unified.empty()) return;
  const std::string own = OwnCgroup("");
  std::string path = own;
  std::vector<std::string> problems;
  for (;;) {
    const Candidate candidate = Examine(CgroupDirectory(mounts.unified, path));
    if (candidate.controllers.size() > out->unified_controllers.size()) {
      out->unified = candidate.directory;
      out->unified_controllers = candidate.controllers;
    }
    if (candidate.problem.empty()) return;
    // That a group further up is not ours goes without saying, once something nearer was.
    if (candidate.problem != "is not writable for this user") {
      problems.push_back(absl::StrCat("the cgroup ", candidate.directory, " ", candidate.problem));
    }
    if (path == "/" || path.empty()) break;
    const size_t slash = path.rfind('/');
    path = slash == 0 ? "/" : path.substr(0, slash);
  }
  if (problems.empty()) {
    problems.push_back(absl::StrCat("no cgroup is delegated to this user, who runs in ", own,
                                    "; run under systemd-run --user --scope -p Delegate=yes, or as root"));
  }
  out->why_not = absl::StrCat(problems.front(), "; see docs/cgroups.md");
}

// A group's own files tell it, but not the root's: a child is made to look.
bool UnifiedLimitsSwap(const std::string& directory) {
  const std::string probe = absl::StrCat(directory, "/brood-probe-", getpid());
  if (mkdir(probe.c_str(), 0755) != 0) return false;
  const bool there = access((probe + "/memory.swap.max").c_str(), F_OK) == 0;
  rmdir(probe.c_str());
  return there;
}

}  // namespace

CgroupMounts FindCgroupMounts() {
  CgroupMounts mounts;
  std::istringstream lines(ReadText("/proc/self/mounts"));
  std::string line;
  while (std::getline(lines, line)) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 4) continue;
    if (fields[2] == "cgroup2" && mounts.unified.empty()) mounts.unified = fields[1];
    if (fields[2] == "cgroup") mounts.versions1.emplace_back(fields[1], fields[3]);
  }
  return mounts;
}

std::string OwnCgroup(std::string_view controller) {
  std::istringstream lines(ReadText("/proc/self/cgroup"));
  std::string line;
  while (std::getline(lines, line)) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    if (controller.empty() ? fields[0] == "0" : false) return fields[2];
    for (std::string_view name : absl::StrSplit(fields[1], ',')) {
      if (!controller.empty() && name == controller) return fields[2];
    }
  }
  return "/";
}

std::string CgroupDirectory(std::string_view mount, std::string_view cgroup) {
  return cgroup == "/" ? std::string(mount) : absl::StrCat(mount, cgroup);
}

std::vector<std::string> CgroupWords(const std::string& file) {
  return absl::StrSplit(ReadText(file), absl::ByAnyChar(" \n"), absl::SkipEmpty());
}

bool CgroupWritable(const std::string& path) {
  // Making a cgroup needs write and search on the directory; a cgroupfs that is mounted read-only fails here as well.
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return false;
  return faccessat(AT_FDCWD, path.c_str(), S_ISDIR(status.st_mode) ? W_OK | X_OK : W_OK, AT_EACCESS) == 0;
}

std::vector<std::string> EnableControllers(const std::string& directory, int* error, const std::vector<std::string>& wanted) {
  *error = 0;
  std::vector<std::string> now;
  const std::vector<std::string> enabled = CgroupWords(directory + "/cgroup.subtree_control");
  for (const std::string& name : CgroupWords(directory + "/cgroup.controllers")) {
    if (!Contains(wanted, name) || Contains(enabled, name)) continue;
    const int fd = open((directory + "/cgroup.subtree_control").c_str(), O_WRONLY | O_CLOEXEC);
    const std::string text = "+" + name;
    if (fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
      now.push_back(name);
    } else if (*error == 0) {
      *error = errno;
    }
    if (fd >= 0) close(fd);
  }
  return now;
}

IoWeightFile FindIoWeight(const Machine::Cgroups& cgroups) {
  const std::string& parent = cgroups.unified.empty() ? cgroups.blkio : cgroups.unified;
  const std::vector<IoWeightFile> files = cgroups.unified.empty()
                                              ? std::vector<IoWeightFile>{{"blkio.bfq.weight", 1000}, {"blkio.weight", 1000}}
                                              : std::vector<IoWeightFile>{{"io.weight", 10000}, {"io.bfq.weight", 1000}};
  // As of swap: the root has none of them.
  const std::string probe = absl::StrCat(parent, "/brood-probe-io-", getpid());
  int error = 0;
  if (!cgroups.unified.empty()) EnableControllers(parent, &error, {"io"});
  if (parent.empty() || mkdir(probe.c_str(), 0755) != 0) return {};
  IoWeightFile found;
  for (const IoWeightFile& file : files) {
    if (found.name.empty() && access(absl::StrCat(probe, "/", file.name).c_str(), F_OK) == 0) found = file;
  }
  rmdir(probe.c_str());
  return found;
}

namespace {

// As containers have them.
bool AllReadOnly(const CgroupMounts& mounts) {
  const auto read_only = [](const std::string& place) {
    struct statvfs about = {};
    return statvfs(place.c_str(), &about) == 0 && (about.f_flag & ST_RDONLY) != 0;
  };
  if (!mounts.unified.empty() && !read_only(mounts.unified)) return false;
  return std::all_of(mounts.versions1.begin(), mounts.versions1.end(), [&](const auto& one) { return read_only(one.first); });
}

}  // namespace

Machine::Cgroups FindCgroups() {
  Machine::Cgroups cgroups;
  const CgroupMounts mounts = FindCgroupMounts();
  FindUnified(mounts, &cgroups);
  if (cgroups.unified.empty()) {
    cgroups.memory = Version1(mounts, "memory");
    cgroups.pids = Version1(mounts, "pids");
    cgroups.cpuacct = Version1(mounts, "cpuacct");
    cgroups.cpu = Version1(mounts, "cpu");
    cgroups.blkio = Version1(mounts, "blkio");
    cgroups.cpuset = Version1(mounts, "cpuset");
  } else {
    cgroups.unified_available = CgroupWords(cgroups.unified + "/cgroup.controllers");
  }
  cgroups.swap_in_use = CgroupWords("/proc/swaps").size() > 5;
  if (!cgroups.unified.empty()) {
    cgroups.swap_limit = !cgroups.swap_in_use || UnifiedLimitsSwap(cgroups.unified);
  } else {
    cgroups.swap_limit =
        !cgroups.memory.empty() && access((cgroups.memory + "/memory.memsw.limit_in_bytes").c_str(), F_OK) == 0;
  }
  if (cgroups.unified.empty() && cgroups.memory.empty()) {
    if (mounts.unified.empty() && mounts.versions1.empty()) {
      cgroups.why_not = "no cgroup file system is mounted; mount one at /sys/fs/cgroup";
    } else if (AllReadOnly(mounts)) {
      cgroups.read_only = true;
      cgroups.why_not = "the cgroups here are mounted read-only; mount them to be written, as brood doctor says";
    } else if (!mounts.versions1.empty()) {
      cgroups.why_not =
          "no cgroup of this machine is writable for this user; run as root, or have root create and chown one";
    }
  }
  return cgroups;
}

}  // namespace brood
