#include "launcher/id_maps_child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/child_safe.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

constexpr const char* kStep = "user namespace";
constexpr size_t kIdParts = 3;
constexpr size_t kMaxGroups = 32;  // Of a policy: sandbox/policy.h.

bool WriteProc(pid_t pid, const char* file, const char* text, size_t length, SetupMessage* failure) {
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(pid)).Add("/").Add(file);
  const int error = WriteFile(AT_FDCWD, path.c_str(), text, length);
  if (error == 0) return true;
  // As after bwrap --ro-bind / /.
  const char* const what = error == ENOENT  ? "the caller needs a mounted /proc to write "
                           : error == EROFS ? "the caller's /proc is mounted read-only; mount one that can be written (bwrap --bind /proc /proc, or see brood doctor), for "
                                            : "write ";
  return Fail(failure, kStep, error, what, path.c_str());
}

// The ids from 0 to `count`: `own` is `outside`, the others are those from `sub` on, in order.
struct IdMap {
  static constexpr size_t kMaxParts = kIdParts + kMaxGroups;
  struct Part {
    uint32_t inside, outside, count;
  };
  Part parts[kMaxParts];
  size_t count = 0;

  IdMap(uint32_t own, uint32_t outside, uint32_t ids, uint32_t sub) {
    if (ids > 1) Add(0, sub, own);
    Add(own, outside, 1);
    if (ids > 1) Add(own + 1, sub + own, ids - own - 1);
  }
  void Add(uint32_t inside, uint32_t outside, uint32_t ids) {
    if (ids > 0) parts[count++] = {inside, outside, ids};
  }
};

bool WriteMap(pid_t pid, const char* file, const IdMap& map, SetupMessage* failure) {
  Text<1536> text;
  for (size_t i = 0; i < map.count; ++i) {
    text.AddNumber(map.parts[i].inside).Add(" ").AddNumber(map.parts[i].outside).Add(" ").AddNumber(map.parts[i].count).Add("\n");
  }
  return WriteProc(pid, file, text.c_str(), text.length(), failure);
}

struct Mapper {
  const char* program;
  char* const* argv;
};

int RunMapper(void* arg) {
  const auto* mapper = static_cast<const Mapper*>(arg);
  // Its standard descriptors would be whatever has their numbers here.
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3 && null >= 0; ++fd) dup2(null, fd);
  char* const envp[] = {nullptr};
  if (null >= 0) execve(mapper->program, mapper->argv, envp);
  syscall(SYS_exit_group, 127);
  return 1;
}

// newuidmap PID INSIDE OUTSIDE COUNT ...: it has the right to map what /etc/subuid gives to its caller. newuidmap(1)
bool CallMapper(pid_t pid, const char* program, const IdMap& map, SetupMessage* failure) {
  constexpr size_t kNumbers = 1 + 3 * kIdParts;  // No groups: those who need a mapper cannot choose any.
  Text<24> numbers[kNumbers];
  char* argv[kNumbers + 2];
  size_t count = 0;
  numbers[count++].AddNumber(static_cast<uint64_t>(pid));
  for (size_t i = 0; i < map.count && i < kIdParts; ++i) {
    const uint32_t part[] = {map.parts[i].inside, map.parts[i].outside, map.parts[i].count};
    for (const uint32_t number : part) numbers[count++].AddNumber(number);
  }
  argv[0] = const_cast<char*>(program);
  for (size_t i = 0; i < count; ++i) argv[i + 1] = const_cast<char*>(numbers[i].c_str());
  argv[count + 1] = nullptr;
  Mapper mapper = {program, argv};
  alignas(16) char stack[16 * 1024];
  const int child = clone(RunMapper, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &mapper, nullptr, nullptr, nullptr);
  if (child < 0) return Fail(failure, kStep, errno, "run ", program);
  int status = 0;
  while (waitpid(child, &status, __WALL) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  return Fail(failure, kStep, EPERM, "further ids were refused (is it set-user-id, and are /etc/subuid and /etc/subgid as they were when the policy was compiled?) by ", program);
}

}  // namespace

bool WriteIdMaps(pid_t pid, uint32_t inside_uid, uint32_t outside_uid, uint32_t inside_gid, uint32_t outside_gid,
                 bool deny_setgroups, SetupMessage* failure) {
  if (deny_setgroups && !WriteProc(pid, "setgroups", "deny", 4, failure)) return false;
  return WriteMap(pid, "gid_map", IdMap(inside_gid, outside_gid, 1, 0), failure) &&
         WriteMap(pid, "uid_map", IdMap(inside_uid, outside_uid, 1, 0), failure);
}

bool MapChildIds(const ChildPlan& plan, pid_t pid, uint32_t outside_id, uint32_t number, SetupMessage* failure) {
  if (plan.ids == IdMapping::kNone) return true;
  // What is written there would be somebody else's.
  char self[24] = {};
  if (readlink("/proc/self", self, sizeof(self) - 1) > 0 && ParseNumber(self) != static_cast<uint64_t>(getpid())) {
    return Fail(failure, kStep, ESRCH, "the caller's /proc is of another pid namespace; mount one of this (unshare --mount-proc; as root mount -t proc proc /proc)");
  }
  const bool ownerless = plan.ids == IdMapping::kOwnerless;
  const uint32_t outside_uid = ownerless ? outside_id : plan.caller_uid;
  const uint32_t outside_gid = ownerless ? outside_id : plan.caller_gid;
  // Another range for each launch, as far as they go round.
  const uint32_t offset = plan.sub_ranges > 1 ? number % plan.sub_ranges * plan.id_count : 0;
  IdMap gids(plan.inside_gid, outside_gid, plan.id_count, plan.sub_gid + offset);
  const IdMap uids(plan.inside_uid, outside_uid, plan.id_count, plan.sub_uid + offset);
  for (size_t i = 0; i < plan.group_count && gids.count < IdMap::kMaxParts; ++i) gids.Add(plan.groups[i], plan.groups[i], 1);
  if (plan.uid_mapper != nullptr) return CallMapper(pid, plan.gid_mapper, gids, failure) && CallMapper(pid, plan.uid_mapper, uids, failure);
  if (!ownerless && !plan.drop_groups && !WriteProc(pid, "setgroups", "deny", 4, failure)) return false;
  return WriteMap(pid, "gid_map", gids, failure) && WriteMap(pid, "uid_map", uids, failure);
}

}  // namespace brood::child
