// A plan in the form that a child can carry out: plain pointers into memory that the caller prepared before the fork.
//
// Everything is borrowed from the CompiledPolicy and the launch that made it; a child only reads it.
#ifndef BROOD_SANDBOX_CHILD_PLAN_H_
#define BROOD_SANDBOX_CHILD_PLAN_H_

#include <linux/filter.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>

namespace brood {

struct MountStep {
  enum class Kind {
    kBind,       // `source` of the host appears at `target`.
    kTmpfs,      // A new tmpfs with options `text` ("size=64M").
    kProc,       // procfs of the new pid namespace; `text` is null or the value of its `subset` option.
    kQueues,     // The POSIX message queues of the new ipc namespace.
    kSymlink,    // `target` points to `text`.
    kFile,       // A read-only file with content `text`.
    kDirectory,  // An empty directory.
    kOverlay,    // `source` of the host appears at `target`; changes are kept in memory, of `text` bytes, or by the next step.
    kChanges,    // In `source` of the host the changes of the overlay before it are kept. The guardian locks it.
    kLayer,      // `source` of the host lies below the overlay before it, and below the layers before it.
    kCovered,    // What is at `target` by an earlier step is mounted upon itself, with other attributes.
  };
  Kind kind = Kind::kDirectory;
  const char* source = nullptr;
  const char* target = nullptr;  // Relative to the new root, no leading slash. Empty: the new root itself.
  const char* text = nullptr;
  uint64_t attributes = 0;       // MOUNT_ATTR_* to set, on the whole tree of a bind.
  bool optional = false;         // Left out without an error if `source` does not exist, or what is made is there already.
  bool lent = false;             // The guardian opens `source` with the caller's full rights and hands it in.
  bool idmapped = false;         // `lent` only: owned by the caller outside, by the child's id inside.
  bool idmap_required = false;   // A file system that cannot do it makes the launch fail; else it is shown plainly.
  uint32_t mode = 0;             // kTmpfs, kFile, kDirectory.
  bool device = false;           // kBind only: of a device that the policy names.
};

// One place that the guardian connects the child to.
struct DestinationRecord {
  enum class Kind : uint8_t { kInet4, kInet6, kUnix };
  Kind kind = Kind::kInet4;
  uint8_t prefix_bits = 0;
  uint16_t port = 0;            // 0: any.
  uint8_t address[16] = {};     // In network order.
  const char* path = nullptr;   // kUnix; an abstract name begins with @.
};

// What a child may do with a file, or with a directory and all below it, where everything else of that kind is refused.
struct LandlockRule {
  const char* path = nullptr;  // As the child sees it.
  uint64_t access = 0;         // Bits of sandbox/landlock_abi.h.
  bool optional = false;       // Left out without an error if it does not exist.
};

struct RlimitStep {
  int resource = 0;
  rlimit limit = {};
};

// A filter that somebody else has made.
struct FurtherFilter {
  const char* path = nullptr;
  const sock_filter* program = nullptr;
  uint16_t length = 0;
};

// Of each process.
struct AttributeSteps {
  bool sets_nice = false;
  int nice = 0;
  bool sets_oom_score_adj = false;
  int oom_score_adj = 0;
  bool sets_umask = false;
  uint32_t umask = 0;
  uint32_t personality = 0;  // Flags that are added to what there is.
  bool disable_tsc = false;
  bool deny_write_execute = false;
};

// What a security module of Linux is to run the target under.
struct LabelStep {
  enum class Module : uint8_t { kNone, kAppArmor, kSelinux };
  Module module = Module::kNone;
  const char* text = nullptr;  // As it is written: "exec brood-job", or a context.
  bool any_mode = false;       // A profile too that is not enforced.
};

// How a caller's ids become the child's.
enum class IdMapping {
  kNone,       // No user namespace.
  kCaller,     // The caller's own id is the child's: all that an unprivileged caller can map.
  kOwnerless,  // An id that owns nothing outside, one for each launch.
};

// Whether something of the host is opened for it.
inline bool HasSource(const MountStep& step) {
  return step.kind == MountStep::Kind::kBind || step.kind == MountStep::Kind::kOverlay || step.kind == MountStep::Kind::kChanges ||
         step.kind == MountStep::Kind::kLayer;
}

// Whether it makes something in a file system of the child's own.
inline bool Makes(const MountStep& step) {
  return step.kind == MountStep::Kind::kSymlink || step.kind == MountStep::Kind::kFile || step.kind == MountStep::Kind::kDirectory;
}

// Whether something is mounted at its target.
inline bool IsMount(const MountStep& step) {
  return step.kind == MountStep::Kind::kBind || step.kind == MountStep::Kind::kOverlay || step.kind == MountStep::Kind::kTmpfs ||
         step.kind == MountStep::Kind::kProc || step.kind == MountStep::Kind::kQueues || step.kind == MountStep::Kind::kCovered;
}

inline constexpr uint32_t kInsideId = 1000;  // uid and gid of the child in its user namespace, unless the policy has others.

struct ChildPlan {
  uint64_t namespaces = 0;  // CLONE_NEW* flags.
  IdMapping ids = IdMapping::kNone;
  uint32_t caller_uid = 0;
  uint32_t caller_gid = 0;
  uint32_t ownerless_base = 0;     // The id is this plus the guardian's pid modulo `ownerless_count`.
  uint32_t ownerless_count = 0;    // 0: `kOwnerless` is not possible.
  uint32_t inside_uid = kInsideId; // The child's ids in its user namespace,
  uint32_t inside_gid = kInsideId;
  uint32_t id_count = 1;           // of how many: its own, or those from 0 to before this.
  uint32_t sub_uid = 0;            // Outside, the first of those that are not its own.
  uint32_t sub_gid = 0;
  uint32_t sub_ranges = 0;         // How many times `id_count` there are from there: one for each launch.
  const char* uid_mapper = nullptr;  // Program that maps them, where the guardian must not.
  const char* gid_mapper = nullptr;
  uint64_t kept_capabilities = 0;
  bool switch_ids = false;         // Without a user namespace: become the ownerless id. Needs root.
  bool drop_groups = false;        // setgroups(2) is possible and wanted: to none,
  const uint32_t* groups = nullptr;  // or to these, in order, which have the same numbers inside.
  size_t group_count = 0;
  bool drop_privileges = false;    // Capabilities, no_new_privs.
  const char* hostname = nullptr;  // Null: unchanged.
  bool loopback = false;           // Bring `lo` up.
  uint64_t monotonic_start_ns = 0; // What the clocks of a time namespace show at first.
  uint64_t boottime_start_ns = 0;
  uint32_t speculation_off = 0;    // A bit for each kind, by its number: sandbox/plan_speculation.h.
  bool read_back = false;          // Compare what was set up with this.

  const MountStep* mounts = nullptr;
  size_t mount_count = 0;

  const sock_filter* filter = nullptr;
  uint16_t filter_length = 0;  // Instructions; 0: no filter.
  bool filter_notifies = false;
  bool filter_hides_clone3 = false;  // By which it is seen that it is there.
  bool filter_allows_speculation = false;  // Else the kernel may turn some of it off with it.
  const FurtherFilter* further_filters = nullptr;  // Loaded before it.
  size_t further_filter_count = 0;
  bool further_filters_let_read = false;  // So that under them can be read how many there are.
  AttributeSteps attributes;
  LabelStep label;  // Of programs.
  bool limit_watches = false;  // Of inotify, in the child's own user namespace.

  const RlimitStep* rlimits = nullptr;
  size_t rlimit_count = 0;

  static constexpr size_t kCpuWords = 16;
  bool limits_cpus = false;
  uint64_t cpus[kCpuWords] = {};  // A bit for each that may be run on; as the kernel reads it. sched_setaffinity(2)

  bool new_session = false;

  const DestinationRecord* destinations = nullptr;
  size_t destination_count = 0;

  // What Landlock refuses unless a rule allows it: bits of sandbox/landlock_abi.h. All zero: it is not used.
  uint64_t landlock_files = 0;
  uint64_t landlock_tcp = 0;
  uint64_t landlock_scopes = 0;
  const LandlockRule* landlock_rules = nullptr;
  size_t landlock_rule_count = 0;
};

inline bool UsesLandlock(const ChildPlan& plan) {
  return (plan.landlock_files | plan.landlock_tcp | plan.landlock_scopes) != 0;
}

}  // namespace brood

#endif  // BROOD_SANDBOX_CHILD_PLAN_H_
