#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "sandbox/cgroup_search.h"
#include "sandbox/landlock_abi.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

// 0x60000000: above what distributions give to users (systemd-nspawn and subuid ranges end below it), below 2^31, which
// some programs take for a negative number. pid_max is at most 2^22.
constexpr uint32_t kOwnerlessBase = 0x60000000;
constexpr uint32_t kOwnerlessCount = 1u << 22;

constexpr uint32_t kRangesBase = 0x61000000;
constexpr uint32_t kRangesCount = 0x10000000;

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool IsMember(gid_t group) {
  if (group == getegid()) return true;
  std::vector<gid_t> groups(static_cast<size_t>(std::max(getgroups(0, nullptr), 0)));
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  return std::find(groups.begin(), groups.begin() + std::max(count, 0), group) != groups.begin() + std::max(count, 0);
}

bool HasCapability(unsigned number) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return ((data[number / 32].effective >> (number % 32)) & 1) != 0;
}

// The init of a sandbox may not be read by anybody without CAP_SYS_PTRACE. proc(5), "Mount options"
bool HidesProcesses() {
  if (HasCapability(CAP_SYS_PTRACE)) return false;
  std::ifstream mounts("/proc/self/mounts");
  bool hides = false;
  for (std::string line; std::getline(mounts, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 4 || fields[1] != "/proc") continue;
    hides = false;  // The last one there is seen.
    for (const absl::string_view option : absl::StrSplit(fields[3], ',')) {
      absl::string_view value = option;
      uint32_t group = 0;
      if (absl::ConsumePrefix(&value, "hidepid=")) hides = value != "off" && value != "0";
      if (absl::ConsumePrefix(&value, "gid=") && absl::SimpleAtoi(value, &group) && IsMember(group)) return false;
    }
  }
  return hides;
}

// As after unshare(1) with --pid and without --mount-proc. Where there is no /proc, there is none that misleads.
bool HasForeignProc() {
  char text[24] = {};
  if (access("/proc/self", F_OK) != 0 && access("/proc/version", F_OK) != 0) return false;
  const ssize_t length = readlink("/proc/self", text, sizeof(text) - 1);
  return length < 0 || text != absl::StrCat(getpid());
}

bool BoundingSetIsEmpty() {
  for (unsigned long capability = 0;; ++capability) {
    const int has = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (has != 0) return has < 0;  // EINVAL ends what the kernel knows.
  }
}

bool MapKnows(const std::string& map, uint64_t first, uint64_t count) {
  std::istringstream lines(ReadText(map));
  uint64_t inside = 0, outside = 0, length = 0;
  while (lines >> inside >> outside >> length) {
    if (first >= inside && first + count <= inside + length) return true;
  }
  return false;
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
    if (MapKnows("/proc/self/uid_map", kRangesBase, kRangesCount) && MapKnows("/proc/self/gid_map", kRangesBase, kRangesCount)) {
      machine.ranges_base = kRangesBase;
      machine.ranges_count = kRangesCount;
    }
  }
  machine.can_map_own_id = machine.uid != 0 || HasCapability(CAP_SETFCAP) || machine.can_map_any_id;
  machine.can_empty_bounding_set = HasCapability(CAP_SETPCAP) || BoundingSetIsEmpty();
  machine.can_drop_groups =
      HasCapability(CAP_SETGID) && !absl::StartsWith(ReadText("/proc/self/setgroups"), "deny");
  FindArguments(&machine);
  machine.foreign_proc = HasForeignProc();
  machine.hides_processes = machine.foreign_proc || HidesProcesses();
  machine.has_proc_children =
      access(absl::StrCat("/proc/self/task/", getpid(), "/children").c_str(), R_OK) == 0;
  machine.landlock_abi = static_cast<int>(std::max(syscall(SYS_landlock_create_ruleset, nullptr, 0, kLandlockVersion), 0L));
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
