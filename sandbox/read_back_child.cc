#include "sandbox/read_back_child.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/stat.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"
#include "sandbox/made_files_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

using Detail = Text<sizeof(SetupMessage::detail)>;

bool Differs(SetupMessage* failure, const Detail& detail) { return Fail(failure, "read_back", 0, detail.c_str()); }

struct NamespaceKind {
  uint64_t flag;
  const char* name;
};
constexpr NamespaceKind kKinds[kNamespaceKinds] = {{CLONE_NEWUSER, "user"}, {CLONE_NEWPID, "pid"},      {CLONE_NEWNS, "mnt"},
                                                   {CLONE_NEWNET, "net"},   {CLONE_NEWIPC, "ipc"},      {CLONE_NEWUTS, "uts"},
                                                   {CLONE_NEWCGROUP, "cgroup"}, {CLONE_NEWTIME, "time"}};

// A kernel without time namespaces has no number for them, and nobody makes one unasked.
bool IsLookedAt(const ChildPlan& plan, const NamespaceKind& kind) {
  return kind.flag != CLONE_NEWTIME || (plan.namespaces & kind.flag) != 0;
}

bool ReadBackNamespaces(const ChildPlan& plan, const NamespaceNumbers& outside, SetupMessage* failure) {
  const NamespaceNumbers own = OwnNamespaces(plan);
  for (size_t i = 0; i < kNamespaceKinds; ++i) {
    if (!IsLookedAt(plan, kKinds[i])) continue;
    const bool wanted = (plan.namespaces & kKinds[i].flag) != 0;
    const bool is_own = own.of[i] != outside.of[i];
    if (own.of[i] != 0 && outside.of[i] != 0 && is_own == wanted) continue;
    Detail detail;
    detail.Add("namespace ").Add(kKinds[i].name).Add(wanted ? ": expected an own one" : ": expected the caller's");
    return Differs(failure, detail.Add(", seen ").AddNumber(own.of[i]).Add(", outside ").AddNumber(outside.of[i]));
  }
  return true;
}

// --- mounts ---

struct Flag {
  uint64_t attribute;
  const char* word;
};
constexpr Flag kFlags[] = {
    {MOUNT_ATTR_RDONLY, "ro"}, {MOUNT_ATTR_NOSUID, "nosuid"}, {MOUNT_ATTR_NODEV, "nodev"}, {MOUNT_ATTR_NOEXEC, "noexec"}};

bool HasWord(const char* list, const char* end, const char* word) {
  const size_t length = strlen(word);
  for (const char* at = list; at < end;) {
    const char* const comma = static_cast<const char*>(memchr(at, ',', static_cast<size_t>(end - at)));
    const char* const stop = comma != nullptr ? comma : end;
    if (static_cast<size_t>(stop - at) == length && memcmp(at, word, length) == 0) return true;
    at = stop + 1;
  }
  return false;
}

// Those that are to be there, and what came with them, by their numbers in mountinfo.
struct KnownMounts {
  static constexpr size_t kMax = 1024;
  struct Known {
    uint64_t id;
    uint64_t attributes;
    const char* target;
  };
  Known all[kMax];
  size_t count = 0;
  size_t planned = 0;
  size_t seen = 0;

  void Add(uint64_t id, uint64_t attributes, const char* target) {
    if (count < kMax) all[count++] = {id, attributes, target};
  }
  const Known* Find(uint64_t id) const {
    for (size_t i = 0; i < count; ++i) {
      if (all[i].id == id) return &all[i];
    }
    return nullptr;
  }
};

bool AddPlanned(const char* target, uint64_t attributes, KnownMounts* known, SetupMessage* failure) {
  struct statx about = {};
  const char* const path = target[0] != '\0' ? target : "/";
  if (syscall(SYS_statx, AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_MNT_ID, &about) != 0 || (about.stx_mask & STATX_MNT_ID) == 0) {
    return Fail(failure, "read_back", errno, "statx of the mount at /", target);
  }
  if (known->Find(about.stx_mnt_id) != nullptr) {
    Detail detail;
    return Differs(failure, detail.Add("mount at /").Add(target).Add(": expected one of its own, seen that of what is above it"));
  }
  known->Add(about.stx_mnt_id, attributes, target);
  ++known->planned;
  return true;
}

// One line of mountinfo: number, parent's number, device, root, place, options, and "-" where it has no peers. proc(5),
// /proc/pid/mountinfo
bool ReadBackMount(const char* line, const char* end, KnownMounts* known, SetupMessage* failure) {
  const char* fields[7] = {line};
  for (int i = 1; i < 7; ++i) {
    const char* const space = static_cast<const char*>(memchr(fields[i - 1], ' ', static_cast<size_t>(end - fields[i - 1])));
    if (space == nullptr) return Fail(failure, "read_back", EIO, "a line of mountinfo that is none");
    fields[i] = space + 1;
  }
  const uint64_t id = ParseNumber(fields[0]);
  const KnownMounts::Known* found = known->Find(id);
  if (found != nullptr) {
    ++known->seen;
  } else if (const KnownMounts::Known* const above = known->Find(ParseNumber(fields[1])); above != nullptr) {
    // What was mounted in a directory that is shown is shown with it. It is told after what it is in.
    known->Add(id, above->attributes, above->target);
    found = above;
  } else if (known->count == KnownMounts::kMax) {
    return true;  // More than we can remember came with one.
  }
  Text<200> place;
  for (const char* at = fields[4]; at + 1 < fields[5] && place.length() < 190; ++at) {
    const char one[2] = {*at, '\0'};
    place.Add(one);
  }
  Detail detail;
  if (found == nullptr) return Differs(failure, detail.Add("mount at ").Add(place.c_str()).Add(": expected none there"));
  for (const Flag& flag : kFlags) {
    if ((found->attributes & flag.attribute) == 0 || HasWord(fields[5], fields[6] - 1, flag.word)) continue;
    return Differs(failure, detail.Add("mount at ").Add(place.c_str()).Add(": expected ").Add(flag.word).Add(", and it is not"));
  }
  if (*fields[6] != '-') return Differs(failure, detail.Add("mount at ").Add(place.c_str()).Add(": expected private, and it is not"));
  return true;
}

bool ReadBackMounts(const ChildPlan& plan, const int* sources, SetupMessage* failure) {
  KnownMounts known;
  const bool own_root = plan.mounts[0].target[0] != '\0' || plan.mounts[0].kind != MountStep::Kind::kBind;
  if (own_root && !AddPlanned("", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &known, failure)) return false;
  for (size_t i = 0; i < plan.mount_count; ++i) {
    const MountStep& step = plan.mounts[i];
    if (!IsMount(step) || (step.kind == MountStep::Kind::kBind && sources[i] == kAbsentSource)) continue;
    if (step.kind == MountStep::Kind::kCovered && step.optional && faccessat(AT_FDCWD, step.target, F_OK, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!AddPlanned(step.target, step.attributes, &known, failure)) return false;
  }
  const int file = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  if (file < 0) return Fail(failure, "read_back", errno, "open /proc/self/mountinfo");
  char buffer[16 * 1024];
  size_t length = 0;
  bool good = true;
  for (;;) {
    const ssize_t more = read(file, buffer + length, sizeof(buffer) - length);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) good = Fail(failure, "read_back", errno, "read /proc/self/mountinfo");
    if (more <= 0 || !good) break;
    length += static_cast<size_t>(more);
    size_t begin = 0;
    while (good) {
      const char* const newline = static_cast<const char*>(memchr(buffer + begin, '\n', length - begin));
      if (newline == nullptr) break;
      good = ReadBackMount(buffer + begin, newline, &known, failure);
      begin = static_cast<size_t>(newline - buffer) + 1;
    }
    memmove(buffer, buffer + begin, length - begin);
    length -= begin;
    if (good && length == sizeof(buffer)) good = Fail(failure, "read_back", E2BIG, "a line of /proc/self/mountinfo");
  }
  close(file);
  if (!good || known.seen == known.planned) return good;
  Detail detail;
  return Differs(failure, detail.Add("mounts: expected ").AddNumber(known.planned).Add(", seen ").AddNumber(known.seen));
}

// --- ids and rights ---

// Whether the line of `key` has nothing but `word`, once or more.
bool LineIs(const char* status, const char* key, const char* word, SetupMessage* failure) {
  const size_t key_length = strlen(key);
  const char* line = status;
  while (line != nullptr && (strncmp(line, key, key_length) != 0 || line[key_length] != ':')) {
    line = strchr(line, '\n');
    if (line != nullptr) ++line;
  }
  Text<100> seen;
  bool same = line != nullptr;
  const char* at = same ? line + key_length + 1 : "";
  while (*at != '\n' && *at != '\0') {
    while (*at == '\t' || *at == ' ') ++at;
    const size_t length = strcspn(at, "\t \n");
    if (length == 0) break;
    if (length != strlen(word) || strncmp(at, word, length) != 0) same = false;
    for (size_t i = 0; i < length; ++i) {
      const char one[2] = {at[i], '\0'};
      seen.Add(one);
    }
    seen.Add(" ");
    at += length;
  }
  if (seen.length() == 0 && word[0] != '\0') same = false;
  if (same) return true;
  Detail detail;
  return Differs(failure, detail.Add(key).Add(": expected ").Add(word[0] != '\0' ? word : "none").Add(", seen ").Add(seen.c_str()));
}

// The kernel has them in order, by what they are outside, which is the same number.
bool ReadBackGroups(const ChildPlan& plan, SetupMessage* failure) {
  uint32_t seen[64] = {};
  const long count = syscall(SYS_getgroups, 64, seen);
  bool same = count == static_cast<long>(plan.group_count);
  for (size_t i = 0; same && i < plan.group_count; ++i) same = seen[i] == plan.groups[i];
  if (same) return true;
  Detail detail;
  detail.Add("Groups: expected ").AddNumber(plan.group_count).Add(" from ").AddNumber(plan.groups[0]).Add(" on, seen ");
  return Differs(failure, detail.AddNumber(static_cast<uint64_t>(count > 0 ? count : 0)));
}

bool ReadBackStatus(const ChildPlan& plan, const ExpectedIds& ids, SetupMessage* failure) {
  char status[16 * 1024];
  if (ReadFile(AT_FDCWD, "/proc/self/status", status, sizeof(status)) <= 0) {
    return Fail(failure, "read_back", errno, "read /proc/self/status");
  }
  Text<24> uid, gid;
  uid.AddNumber(ids.uid);
  gid.AddNumber(ids.gid);
  if (!LineIs(status, "Uid", uid.c_str(), failure) || !LineIs(status, "Gid", gid.c_str(), failure)) return false;
  if (ids.no_groups && !LineIs(status, "Groups", "", failure)) return false;
  if (plan.group_count > 0 && !ReadBackGroups(plan, failure)) return false;
  if (!plan.drop_privileges) return true;
  char kept[17] = "0000000000000000";
  for (int digit = 0; digit < 16; ++digit) kept[15 - digit] = "0123456789abcdef"[plan.kept_capabilities >> (4 * digit) & 15];
  constexpr const char* kSets[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};
  for (const char* set : kSets) {
    if (!LineIs(status, set, kept, failure)) return false;
  }
  // Without a namespace of one's own it takes a right to empty this one, which not every caller has.
  if ((plan.namespaces & CLONE_NEWUSER) != 0 && !LineIs(status, "CapBnd", kept, failure)) return false;
  return LineIs(status, "NoNewPrivs", "1", failure);
}

}  // namespace

NamespaceNumbers OwnNamespaces(const ChildPlan& plan) {
  NamespaceNumbers numbers;
  for (size_t i = 0; i < kNamespaceKinds; ++i) {
    if (!IsLookedAt(plan, kKinds[i])) continue;
    Text<32> path;
    path.Add("/proc/self/ns/").Add(kKinds[i].name);
    struct stat about = {};
    if (stat(path.c_str(), &about) == 0) numbers.of[i] = about.st_ino;
  }
  return numbers;
}

bool ReadBackSetUp(const ChildPlan& plan, const NamespaceNumbers& outside, const ExpectedIds& ids, const int* sources,
                   SetupMessage* failure) {
  return ReadBackNamespaces(plan, outside, failure) && ReadBackMounts(plan, sources, failure) && ReadBackMade(plan, failure) && ReadBackStatus(plan, ids, failure);
}

bool ReadBackSpeculation(uint32_t off, SetupMessage* failure) {
  for (unsigned long kind = 0; off >> kind != 0; ++kind) {
    if ((off >> kind & 1) == 0) continue;
    const int seen = prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
    if (seen >= 0 && (seen & PR_SPEC_FORCE_DISABLE) != 0) continue;
    Detail detail;
    detail.Add("speculation: expected ").Add(kind == PR_SPEC_STORE_BYPASS ? "store bypass" : "indirect branches");
    return Differs(failure, detail.Add(" off for good, and the kernel says otherwise"));
  }
  return true;
}

bool ReadBackTarget(const ChildPlan& plan, SetupMessage* failure) {
  for (size_t i = 0; i < plan.rlimit_count; ++i) {
    const RlimitStep& step = plan.rlimits[i];
    rlimit now = {};
    if (syscall(SYS_prlimit64, 0, step.resource, nullptr, &now) != 0) return Fail(failure, "read_back", errno, "prlimit");
    if (now.rlim_cur == step.limit.rlim_cur && now.rlim_max == step.limit.rlim_max) continue;
    Detail detail;
    detail.Add("resource limit ").AddNumber(static_cast<uint64_t>(step.resource)).Add(": expected ").AddNumber(step.limit.rlim_cur);
    return Differs(failure, detail.Add(", seen ").AddNumber(now.rlim_cur));
  }
  uint64_t cpus[ChildPlan::kCpuWords] = {};
  if (plan.limits_cpus && syscall(SYS_sched_getaffinity, 0, sizeof(cpus), cpus) < 0) return Fail(failure, "read_back", errno, "sched_getaffinity");
  for (size_t i = 0; plan.limits_cpus && i < ChildPlan::kCpuWords; ++i) {
    if (cpus[i] == plan.cpus[i]) continue;
    Detail detail;
    return Differs(failure, detail.Add("CPUs from ").AddNumber(64 * i).Add(", as bits: expected ").AddNumber(plan.cpus[i]).Add(", seen ").AddNumber(cpus[i]));
  }
  if (!ReadBackSpeculation(plan.speculation_off, failure)) return false;
  // No file tells who is in a domain of Landlock. The init has our ids and is outside of it.
  if (plan.landlock_scopes == 0 || (kill(getppid(), 0) != 0 && errno == EPERM)) return true;
  Detail detail;
  return Differs(failure, detail.Add("landlock: expected that no signal reaches the init, and one does"));
}

bool ReadBackFilter(const ChildPlan& plan, SetupMessage* failure) {
  if (plan.filter_length == 0) return true;
  // There may be others around us, so that a mode tells nothing. The kernel's own answer is EINVAL. clone(2), "ERRORS"
  if (!plan.filter_hides_clone3 || (syscall(SYS_clone3, nullptr, 0) < 0 && errno == ENOSYS)) return true;
  Detail detail;
  return Differs(failure, detail.Add("seccomp: expected that clone3 is refused by the filter, and the kernel sees it"));
}

}  // namespace brood::child
