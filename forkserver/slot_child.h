// The keeper's side of a slot: a sandbox that is finished. The keeper enters it once, and its children are born in it, one at
// a time, with all that it has: namespaces, root, ids, no capabilities, no_new_privs, filter, cgroups.
//
// The keeper stays outside of the slot's pid namespace, whose init is another process (launcher/slot_init_child.h): no child
// has a number for it, so that none can signal or trace it. pid_namespaces(7), setns(2)
//
// It is in the slot's cgroups, so that its children are. Where those limit memory it must not be what the kernel kills: it
// shares the server's memory, which would count as its own, and with it would end all that share it. The kernel spares the
// child of a vfork(2) that shares its parent's memory, because killing it would free nothing; so the keeper of a slot is one,
// of a process that does nothing else (RunShield). mm/oom_kill.c, oom_badness(), in_vfork(), __oom_kill_process()
//
// With cgroups of version 2 it is in a group beside those of its children instead. The supervisor makes one for each child
// (sandbox/spare_cgroups.h), and sends it ahead over a socket of its own, so that a child is born in it (clone3(2),
// CLONE_INTO_CGROUP) without a word between the two.
//
// It lives under the filter of its children. That has one more rule than the policy: sendmsg(2), recvmsg(2), and clone3(2) where
// it needs that, are allowed if their unused sixth argument is a secret number, which is in no memory that a child has
// (madvise(2), MADV_DONTFORK), nor in a register at its birth. A child that guessed it could do with it what the policy may forbid:
// send and receive on sockets, of which it has none that were not given to it, and clone into namespaces, for which it has no
// capability, and no user namespace may be made in the slot's (launcher/init_child.cc). All else a keeper does must be allowed by
// the policy itself; see launcher/slot_fitness.h.
//
// Child-safe: see base/child_safe.h. Of several keepers one enters at a time, because they share errno.
#ifndef BROOD_FORKSERVER_SLOT_CHILD_H_
#define BROOD_FORKSERVER_SLOT_CHILD_H_

#include <linux/filter.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <cstddef>
#include <cstdint>

#include "base/setup_message.h"
#include "forkserver/request.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// What a child of a slot does not have from its keeper.
struct SlotBirth {
  static constexpr uint32_t kMaxRlimits = 16;
  static constexpr size_t kMaxEnvironment = 1536;

  uint32_t rlimit_count = 0;
  RlimitStep rlimits[kMaxRlimits] = {};
  uint32_t own_environment = 0;  // 0: the server's.
  uint32_t environment_size = 0;
  char environment[kMaxEnvironment] = {};  // "K=V" entries, each zero-terminated. Last: what is unused goes nowhere.

  size_t used_bytes() const { return offsetof(SlotBirth, environment) + environment_size; }
};

// In a child of a slot: kill(0, ...) reaches a group, whatever its members' pid namespaces, and would reach the keeper. The session
// stays the keeper's, which has no terminal: a new one would be scheduled by itself (sched(7), "The autogroup feature") and costs
// more than all else that is left to do here. kill(2), setpgid(2)
void LeaveKeepersGroup();

// The numbers in files of a cgroup that tell of one child. Version 1 has them for all its children, one after the other.
enum class SlotCounter : uint32_t { kMemoryPeak, kMemoryEvents, kProcessEvents, kCpu, kCount };
inline constexpr size_t kSlotCounters = static_cast<size_t>(SlotCounter::kCount);

// The bytes of a keeper's first order. Its descriptors are, in this order: the filter (bytes of a file), the socket of the
// init, the list of the init's children (proc(5), /proc/pid/task/tid/children), `namespaces` of these (the user namespace
// first, the mount namespace last), `tasks` files of cgroups to write 0 to, `folders` that a child may have changed, and of
// each counter that has its bit set in `counters` its file, with `watches_net` the counters of its network interfaces
// (/proc/pid/net/dev), with `landlock` the ruleset, which the init has made: it stands for paths in its root, and with `groups` the
// socket from which the groups of children come.
struct SlotEntry {
  static constexpr uint32_t kMagic = 0x4c535242;  // "BRSL"
  static constexpr uint32_t kFixed = 3;
  static constexpr uint32_t kMaxFolders = 8;

  uint32_t magic = kMagic;
  uint32_t id = 0;  // Inside: of user and group.
  uint32_t drop_groups = 0;
  uint32_t filter_length = 0;  // Instructions, those of kFilterPreludeLength included.
  uint32_t notifies = 0;
  uint32_t speculation_off = 0;  // As of ChildPlan.
  uint32_t allows_speculation = 0;
  uint32_t label_module = 0;     // As of LabelStep.
  uint32_t label_any_mode = 0;
  uint32_t namespaces = 0;
  uint32_t tasks = 0;
  uint32_t folders = 0;
  uint32_t counters = 0;
  uint32_t watches_net = 0;
  uint32_t landlock = 0;
  uint32_t read_back = 0;    // What the keeper is, once it has entered, is compared with what it should be.
  uint32_t may_reserve = 0;  // The policy allows what a child in reserve needs: reserve_child.h.
  uint32_t may_forget = 0;   // The same of cold_memory_child.h.
  uint32_t groups = 0;
  uint32_t fresh = 0;        // For one child alone: what that leaves is not looked for.
  uint32_t watches_ipc = 0;  // Children may make objects of System V. Those of POSIX are files of one of the folders.
  uint32_t processors = 1;   // Of the machine.
  uint64_t wall_ns = 0;      // Of each child. 0: no limit.
  uint64_t cpu_ns = 0;       // The same, of its tree. Needs SlotCounter::kCpu.
  char label[264] = {};          // Its text.
  SlotBirth birth;
};
static_assert(sizeof(SlotEntry) <= brood::internal::kRecordInlineBytes);

// With a child's group of version 2: its directory comes first, then the file of each counter that has its bit set. The keeper
// answers with one byte when it has done with the group.
struct SlotGroup {
  static constexpr size_t kMaxFds = 1 + kSlotCounters;
  uint32_t counters = 0;
};

// Written before a policy's own filter: the rule for the secret, which a keeper fills in.
inline constexpr size_t kFilterPreludeLength = 11;
enum class SecretCalls { kMessages, kMessagesAndClone3 };
void WriteFilterPrelude(SecretCalls calls, sock_filter* out);

// A child's system call that the filter forbids.
struct SlotViolation {
  int32_t number = -1;
  uint32_t arch = 0;
  int64_t tid = 0;
  uint64_t ip = 0;
  uint64_t args[6] = {};
};

struct SlotUsage {
  uint64_t memory_peak_bytes = 0;
  uint64_t oom_kills = 0;
  uint64_t process_refusals = 0;
  uint64_t cpu_ns = 0;
};

// Whether anything was made in an ipc namespace of System V: the kernel numbers what it makes one after the other, and tells
// the number that it would give next to who makes something.
class IpcWatch {
 public:
  // Makes and removes one object of each kind. True if nobody has made one since the last call; false the first time.
  bool Unchanged();

 private:
  int next_[3] = {-1, -1, -1};
};

// A slot as its keeper has it. Must be in memory that no child inherits.
class KeptSlot {
 public:
  // False with `failure` filled: then the keeper is of no use any more. Takes the order's descriptors.
  bool Enter(const brood::internal::RawRequest& order, SetupMessage* failure);

  bool entered() const { return entered_; }
  uint64_t secret() const { return secret_; }  // 0 before.
  uint64_t wall_ns() const { return wall_ns_; }
  uint64_t limit_cpu_ns() const { return limit_cpu_ns_; }
  uint32_t processors() const { return processors_; }
  bool may_reserve() const { return may_reserve_; }
  bool may_forget() const { return may_forget_; }
  bool fresh() const { return fresh_; }
  int listener() const { return listener_; }  // Of violations; -1: none.

  // The listener has something. True if `violation` was filled. `missed`: what was there is gone, because the call's process has
  // ended, or a signal has interrupted it and it will be made again.
  bool Receive(SlotViolation* violation, bool* missed) const;

  // Kills all that is in the slot, and waits for the end of what is not the keeper's child. False: something is left.
  bool EndAll() const;

  // Whether its init has ended, and with it all that is in its pid namespace: by then each process there has been sent SIGKILL. The
  // init's descriptors are closed before it does that, so that who has reaped such a process can ask. kernel/exit.c, do_exit();
  // kernel/pid_namespace.c, zap_pid_ns_processes()
  bool InitIsGone() const;

  // Whether a child that has ended left something running.
  bool HasProcesses() const;

  // Whether the kernel's OOM killer is to be looked for while a child lives, since nothing tells of it; and whether it has ended
  // something of this child's, which then is not what it was any more.
  // In a group of version 2 the kernel ends them all by itself.
  bool limits_memory() const { return groups_ < 0 && counters_[static_cast<size_t>(SlotCounter::kMemoryEvents)] >= 0; }
  bool HasOomKill() const;

  // What this child and its tree have used so far.
  uint64_t CpuNs() const;

  // Takes the group of the next child, and waits for it if it is not there yet. False: there will be none any more.
  bool TakeGroup();
  int group() const { return group_; }  // Its directory; -1: a child is born in the groups of its keeper.
  void ReturnGroup();                   // No child is in it any more. Tells the supervisor.

  // What the child used that has just ended, and a new beginning for the next.
  SlotUsage TakeUsage();

  // Whether the next child finds what the last one found.
  bool IsClean();

  // In a rehearsal (warm.h): runs what is run for each child, of a slot that was never entered.
  void Rehearse();

 private:
  struct Folder {
    int fd = -1;
    struct statfs space;
    struct stat about;
  };

  static constexpr size_t kNetSize = 1024;

  bool Look(Folder* folder) const;
  bool NetIsUnchanged();
  uint64_t Read(SlotCounter counter, const char* key) const;

  bool entered_ = false;
  uint64_t secret_ = 0;
  uint64_t wall_ns_ = 0;
  uint64_t limit_cpu_ns_ = 0;
  uint32_t processors_ = 1;
  bool may_reserve_ = true;
  bool may_forget_ = false;
  bool fresh_ = false;
  int init_ = -1;
  int processes_ = -1;
  int listener_ = -1;
  int counters_[kSlotCounters] = {-1, -1, -1, -1};
  int groups_ = -1;
  int group_ = -1;
  uint64_t oom_kills_ = 0;
  uint64_t process_refusals_ = 0;
  uint64_t cpu_ns_ = 0;
  int net_ = -1;
  char net_text_[kNetSize] = {};
  bool watches_ipc_ = false;
  IpcWatch ipc_;
  uint32_t folder_count_ = 0;
  Folder folders_[SlotEntry::kMaxFolders];
};

}  // namespace brood::child

#endif  // BROOD_FORKSERVER_SLOT_CHILD_H_
