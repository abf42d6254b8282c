// One launch in the form that the guardian and the child carry out: plain pointers into memory that the caller
// prepared before the fork, and the record in which the guardian reports.
#ifndef BROOD_LAUNCHER_LAUNCH_RECORD_H_
#define BROOD_LAUNCHER_LAUNCH_RECORD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/setup_message.h"
#include "launcher/copy/copy_record.h"
#include "launcher/launch_target.h"
#include "sandbox/cgroup_child.h"
#include "sandbox/child_plan.h"
#include "sandbox/read_back_child.h"

namespace brood {

struct FdMove {
  int source = -1;
  int child_fd = -1;
  const char* read_only_path = nullptr;  // Not null: by it the init opens the file again, see read_only_files_child.h.
};

// A stream that the guardian reads from the child and passes on.
struct StreamRecord {
  int pipe = -1;                     // Read end, non-blocking; -1: the stream goes directly where it should.
  int sink = -1;                     // Where it goes on to.
  uint64_t keep_bytes = UINT64_MAX;  // More than so many are counted and dropped.
  int copy = -1;                     // A memory file that gets the first `copy_bytes` too.
  uint64_t copy_bytes = 0;
  bool ends_sink = false;            // The sink is closed at the end of the stream: whoever reads it is to see that end.
};

// What the guardian reads for the child.
struct InputRecord {
  int source = -1;    // -1: nothing comes, or no more.
  int sink = -1;      // Write end of the pipe that is the child's stdin, or the master of its terminal; non-blocking.
  int terminal = -1;  // The child's end of that, which we hold so that the master never sees it closed. -1: it is a pipe.
};

struct LaunchRecord {
  ChildPlan plan;

  internal::LaunchTarget target;
  const char* const* candidates = nullptr;  // kProgram: full paths to try in turn, null-terminated.
  const char* const* argv = nullptr;
  const char* const* envp = nullptr;
  const char* cwd = nullptr;  // Null: "/" where there is an own root, else unchanged.
  bool cwd_required = false;
  bool wait_for_tree = false;
  bool served = false;         // The guardian is not the caller's child, and sends it a pidfd of itself.
  uint32_t slot_number = 0;    // Not 0: there is no target, and the init keeps the sandbox for others, see slot_init_child.h.
  bool slot_watches_ipc = false;  // What is to be looked at after each child, besides its folders.
  bool slot_watches_net = false;
  // Not null: the child is born in a slot, and the plan is empty. At the client, the bytes of its SlotRequest.
  const char* slot = nullptr;
  size_t slot_size = 0;
  bool stays = false;          // The guardian outlives its report, see guardian_end_child.h.
  // Not 0: the caller will reap the guardian as soon as it has reported. Null: it says so with kLetGo.
  const std::atomic<uint32_t>* let_go = nullptr;
  char* wipe_begin = nullptr;  // The init overwrites this part of its memory: the caller's argv and environment.
  char* wipe_end = nullptr;

  // Descriptors. All numbers are moved out of the child's way by the guardian, so they are not const.
  FdMove* child_fds = nullptr;
  size_t child_fd_count = 0;
  int lowest_free = 3;       // Above every number that the child uses.
  int control = -1;          // Guardian's end of the socket to the caller: commands in, `started` out.
  int report = -1;           // Write end of the sentinel pipe.
  int owner = -1;            // pidfd of the caller.
  int guardian_socket = -1;  // Guardian's and
  int init_socket = -1;      // init's end of the socket between them.
  int setup_socket = -1;     // Functions only; the child's end is one of `child_fds`, and sees ours close when we end.
  StreamRecord streams[2];
  InputRecord input;
  bool own_terminal = false;  // Its stdin becomes the controlling terminal of a session of its own.

  int stack_sink = -1;        // A file for the snapshot of a thread that breaks its policy, see stack/snapshot.h. -1: none is taken.

  uint64_t wall_ns = 0;       // 0: no limit. The same below.
  uint64_t grace_ns = 0;      // After that, from SIGTERM until the tree is killed.
  uint64_t cpu_ns = 0;
  uint64_t output_bytes = 0;
  bool output_limited = false;
  uint64_t sampled_memory_bytes = 0;  // Only where no cgroup enforces it.
  bool sample_usage = false;
  uint64_t counted_processes = 0;  // Only where RLIMIT_NPROC enforces it, which tells nobody: with init. 0: not looked at.

  CgroupRecord cgroup;
  CopyRecord copies;
};

// A function with nothing to set up inside, and of whose tree nothing is asked but that it ends with the target: the
// guardian can be the target's parent itself.
inline bool NeedsNoInit(const LaunchRecord& record) {
  const ChildPlan& plan = record.plan;
  return record.target.kind != internal::LaunchTarget::Kind::kProgram && plan.namespaces == 0 && plan.mount_count == 0 &&
         plan.filter_length == 0 && !plan.switch_ids && !plan.drop_privileges && !plan.new_session &&
         plan.hostname == nullptr && !plan.loopback && !plan.attributes.deny_write_execute && record.cgroup.count == 0 && record.cpu_ns == 0 &&
         record.sampled_memory_bytes == 0 && record.counted_processes == 0 && !record.wait_for_tree &&
         record.streams[0].pipe < 0 && record.streams[1].pipe < 0 && record.input.sink < 0;
}

enum class EndCause : uint32_t {
  kNone,  // It ended by itself.
  kWallTime,
  kCpuTime,
  kMemory,
  kOutput,
  kViolation,
  kKillRequest,
  kOwnerGone,
  kSetupTimeout,
};

// A system call that the policy asked to be told of.
struct NotifiedRecord {
  int32_t number = 0;
  uint32_t count = 0;         // Stops at its end.
  uint64_t first_args[6] = {};
};

// What an argument of a forbidden call points to: text, or a socket address.
struct ArgumentText {
  uint8_t argument = 0;
  uint8_t length = 0;
  uint8_t cut = 0;  // There is more of it.
  char bytes[97] = {};
};

// Where a child may not connect to, and tried.
struct RefusedRecord {
  uint16_t family = 0;
  uint16_t port = 0;
  uint32_t stream = 0;        // Else datagrams.
  uint32_t count = 0;
  uint8_t address[100] = {};  // In network order; of AF_UNIX the path, cut, or @ and an abstract name.
};

inline constexpr uint32_t kReportMagic = 0x42524432;  // "BRD2"

enum class ReportKind : uint32_t { kStarted = 1, kEnded = 2, kInitBorn = 3, kKeeper = 4 };

struct GuardianReport {
  uint32_t magic = kReportMagic;
  ReportKind kind = ReportKind::kEnded;
  int32_t pid = 0;
  uint32_t outside_id = 0;  // The id that the child had, where it was an ownerless one.
  EndCause cause = EndCause::kNone;
  uint32_t started = 0;
  uint32_t setup_failed = 0;
  uint32_t has_status = 0;
  int32_t status = 0;  // As of waitpid(2).
  uint32_t tree_survived = 0;  // Something could not be killed within ten seconds.
  uint64_t wall_ns = 0;
  uint64_t cpu_ns = 0;
  uint64_t max_rss_bytes = 0;
  uint64_t memory_peak_bytes = 0;
  uint64_t oom_kills = 0;
  uint64_t process_refusals = 0;
  uint32_t processes_at_limit = 0;  // Seen with as many tasks as counted_processes allows.
  uint64_t stream_bytes[2] = {};
  uint32_t stream_truncated[2] = {};
  int32_t stream_errors[2] = {};
  uint32_t violation_arch = 0;
  int32_t violation_number = -1;
  int64_t violation_tid = 0;
  uint64_t violation_ip = 0;
  uint64_t violation_args[6] = {};
  uint32_t violation_text_count = 0;
  ArgumentText violation_texts[4];  // As many as a call has, mount(2).
  uint32_t notified_count = 0;
  NotifiedRecord notified[24];  // Calls beyond so many different ones are let through and not told.
  CopyResult copied[kMaxCopies];
  uint32_t refused_count = 0;
  uint32_t refused_others = 0;  // Beyond so many different ones.
  RefusedRecord refused[12];
  SetupMessage setup;
};

static_assert(sizeof(GuardianReport) <= 4096, "one atomic pipe write. pipe(7), PIPE_BUF");

struct GuardianCommand {
  enum class Kind : uint32_t { kSignal = 1, kKill = 2, kSignalGroup = 3, kLetGo = 4 };
  uint32_t magic = kReportMagic;
  Kind kind = Kind::kSignal;
  int32_t signal = 0;
};

// Between init and guardian.
struct InitMessage {
  enum class Kind : uint32_t {
    kGo = 1,       // To init, with the lent mounts attached.
    kStarted = 2,  // From init: with the pidfd of the target and, where there is one, the filter's listener.
    kFailed = 3,
    kExited = 4,
    kPlaces = 5,   // From init, before kStarted: with the directories that files are copied out of.
  };
  uint32_t magic = kReportMagic;
  Kind kind = Kind::kGo;
  int32_t status = 0;
  uint32_t fd_count = 0;
  int32_t target = 0;    // kStarted: its number in init's pid namespace.
  child::NamespaceNumbers outside;  // kGo: the caller's, where the plan is to be read back.
  uint64_t tasks = 0;    // kExited: of the tree, the one that ended and init among them, where counted_processes is set.
  uint64_t time_ns = 0;  // kStarted, kExited: CLOCK_MONOTONIC just before the birth, just after the end.
  uint16_t rests[kMaxCopies] = {};  // kPlaces: CopyPlace::rest.
  SetupMessage setup;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_LAUNCH_RECORD_H_
