#include "forkserver/slot_child.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"
#include "base/raw_syscall_child.h"
#include "sandbox/label_child.h"
#include "sandbox/landlock_child.h"
#include "sandbox/mounts_child.h"
#include "sandbox/privileges_child.h"
#include "sandbox/read_back_child.h"

namespace brood::child {
namespace {

constexpr int kTreePatienceMs = 10'000;
constexpr size_t kSecretLow = 7;   // Where in the prelude.
constexpr size_t kSecretHigh = 9;

uint32_t Argument(int index, bool high) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + static_cast<size_t>(index) * 8 + (high ? 4 : 0));
}

// In its own memory, which no child gets: the secret is to be written there.
bool Load(int file, const SlotEntry& entry, uint64_t secret, int* listener, SetupMessage* failure) {
  const size_t size = entry.filter_length * sizeof(sock_filter);
  const long mapped = RawSyscall(SYS_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (mapped < 0) return Fail(failure, "seccomp", static_cast<int>(-mapped), "map the filter");
  const long kept = RawSyscall(SYS_madvise, mapped, static_cast<long>(size), MADV_DONTFORK);
  bool loaded = kept == 0 || Fail(failure, "seccomp", static_cast<int>(-kept), "keep the filter from children");
  // Children have it from us: under the filter it stays as it is. sandbox/core_rules.h
  for (uint32_t i = 0; loaded && i < entry.birth.rlimit_count; ++i) {
    const RlimitStep& step = entry.birth.rlimits[i];
    if (step.resource != RLIMIT_CORE) continue;
    const long set = RawSyscall(SYS_prlimit64, 0, step.resource, reinterpret_cast<long>(&step.limit), 0);
    loaded = set == 0 || Fail(failure, "limits", static_cast<int>(-set), "prlimit");
  }
  if (loaded) {
    auto* const filter = reinterpret_cast<sock_filter*>(mapped);
    filter[kSecretLow].k = static_cast<uint32_t>(secret);
    filter[kSecretHigh].k = static_cast<uint32_t>(secret >> 32);
    ChildPlan plan;
    plan.filter = filter;
    plan.filter_length = static_cast<uint16_t>(entry.filter_length);
    plan.filter_notifies = entry.notifies != 0;
    plan.filter_allows_speculation = entry.allows_speculation != 0;
    loaded = LoadFilter(plan, listener, failure);
  }
  RawSyscall(SYS_munmap, mapped, static_cast<long>(size));
  return loaded;
}

bool Differs(const char* what, SetupMessage* failure) {
  return Fail(failure, "read_back", 0, "keeper of the slot: expected ", what);
}

// Whether the namespace that was entered is ours, or our children's. The last, that of mounts, takes the /proc away by which
// this is seen; then there is none for us, for we are in no process namespace of the slot's. proc(5), namespaces(7)
bool IsInNamespace(int entered) {
  struct Kind {
    long flag;
    const char* path;
  };
  constexpr Kind kKinds[] = {{CLONE_NEWUSER, "/proc/self/ns/user"}, {CLONE_NEWPID, "/proc/self/ns/pid_for_children"}, {CLONE_NEWNET, "/proc/self/ns/net"},
                             {CLONE_NEWIPC, "/proc/self/ns/ipc"},   {CLONE_NEWUTS, "/proc/self/ns/uts"},              {CLONE_NEWCGROUP, "/proc/self/ns/cgroup"}};
  const long flag = RawSyscall(SYS_ioctl, entered, static_cast<uint64_t>(NS_GET_NSTYPE), 0);
  struct stat about = {};
  if (flag == CLONE_NEWNS) return RawSyscall(SYS_newfstatat, AT_FDCWD, "/proc/self", &about, AT_SYMLINK_NOFOLLOW) == 0 && RawSyscall(SYS_readlinkat, AT_FDCWD, "/proc/self", &about, sizeof(about)) < 0;
  struct stat wanted = {};
  for (const Kind& kind : kKinds) {
    if (kind.flag != flag) continue;
    return RawSyscall(SYS_fstat, entered, &wanted) == 0 && RawSyscall(SYS_newfstatat, AT_FDCWD, kind.path, &about, 0) == 0 && wanted.st_ino == about.st_ino;
  }
  return false;
}

// Whether the last groups of this process are those of a child: "4:memory:/brood-child-12-3", "0::/brood-child-12-3/brood-child-keeper".
bool IsInGroups(uint32_t expected) {
  char groups[8192];
  if (ReadFile(AT_FDCWD, "/proc/self/cgroup", groups, sizeof(groups)) <= 0) return false;
  uint32_t seen = 0;
  for (const char* line = groups; *line != '\0';) {
    const char* const end = strchr(line, '\n') != nullptr ? strchr(line, '\n') : line + strlen(line);
    const char* last = end;
    while (last > line && *last != '/') --last;
    seen += strncmp(last, "/brood-child-", 13) == 0 ? 1 : 0;
    line = *end != '\0' ? end + 1 : end;
  }
  return seen >= expected;
}

// As the init reads back, by what can be asked for without a /proc of the slot's, in which we are not. getresuid(2), capget(2),
// prctl(2)
bool ReadBackKeeper(const SlotEntry& entry, SetupMessage* failure) {
  uint32_t ids[3] = {};
  RawSyscall(SYS_getresuid, &ids[0], &ids[1], &ids[2]);
  if (ids[0] != entry.id || ids[1] != entry.id || ids[2] != entry.id) return Differs("the user of the slot", failure);
  RawSyscall(SYS_getresgid, &ids[0], &ids[1], &ids[2]);
  if (ids[0] != entry.id || ids[1] != entry.id || ids[2] != entry.id) return Differs("the group of the slot", failure);
  if (entry.drop_groups != 0 && RawSyscall(SYS_getgroups, 0, nullptr) != 0) return Differs("no further groups", failure);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  const bool asked = RawSyscall(SYS_capget, &header, sets) == 0;
  for (const __user_cap_data_struct& set : sets) {
    if (!asked || (set.effective | set.permitted | set.inheritable) != 0) return Differs("no capability", failure);
  }
  for (long capability = 0;; ++capability) {
    const long has = RawSyscall(SYS_prctl, PR_CAPBSET_READ, capability, 0, 0, 0);
    if (has < 0) break;  // EINVAL ends what the kernel knows.
    if (has != 0) return Differs("an empty bounding set", failure);
  }
  return RawSyscall(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || Differs("no_new_privs", failure);
}

}  // namespace

void LeaveKeepersGroup() { RawSyscall(SYS_setpgid, 0, 0); }

void WriteFilterPrelude(SecretCalls calls, sock_filter* out) {
#if defined(__x86_64__)
  constexpr uint32_t kNative = AUDIT_ARCH_X86_64;
#else
  constexpr uint32_t kNative = 0;  // Slots are for x86-64: raw_syscall_child_other.cc has no sixth argument.
#endif
  const uint32_t third = calls == SecretCalls::kMessagesAndClone3 ? SYS_clone3 : SYS_recvmsg;
  const sock_filter prelude[kFilterPreludeLength] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNative, 0, 9),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvmsg, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, third, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, Argument(5, false)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, Argument(5, true)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  memcpy(out, prelude, sizeof(prelude));
}

bool KeptSlot::Enter(const brood::internal::RawRequest& order, SetupMessage* failure) {
  const auto& entry = *reinterpret_cast<const SlotEntry*>(order.data + brood::internal::kRawHeaderBytes);
  uint32_t counters = 0;
  for (uint32_t bits = entry.counters; bits != 0; bits &= bits - 1) ++counters;
  if (order.size != brood::internal::kRawHeaderBytes + sizeof(SlotEntry) || entry.magic != SlotEntry::kMagic ||
      entry.folders > SlotEntry::kMaxFolders || entry.counters >> kSlotCounters != 0 || entry.filter_length > BPF_MAXINSNS ||
      entry.birth.rlimit_count > SlotBirth::kMaxRlimits || entry.birth.environment_size > SlotBirth::kMaxEnvironment ||
      entry.label_module > static_cast<uint32_t>(LabelStep::Module::kSelinux) || entry.label[sizeof(entry.label) - 1] != '\0' || entry.watches_net > 1 || entry.landlock > 1 || entry.groups > 1 ||
      order.fd_count != uint64_t{SlotEntry::kFixed} + entry.namespaces + entry.tasks + entry.folders + counters +
                            entry.watches_net + entry.landlock + entry.groups) {
    return Fail(failure, "slot", EINVAL, "read the order to enter it");
  }
  const int* next = order.fds;
  const int filter = *next++;
  init_ = *next++;
  processes_ = *next++;
  const int* const namespaces = next;
  const int* const tasks = namespaces + entry.namespaces;
  next = tasks + entry.tasks;
  for (uint32_t i = 0; i < entry.folders; ++i) folders_[folder_count_++].fd = *next++;
  for (size_t i = 0; i < kSlotCounters; ++i) {
    if ((entry.counters >> i & 1) != 0) counters_[i] = *next++;
  }
  if (entry.watches_net != 0) net_ = *next++;
  const int ruleset = entry.landlock != 0 ? *next++ : -1;
  if (entry.groups != 0) groups_ = *next++;
  watches_ipc_ = entry.watches_ipc != 0;
  wall_ns_ = entry.wall_ns;
  limit_cpu_ns_ = entry.cpu_ns;
  processors_ = entry.processors;
  may_reserve_ = entry.may_reserve != 0;
  may_forget_ = entry.may_forget != 0;
  fresh_ = entry.fresh != 0;

  // While we have the /proc of the server. Ours is for what we execute, which is nothing, and is that of our children: a process has
  // it of who bears it. security/apparmor/task.c, aa_dup_task_ctx(); security/selinux/hooks.c, selinux_cred_prepare()
  if (entry.label_module != 0) {
    const int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0) return Fail(failure, "label", errno, "open /proc");
    const LabelStep label = {.module = static_cast<LabelStep::Module>(entry.label_module), .text = entry.label, .any_mode = entry.label_any_mode != 0};
    const bool labelled = SetLabel(label, proc, failure);
    close(proc);
    if (!labelled) return false;
  }
  // While we have the rights of the server. A thread moves itself: see EnterOwnCgroups.
  for (uint32_t i = 0; i < entry.tasks; ++i) {
    const long written = RawSyscall(SYS_write, tasks[i], "0", 1);
    if (written != 1) return Fail(failure, "cgroup", static_cast<int>(-written), "enter the slot's cgroup");
    RawSyscall(SYS_close, tasks[i]);
  }
  if (entry.read_back != 0 && !IsInGroups(entry.tasks + (entry.groups != 0 ? 1 : 0))) return Differs("to be in the groups of the slot", failure);
  // The user namespace gives the rights that the others ask for; the mount namespace takes the root away. setns(2)
  for (uint32_t i = 0; i < entry.namespaces; ++i) {
    const long entered = RawSyscall(SYS_setns, namespaces[i], 0);
    if (entered != 0) return Fail(failure, "namespaces", static_cast<int>(-entered), "enter a namespace of the slot");
    if (entry.read_back != 0 && !IsInNamespace(namespaces[i])) return Differs("the namespaces of the slot", failure);
    RawSyscall(SYS_close, namespaces[i]);
  }
  // Of the server's session a child could reach every process by kill(0, ...), which goes by the group and not by what it sees.
  // kill(2)
  if (const long session = RawSyscall(SYS_setsid); session < 0) return Fail(failure, "session", static_cast<int>(-session), "setsid");
  if (!SwitchIds(entry.id, entry.id, entry.drop_groups != 0, failure)) return false;
  if (!LockPrivileges(0, failure) || !DropPrivileges(0, failure)) return false;
  ChildPlan plan;
  plan.speculation_off = entry.speculation_off;
  if (!LimitSpeculation(plan, failure)) return false;
  if (entry.read_back != 0 && !(ReadBackKeeper(entry, failure) && ReadBackSpeculation(entry.speculation_off, failure))) return false;
  // With the shield goes the keeper. A change of ids takes this away. prctl(2)
  RawSyscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // All that we have to do with from here on is open, or a descendant of ours.
  if (ruleset >= 0) {
    if (!EnterRuleset(ruleset, failure)) return false;
    RawSyscall(SYS_close, ruleset);
  }
  for (uint32_t i = 0; i < folder_count_; ++i) {
    if (!Look(&folders_[i])) return Fail(failure, "slot", errno, "look at a folder of the slot");
  }
  if (RawSyscall(SYS_getrandom, &secret_, sizeof(secret_), 0) != static_cast<long>(sizeof(secret_))) {
    return Fail(failure, "seccomp", EIO, "getrandom");
  }
  if (!Load(filter, entry, secret_, &listener_, failure)) return false;
  RawSyscall(SYS_close, filter);
  entered_ = true;
  TakeUsage();  // What was used until now is nobody's.
  NetIsUnchanged();
  if (watches_ipc_) ipc_.Unchanged();
  return true;
}

bool KeptSlot::Receive(SlotViolation* violation, bool* missed) const {
  alignas(8) char buffer[1024] = {};  // The kernel's record may grow. seccomp_unotify(2)
  const long received_or_error = RawSyscall(SYS_ioctl, listener_, static_cast<uint64_t>(SECCOMP_IOCTL_NOTIF_RECV), buffer);
  if (received_or_error == -ENOENT) *missed = true;
  if (received_or_error != 0) return false;
  const auto& received = *reinterpret_cast<const seccomp_notif*>(buffer);
  violation->number = received.data.nr;
  violation->arch = received.data.arch;
  violation->ip = received.data.instruction_pointer;
  violation->tid = received.pid;
  memcpy(violation->args, received.data.args, sizeof(violation->args));
  return true;
}

bool KeptSlot::EndAll() const {
  char byte = 0;
  if (RawSyscall(SYS_write, init_, &byte, 1) != 1) return false;
  pollfd answer = {init_, POLLIN, 0};
  const timespec patience = {.tv_sec = kTreePatienceMs / 1000, .tv_nsec = 0};
  timespec left = patience;  // The kernel counts it down. ppoll(2), "C library/kernel differences"
  long ready;
  while ((ready = RawSyscall(SYS_ppoll, &answer, 1, &left, nullptr, 0)) == -EINTR) {
  }
  return ready == 1 && RawSyscall(SYS_read, init_, &byte, 1) == 1;
}

bool KeptSlot::InitIsGone() const {
  if (!entered_) return false;
  pollfd polled = {init_, 0, 0};
  timespec none = {};
  return RawSyscall(SYS_ppoll, &polled, 1, &none, nullptr, 0) == 1 && (polled.revents & POLLHUP) != 0;
}

// What had a parent in the slot is a child of the init's, or below one.
bool KeptSlot::HasProcesses() const {
  char text[16];
  return RawSyscall(SYS_pread64, processes_, text, static_cast<long>(sizeof(text)), 0) != 0;
}

uint64_t KeptSlot::Read(SlotCounter counter, const char* key) const {
  const int file = counters_[static_cast<size_t>(counter)];
  if (file < 0) return 0;
  char text[1024];
  const long length = RawSyscall(SYS_pread64, file, text, static_cast<long>(sizeof(text) - 1), 0);
  if (length <= 0) return 0;
  text[length] = '\0';
  return key != nullptr ? NumberAfter(text, key, 0) : ParseNumber(text);
}

bool KeptSlot::HasOomKill() const { return Read(SlotCounter::kMemoryEvents, "oom_kill") > oom_kills_; }

uint64_t KeptSlot::CpuNs() const {
  if (groups_ >= 0) return Read(SlotCounter::kCpu, "usage_usec") * 1000;
  const uint64_t all = Read(SlotCounter::kCpu, nullptr);
  return all > cpu_ns_ ? all - cpu_ns_ : 0;
}

bool KeptSlot::TakeGroup() {
  if (groups_ < 0 || group_ >= 0) return true;
  SlotGroup group;
  iovec part = {&group, sizeof(group)};
  alignas(cmsghdr) char control[CMSG_SPACE(SlotGroup::kMaxFds * sizeof(int))];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  long bytes;
  while ((bytes = RawSyscall(SYS_recvmsg, groups_, &header, MSG_CMSG_CLOEXEC, 0, 0, secret_)) == -EINTR) {
  }
  const cmsghdr* const rights = bytes == static_cast<long>(sizeof(group)) ? CMSG_FIRSTHDR(&header) : nullptr;
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS || (header.msg_flags & MSG_CTRUNC) != 0) return false;
  int fds[SlotGroup::kMaxFds];
  memcpy(fds, CMSG_DATA(rights), rights->cmsg_len - CMSG_LEN(0));
  const int* next = fds;
  group_ = *next++;
  for (size_t i = 0; i < kSlotCounters; ++i) counters_[i] = (group.counters >> i & 1) != 0 ? *next++ : -1;
  oom_kills_ = process_refusals_ = cpu_ns_ = 0;
  return true;
}

void KeptSlot::ReturnGroup() {
  if (group_ < 0) return;
  for (int& counter : counters_) {
    if (counter >= 0) RawSyscall(SYS_close, counter);
    counter = -1;
  }
  RawSyscall(SYS_close, group_);
  group_ = -1;
  const char byte = 0;
  RawSyscall(SYS_write, groups_, &byte, 1);  // A supervisor that is gone misses nothing.
}

SlotUsage KeptSlot::TakeUsage() {
  SlotUsage usage;
  // Those that only grow are told as what they grew by.
  const auto since = [](uint64_t now, uint64_t* before) {
    const uint64_t grown = now > *before ? now - *before : 0;
    *before += grown;
    return grown;
  };
  usage.memory_peak_bytes = Read(SlotCounter::kMemoryPeak, nullptr);
  usage.oom_kills = since(Read(SlotCounter::kMemoryEvents, "oom_kill"), &oom_kills_);
  usage.process_refusals = since(Read(SlotCounter::kProcessEvents, "max"), &process_refusals_);
  if (groups_ >= 0) {
    // Kills are counted where the victim was, whoever ran out of memory. sandbox/cgroup_child.cc, ReadCgroupUsage()
    if (Read(SlotCounter::kMemoryEvents, "oom") == 0) usage.oom_kills = 0;
    usage.cpu_ns = CpuNs();
    return usage;
  }
  usage.cpu_ns = since(Read(SlotCounter::kCpu, nullptr), &cpu_ns_);
  // Any number begins it anew, at what is used now. Documentation/admin-guide/cgroup-v1/memory.rst, 5.
  const int peak = counters_[static_cast<size_t>(SlotCounter::kMemoryPeak)];
  const char zero = '0';  // Not among the constants, in a page that is not warm.
  if (peak >= 0) RawSyscall(SYS_pwrite64, peak, &zero, 1, 0);
  return usage;
}

}  // namespace brood::child
