#include "sandbox/landlock_child.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/landlock_abi.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

struct RulesetAttributes {
  uint64_t files;
  uint64_t tcp;
  uint64_t scopes;
};

// The kernel's struct landlock_path_beneath_attr, which has no padding.
struct __attribute__((packed)) PathAttributes {
  uint64_t access;
  int32_t fd;
};

constexpr int kPathBeneath = 1;  // LANDLOCK_RULE_PATH_BENEATH

// Returns 0 or an errno value.
int AddRule(const ChildPlan& plan, int ruleset, int fd, mode_t mode, uint64_t access) {
  uint64_t allowed = access & plan.landlock_files;
  if (!S_ISDIR(mode)) allowed &= kLandlockOfFiles;
  if (allowed == 0) return 0;
  const PathAttributes rule = {allowed, fd};
  if (syscall(SYS_landlock_add_rule, ruleset, kPathBeneath, &rule, 0) == 0) return 0;
  // A file of a file system that is in no tree, which Landlock lets through: a pipe, a socket. landlock_add_rule(2), EBADFD
  return errno == EBADFD ? 0 : errno;
}

// Opened without any right to it. Returns 0 or an errno value.
int AddPath(const ChildPlan& plan, int ruleset, const char* path, uint64_t access) {
  const int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return errno;
  struct stat about;
  const int error = fstat(fd, &about) == 0 ? AddRule(plan, ruleset, fd, about.st_mode, access) : errno;
  close(fd);
  return error;
}

}  // namespace

int MakeRuleset(const ChildPlan& plan, SetupMessage* failure) {
  const RulesetAttributes attributes = {plan.landlock_files, plan.landlock_tcp, plan.landlock_scopes};
  // An older kernel knows a shorter one, and takes a longer one whose rest is zero. landlock_create_ruleset(2)
  const int ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0));
  if (ruleset < 0) {
    Fail(failure, "landlock", errno, "landlock_create_ruleset");
    return -1;
  }
  for (size_t i = 0; i < plan.landlock_rule_count; ++i) {
    const LandlockRule& rule = plan.landlock_rules[i];
    const int error = AddPath(plan, ruleset, rule.path, rule.access);
    if (error == 0 || (rule.optional && (error == ENOENT || error == ENOTDIR || error == EACCES))) continue;
    Fail(failure, "landlock", error, "allow ", rule.path);
    close(ruleset);
    return -1;
  }
  return ruleset;
}

bool AllowDescriptor(const ChildPlan& plan, int ruleset, int fd, SetupMessage* failure) {
  struct stat about;
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fstat(fd, &about) != 0) return Fail(failure, "landlock", errno, "look at a descriptor of the child");
  uint64_t access = ~uint64_t{0};
  const bool reads_only = (flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_RDONLY;
  if (S_ISREG(about.st_mode) && reads_only) access = kLandlockExecute | kLandlockReadFile;
  if (S_ISDIR(about.st_mode)) access = kLandlockRead | kLandlockWrite;
  const int error = AddRule(plan, ruleset, fd, about.st_mode, access);
  return error == 0 || Fail(failure, "landlock", error, "allow a descriptor of the child");
}

bool AllowOwnProgram(const ChildPlan& plan, int ruleset, SetupMessage* failure) {
  const int error = AddPath(plan, ruleset, "/proc/self/exe", kLandlockExecute | kLandlockReadFile);
  // Without a /proc it is not to be found by the child either.
  return error == 0 || error == ENOENT || error == EACCES || Fail(failure, "landlock", error, "allow /proc/self/exe");
}

bool EnterRuleset(int ruleset, SetupMessage* failure) {
  if (syscall(SYS_landlock_restrict_self, ruleset, 0) == 0) return true;
  return Fail(failure, "landlock", errno,
              errno == E2BIG ? "landlock_restrict_self: 16 sandboxes are one in the other already; accept its absence with "
                               "--allow-weaker landlock"
                             : "landlock_restrict_self");
}

}  // namespace brood::child
