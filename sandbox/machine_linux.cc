#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

// 0x60000000: above what distributions give to users (systemd-nspawn and subuid ranges end below it), below 2^31, which
// some programs take for a negative number. pid_max is at most 2^22.
constexpr uint32_t kOwnerlessBase = 0x60000000;
constexpr uint32_t kOwnerlessCount = 1u << 22;

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool HasCapability(unsigned number) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return ((data[number / 32].effective >> (number % 32)) & 1) != 0;
}

bool MapKnows(const std::string& map, uint64_t first, uint64_t count) {
  std::istringstream lines(ReadText(map));
  uint64_t inside = 0, outside = 0, length = 0;
  while (lines >> inside >> outside >> length) {
    if (first >= inside && first + count <= inside + length) return true;
  }
  return false;
}

struct Mounts {
  std::string unified;                                        // Mount point of cgroup2.
  std::vector<std::pair<std::string, std::string>> versions1;  // Mount point, comma-separated options.
};

Mounts CgroupMounts() {
  Mounts mounts;
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

// The cgroup of this process in the hierarchy of `controller` ("" for version 2). proc(5), /proc/pid/cgroup.
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

bool Writable(const std::string& directory) {
  // Making a cgroup needs write and search on the directory; a cgroupfs that is mounted read-only fails here as well.
  return faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
}

std::string Join(std::string_view mount, std::string_view path) {
  return path == "/" ? std::string(mount) : absl::StrCat(mount, path);
}

std::string Version1(const Mounts& mounts, std::string_view controller) {
  for (const auto& [mount, options] : mounts.versions1) {
    for (std::string_view option : absl::StrSplit(options, ',')) {
      if (option != controller) continue;
      const std::string own = Join(mount, OwnCgroup(controller));
      // The own cgroup, so that limits from above go on to hold; where it is not visible (a container that shows only
      // the root) the root.
      if (Writable(own)) return own;
      if (access(own.c_str(), F_OK) != 0 && Writable(mount)) return mount;
    }
  }
  return "";
}

bool EnableControllers(const std::string& directory, const std::vector<std::string>& wanted) {
  const int fd = open((directory + "/cgroup.subtree_control").c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool all = true;
  for (const std::string& name : wanted) {
    const std::string text = "+" + name;
    all = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && all;
  }
  close(fd);
  return all;
}

std::vector<std::string> Words(const std::string& text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
}

// The nearest ancestor in which a child cgroup can be made that has the controllers: a cgroup that holds processes
// cannot hand controllers down, unless it is the root. cgroups(7), "no internal processes".
void FindUnified(const Mounts& mounts, Machine::Cgroups* out) {
  if (mounts.unified.empty()) return;
  std::string path = OwnCgroup("");
  for (;;) {
    const std::string directory = Join(mounts.unified, path);
    if (Writable(directory)) {
      std::vector<std::string> missing;
      const std::vector<std::string> enabled = Words(ReadText(directory + "/cgroup.subtree_control"));
      for (const std::string& name : Words(ReadText(directory + "/cgroup.controllers"))) {
        const bool wanted = name == "memory" || name == "pids" || name == "cpu";
        if (wanted && std::find(enabled.begin(), enabled.end(), name) == enabled.end()) missing.push_back(name);
      }
      if (!missing.empty()) EnableControllers(directory, missing);
      const std::vector<std::string> now = Words(ReadText(directory + "/cgroup.subtree_control"));
      if (std::find(now.begin(), now.end(), "memory") != now.end() ||
          std::find(now.begin(), now.end(), "pids") != now.end()) {
        out->unified = directory;
        out->unified_controllers = now;
        return;
      }
    }
    if (path == "/" || path.empty()) return;
    const size_t slash = path.rfind('/');
    path = slash == 0 ? "/" : path.substr(0, slash);
  }
}

Machine::Cgroups FindCgroups() {
  Machine::Cgroups cgroups;
  const Mounts mounts = CgroupMounts();
  FindUnified(mounts, &cgroups);
  if (cgroups.unified.empty()) {
    cgroups.memory = Version1(mounts, "memory");
    cgroups.pids = Version1(mounts, "pids");
    cgroups.cpuacct = Version1(mounts, "cpuacct");
  }
  cgroups.swap_in_use = Words(ReadText("/proc/swaps")).size() > 5;
  cgroups.swap_limit = !cgroups.unified.empty() ||
                       (!cgroups.memory.empty() && access((cgroups.memory + "/memory.memsw.limit_in_bytes").c_str(), F_OK) == 0);
  if (cgroups.unified.empty() && cgroups.memory.empty()) {
    if (mounts.unified.empty() && mounts.versions1.empty()) {
      cgroups.why_not = "no cgroup file system is mounted; mount one at /sys/fs/cgroup";
    } else if (!mounts.versions1.empty()) {
      cgroups.why_not =
          "no cgroup of this machine is writable for this user; run as root, or have root create and chown one";
    } else {
      cgroups.why_not =
          "no cgroup is delegated to this user; run under systemd-run --user --scope -p Delegate=yes, or as root";
    }
  }
  return cgroups;
}

// proc(5), /proc/pid/stat: fields 48 to 51 are arg_start, arg_end, env_start, env_end.
void FindArguments(Machine* machine) {
  const std::string stat = ReadText("/proc/self/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return;
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(name_end + 2), absl::ByAnyChar(" \n"), absl::SkipEmpty());
  constexpr size_t kArgStart = 48 - 3, kArgEnd = 49 - 3, kEnvStart = 50 - 3, kEnvEnd = 51 - 3;
  uint64_t start = 0, end = 0, environment = 0, environment_end = 0;
  if (fields.size() <= kEnvEnd || !absl::SimpleAtoi(fields[kArgStart], &start) || !absl::SimpleAtoi(fields[kArgEnd], &end) ||
      !absl::SimpleAtoi(fields[kEnvStart], &environment) || !absl::SimpleAtoi(fields[kEnvEnd], &environment_end)) {
    return;
  }
  // One block, in that order, unless somebody moved the fields by prctl(PR_SET_MM): then it is left alone.
  if (start == 0 || end < start || environment != end || environment_end < environment) return;
  machine->argument_begin = reinterpret_cast<char*>(start);
  machine->argument_end = reinterpret_cast<char*>(environment_end);
}

Machine Look() {
  Machine machine;
  machine.uid = geteuid();
  machine.gid = getegid();
  const bool set_ids = HasCapability(CAP_SETUID) && HasCapability(CAP_SETGID);
  if (set_ids && MapKnows("/proc/self/uid_map", kOwnerlessBase, kOwnerlessCount) &&
      MapKnows("/proc/self/gid_map", kOwnerlessBase, kOwnerlessCount)) {
    machine.can_map_any_id = true;
    machine.ownerless_base = kOwnerlessBase;
    machine.ownerless_count = kOwnerlessCount;
  }
  machine.can_drop_groups =
      HasCapability(CAP_SETGID) && !absl::StartsWith(ReadText("/proc/self/setgroups"), "deny");
  FindArguments(&machine);
  machine.has_proc_children =
      access(absl::StrCat("/proc/self/task/", getpid(), "/children").c_str(), R_OK) == 0;
  machine.cgroups = FindCgroups();
  return machine;
}

}  // namespace

const Machine& ThisMachine() {
  static const Machine* machine = new Machine(Look());
  return *machine;
}

std::vector<int64_t> SupplementaryGroups() {
  std::vector<gid_t> groups(static_cast<size_t>(std::max(getgroups(0, nullptr), 0)));
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  std::vector<int64_t> others;
  for (int i = 0; i < count; ++i) {
    if (groups[static_cast<size_t>(i)] != getegid()) others.push_back(groups[static_cast<size_t>(i)]);
  }
  return others;
}

}  // namespace brood
