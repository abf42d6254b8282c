#include "forkserver/keeper_child.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "base/child_safe.h"
#include "forkserver/raw_syscall_child.h"
#include "forkserver/reserve_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

constexpr size_t kBelowServer = 64 * 1024;  // Of the main stack, for the server's own calls.
constexpr uint64_t kLookForOomNs = 100'000'000;
constexpr int kTreePatienceMs = 10'000;
constexpr uint64_t kCloneStack = 4096;  // Of a child's: the kernel wants a size to add to where it begins. clone3(2)
constexpr size_t kShieldStack = 4096;  // The upper end of a keeper's.

// What a keeper is given; at the low end of its stack.
struct Keeper {
  const KeeperHouse* house = nullptr;
  uint32_t number = 0;
  int socket = -1;
  int supervisor = -1;  // The server's, to be closed.
  int order_file = -1;
  KeptOrder order;
  KeptSlot slot;
  ReserveFds reserve_fds;
  int reserve = 0;  // The child in reserve; 0: there is none.
  int reserve_pidfd = -1;
  bool has_borne = false;
};
static_assert(sizeof(Keeper) < kKeeperStack / 2);

const KeeperHouse* g_house = nullptr;

long Retry(long result) { return result == -EINTR ? 1 : 0; }

// As ReceiveWithFds, but raw. 0 at the end.
long Receive(int socket, uint64_t secret, brood::internal::RawRequest* order, bool* lost) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(order->fds))];
  iovec part = {order->data, sizeof(order->data)};
  msghdr header = {};
  long bytes;
  do {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    bytes = RawSyscall(SYS_recvmsg, socket, &header, MSG_CMSG_CLOEXEC, 0, 0, secret);
  } while (Retry(bytes) != 0);
  order->fd_count = 0;
  order->size = bytes > 0 ? static_cast<size_t>(bytes) : 0;
  if (bytes <= 0) return bytes;
  *lost = (header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0;
  for (cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr; rights = CMSG_NXTHDR(&header, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    order->fd_count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(order->fds, CMSG_DATA(rights), order->fd_count * sizeof(int));
  }
  return bytes;
}

void Send(const Keeper& keeper, const KeeperNote& note, int fd) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part = {const_cast<KeeperNote*>(&note), sizeof(note)};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof(int));
  }
  // Waits if the supervisor is behind: there is one order at a time, so it is not for long.
  while (Retry(RawSyscall(SYS_sendmsg, keeper.socket, &header, MSG_NOSIGNAL, 0, 0, keeper.slot.secret())) != 0) {
  }
}

// A directory has a link for each thread, besides its own two: fs/proc/base.c, proc_task_getattr().
bool HasOneThread(int threads) {
  struct stat about = {};
  // If the server is gone, so are its threads.
  return RawSyscall(SYS_fstat, threads, &about) != 0 || about.st_nlink <= 3;
}

// The kernel forgets what a thread has registered in a process that shares its memory, so a fork of that has not inherited
// it: the list of robust mutexes, and the area of restartable sequences, by which the C library would believe for ever that
// it runs on the processor where it was registered. get_robust_list(2), rseq(2)
void AdoptThread(const KeeperHouse& house) {
  if (house.robust_list != nullptr) RawSyscall(SYS_set_robust_list, house.robust_list, house.robust_list_size);
  if (__rseq_size == 0) return;
  char* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  if (RawSyscall(SYS_rseq, area, 32, 0, RSEQ_SIG) == 0) return;
  reinterpret_cast<struct rseq*>(area)->cpu_id = static_cast<uint32_t>(RSEQ_CPU_ID_REGISTRATION_FAILED);
}

// Changes nothing of the order, which the child reads while we go on.
void CloseFds(const brood::internal::RawRequest& order) {
  for (size_t i = 0; i < order.fd_count; ++i) RawSyscall(SYS_close, order.fds[i]);
}

// Kills what has become ours, until there is nothing left. proc(5), /proc/pid/task/tid/children
bool EndOrphans() {
  const long self = RawSyscall(SYS_getpid);
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(self)).Add("/task/").AddNumber(static_cast<uint64_t>(self)).Add("/children");
  for (int waited = 0; waited < kTreePatienceMs; ++waited) {
    char text[4096];
    const long file = RawSyscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC);
    const long length = file >= 0 ? RawSyscall(SYS_read, file, text, sizeof(text) - 1) : 0;
    if (file >= 0) RawSyscall(SYS_close, file);
    text[length > 0 ? length : 0] = '\0';
    for (const char* at = text; *at != '\0';) {
      // Nobody but we reaps it, and only below: the number is its. The last one may be cut, and is met again.
      const char* const next = strchr(at, ' ');
      if (next == nullptr) break;
      RawSyscall(SYS_kill, ParseNumber(at), SIGKILL);
      at = next + 1;
    }
    for (;;) {
      const long pid = RawSyscall(SYS_wait4, -1, nullptr, WNOHANG | __WALL, nullptr);
      if (pid == -ECHILD) return true;
      if (pid <= 0 && pid != -EINTR) break;
    }
    const timespec pause = {.tv_sec = 0, .tv_nsec = 1'000'000};
    RawSyscall(SYS_nanosleep, &pause, nullptr);
  }
  return false;
}

// Of a wait that began at `begin`, but not longer than `most`; null: for ever.
const timespec* Left(uint64_t begin, uint64_t limit, uint64_t most, timespec* out) {
  if (limit == 0 && most == UINT64_MAX) return nullptr;
  const uint64_t passed = MonotonicNanoseconds() - begin;
  uint64_t left = limit == 0 ? most : passed < limit ? limit - passed : 0;
  left = left < most ? left : most;
  out->tv_sec = static_cast<time_t>(left / 1'000'000'000u);
  out->tv_nsec = static_cast<long>(left % 1'000'000'000u);
  return out;
}

// Ends the child, and in a slot all that it has there, at once: the rest may be what keeps it.
void Kill(const Keeper& keeper, long child) {
  RawSyscall(SYS_kill, child, SIGKILL);  // The number is its until we reap it.
  if (keeper.slot.entered()) keeper.slot.EndAll();
}

// Waits until the child has ended. Without the supervisor nobody is left to want it; but a guardian sees its own owner's end.
//
// `open`: the descriptors of the order are to be closed once the child has its own.
void Await(const Keeper& keeper, int signals, long child, bool is_guardian, bool open, KeeperNote* note) {
  const uint64_t begin = keeper.slot.entered() ? MonotonicNanoseconds() : 0;
  bool missed = false;
  const auto end = [&](KeeperNote::Cause cause) {
    if (note->cause == KeeperNote::Cause::kNone) note->cause = cause;
    Kill(keeper, child);
  };
  for (;;) {
    pollfd polls[] = {{signals, POLLIN, 0},
                      {keeper.socket, POLLIN, 0},
                      {keeper.slot.listener(), POLLIN, 0},
                      {open ? keeper.reserve_fds.taken : -1, POLLIN, 0}};
    timespec left;
    const bool ending = note->cause != KeeperNote::Cause::kNone;
    const uint64_t wall_ns = ending ? 0 : keeper.slot.wall_ns();
    // Of a tree that lost a process to its limit of memory the rest ends too, as without a slot.
    const bool looks = !ending && keeper.slot.entered() && keeper.slot.limits_memory();
    const long ready = RawSyscall(SYS_ppoll, polls, 4, Left(begin, wall_ns, looks ? kLookForOomNs : UINT64_MAX, &left), nullptr, 0);
    if (ready < 0) continue;
    if (polls[3].revents != 0 && WasTaken(keeper.reserve_fds)) {
      CloseFds(keeper.order.request);
      open = false;
    }
    // First: it is told by nothing else, and its process is dead once this is over.
    if (polls[2].revents != 0 && keeper.slot.Receive(&note->violation, &missed)) end(KeeperNote::Cause::kViolation);
    if (polls[0].revents != 0) {
      signalfd_siginfo ignored[2];
      RawSyscall(SYS_read, signals, ignored, sizeof(ignored));
      // Orphans too, each of which counts as a process until it is reaped.
      rusage usage;
      int status = 0;
      for (long pid; (pid = RawSyscall(SYS_wait4, -1, &status, WNOHANG | __WALL, &usage)) > 0;) {
        if (pid != child) continue;
        note->status = status;
        note->usage = usage;
        if (begin != 0) note->wall_ns = MonotonicNanoseconds() - begin;
        // A call that was forbidden had no effect, and its process ended before we could ask which it was: still a violation.
        if (missed && note->cause == KeeperNote::Cause::kNone) note->cause = KeeperNote::Cause::kViolation;
        if (open) CloseFds(keeper.order.request);
        WasTaken(keeper.reserve_fds);  // What it said last is not the next one's.
        return;
      }
    }
    if (ready == 0 && looks && keeper.slot.HasOomKill()) end(KeeperNote::Cause::kMemory);
    if (ready == 0 && wall_ns != 0 && MonotonicNanoseconds() - begin >= wall_ns) end(KeeperNote::Cause::kWallTime);
    if (polls[1].revents == 0) continue;
    // An order would be an error of the supervisor's; whatever this is, it ends the child.
    char command[256];
    const long n = RawSyscall(SYS_read, keeper.socket, command, sizeof(command));
    if (n == -EAGAIN || n == -EINTR) continue;
    if (is_guardian) RawSyscall(SYS_exit_group, 0);
    Kill(keeper, child);
    if (n > 0) continue;
    if (!keeper.slot.entered()) EndOrphans();
    RawSyscall(SYS_exit_group, 0);
  }
}

// Ends what the child has left. Nothing has become ours in nearly all cases.
bool EndRest(const Keeper& keeper) {
  if (!keeper.slot.entered()) return RawSyscall(SYS_wait4, -1, nullptr, WNOHANG | __WALL, nullptr) == -ECHILD || EndOrphans();
  // What was a child of the child may become the init's after that has looked.
  for (int i = 0; keeper.slot.HasProcesses(); ++i) {
    if (i == 100 || !keeper.slot.EndAll()) return false;
  }
  return true;
}

// Forks a child; more flags: CLONE_PIDFD, CLONE_FILES. Its pid; or -1 with `error`.
int Clone(Keeper& keeper, int more, void* order, int* pidfd, int32_t* error) {
  const KeeperHouse& house = *keeper.house;
  char* const stack = house.child_stack - keeper.number * 16;
  const int flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | more;
  if (!keeper.slot.TakeGroup()) {
    *error = KeeperNote::kHasNoGroup;
    return -1;
  }
  if (keeper.slot.group() < 0) {
    // The C library's own writes two words above the child's stack, at a place of this keeper's. Its error is in errno, which
    // another keeper may write to at the same time; who reads it reads another reason at worst.
    const int pid = clone(brood_begin_child, stack, flags | SIGCHLD, order, pidfd, nullptr, house.thread_id);
    *error = pid < 0 ? errno : 0;
    return pid;
  }
  clone_args arguments = {};
  arguments.flags = static_cast<uint64_t>(flags) | CLONE_INTO_CGROUP;
  if ((more & CLONE_PIDFD) != 0) arguments.pidfd = reinterpret_cast<uintptr_t>(pidfd);
  arguments.child_tid = reinterpret_cast<uintptr_t>(house.thread_id);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uintptr_t>(stack) - kCloneStack;
  arguments.stack_size = kCloneStack;
  arguments.cgroup = static_cast<uint64_t>(keeper.slot.group());
  const long pid = brood_clone_into(&arguments, sizeof(arguments), order, keeper.slot.secret());
  *error = pid < 0 ? static_cast<int32_t>(-pid) : 0;
  return pid < 0 ? -1 : static_cast<int>(pid);
}

// Whatever prevents it now is told when there is an order.
void Reserve(Keeper& keeper) {
  if (!keeper.reserve_fds.valid() || !keeper.slot.may_reserve()) return;
  // A lock that another thread holds now would be held for ever in the child. fork(2), "NOTES"
  if (!HasOneThread(keeper.house->threads)) return;
  keeper.reserve_fds.keeper = keeper.order.keeper;
  void* const order = ReserveOrder(keeper.order_file, keeper.reserve_fds);
  if (order == nullptr) return;
  int32_t untold;
  const int pid = Clone(keeper, CLONE_FILES | CLONE_PIDFD, order, &keeper.reserve_pidfd, &untold);
  keeper.reserve = pid > 0 ? pid : 0;
}

void ClosePidfd(Keeper& keeper) {
  if (keeper.reserve_pidfd >= 0) RawSyscall(SYS_close, keeper.reserve_pidfd);
  keeper.reserve_pidfd = -1;
}

// Gives the child in reserve an order. 0: there is none, or it was killed.
int TakeReserve(Keeper& keeper, void* written) {
  const int pid = keeper.reserve;
  keeper.reserve = 0;
  if (pid == 0) return 0;
  if (RawSyscall(SYS_wait4, pid, nullptr, WNOHANG | __WALL, nullptr) == 0 && WakeReserve(keeper.reserve_fds, SizeOf(written))) return pid;
  ClosePidfd(keeper);
  if (keeper.slot.entered()) keeper.slot.TakeUsage();  // That it was killed is not told of the next.
  keeper.slot.ReturnGroup();
  return 0;
}

void EndReserve(Keeper& keeper) {
  if (keeper.reserve == 0) return;
  RawSyscall(SYS_kill, keeper.reserve, SIGKILL);
  while (RawSyscall(SYS_wait4, keeper.reserve, nullptr, __WALL, nullptr) == -EINTR) {
  }
  keeper.reserve = 0;
  ClosePidfd(keeper);
}

KeeperNote Fork(Keeper& keeper, int signals, bool lost) {
  const brood::internal::RawRequest& order = keeper.order.request;
  const OrderTag tag = OrderTag::Decode(brood::internal::TagOf(order));
  KeeperNote note;
  note.kind = KeeperNote::Kind::kRefused;
  note.error = KeeperNote::kHasThreads;
  // A lock that another thread holds now would be held for ever in the child. fork(2), "NOTES"
  const bool alone = keeper.reserve != 0 || HasOneThread(keeper.house->threads);
  if (alone) note.error = EMFILE;
  if (!alone || lost) {
    CloseFds(order);
    return note;
  }
  void* const written = WriteOrder(keeper.order_file, keeper.order);
  if (written == nullptr) {
    note.error = errno;
    CloseFds(order);
    return note;
  }
  const bool tells = (tag.flags & OrderTag::kTell) != 0;
  int pid = TakeReserve(keeper, written);
  const bool reserved = pid != 0;
  note.error = 0;
  if (!reserved) {
    pid = Clone(keeper, tells ? CLONE_PIDFD : 0, written, &keeper.reserve_pidfd, &note.error);
    if (!tells || pid < 0) keeper.reserve_pidfd = -1;
    CloseFds(order);  // The child has its own: whoever waits for their end waits for that only.
    if (pid < 0) {
      note.retires = note.error == KeeperNote::kHasNoGroup ? 1 : 0;
      return note;
    }
  }
  note.pid = pid;
  if (tells) {
    note.kind = KeeperNote::Kind::kBorn;
    Send(keeper, note, keeper.reserve_pidfd);
  }
  ClosePidfd(keeper);
  Await(keeper, signals, pid, (tag.flags & OrderTag::kGuard) != 0, reserved && order.fd_count > 0, &note);
  note.kind = KeeperNote::Kind::kEnded;
  note.tree_left = EndRest(keeper) ? 0 : 1;
  if (!keeper.slot.entered()) return note;
  note.slot_usage = keeper.slot.TakeUsage();
  note.retires = note.tree_left != 0 || !keeper.slot.IsClean() ? 1 : 0;
  return note;
}

bool EnterSlot(Keeper& keeper, bool lost) {
  KeeperNote note;
  note.kind = KeeperNote::Kind::kRefused;
  const brood::internal::RawRequest& order = keeper.order.request;
  if (lost || !keeper.slot.Enter(order, &note.setup)) {
    // The secret may be what lets us say it, and is unknown without the filter.
    Send(keeper, note, -1);
    return false;
  }
  const SlotBirth& birth = reinterpret_cast<const SlotEntry*>(order.data + brood::internal::kRawHeaderBytes)->birth;
  const long written = RawSyscall(SYS_pwrite64, keeper.order_file, &birth, static_cast<long>(birth.used_bytes()), kSlotOffset);
  if (written != static_cast<long>(birth.used_bytes())) {
    Fail(&note.setup, "slot", static_cast<int>(written < 0 ? -written : EIO), "write down what its children need");
    Send(keeper, note, -1);
    return false;
  }
  keeper.order.keeper = 0;  // We are outside of its pid namespace. pid_namespaces(7)
  keeper.order.slot_bytes = static_cast<uint32_t>(birth.used_bytes());
  note.kind = KeeperNote::Kind::kEntered;
  Send(keeper, note, -1);
  return true;
}

int RunKeeper(void* arg) {
  Keeper& keeper = *static_cast<Keeper*>(arg);
  RawSyscall(SYS_prctl, PR_SET_NAME, "brood-keeper", 0, 0, 0);
  RawSyscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  RawSyscall(SYS_close, keeper.supervisor);
  const uint64_t mask = uint64_t{1} << (SIGCHLD - 1);
  const int signals = static_cast<int>(RawSyscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK));
  keeper.order_file = MakeOrderFile();
  keeper.reserve_fds = OpenReserve();
  // Without these the supervisor hears nothing, and sees our end.
  if (signals < 0 || keeper.order_file < 0) RawSyscall(SYS_exit_group, 1);
  KeeperNote hello;
  hello.pid = static_cast<int32_t>(RawSyscall(SYS_getpid));
  hello.shield = static_cast<int32_t>(RawSyscall(SYS_getppid));
  Send(keeper, hello, -1);
  keeper.order.keeper = hello.pid;
  brood::internal::RawRequest& order = keeper.order.request;
  for (;;) {
    bool lost = false;
    if (Receive(keeper.socket, keeper.slot.secret(), &order, &lost) <= 0) break;
    const OrderTag tag = OrderTag::Decode(brood::internal::TagOf(order));
    const OrderTag::Kind kind = tag.kind;
    if (kind == OrderTag::Kind::kEnter && !keeper.slot.entered()) {
      if (!EnterSlot(keeper, lost)) break;
      continue;
    }
    if (kind != OrderTag::Kind::kFork) {
      CloseFds(order);  // It was to kill a child that has ended before.
      continue;
    }
    const KeeperNote note = Fork(keeper, signals, lost);
    explicit_bzero(order.data, order.size);  // An environment, a key: of no use to anybody who comes to read this memory.
    Send(keeper, note, -1);
    keeper.slot.ReturnGroup();
    if (note.retires != 0) break;
    // Who launches one after the other does much between two of them, in which this is done. A call is sent at once when the last
    // has ended, and would wait for it; and a keeper that is used once needs none.
    if (note.kind == KeeperNote::Kind::kEnded && tag.flags == OrderTag::kTell && keeper.has_borne) Reserve(keeper);
    keeper.has_borne = true;
  }
  EndReserve(keeper);
  RawSyscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

// Sleeps as long as the keeper lives, which makes it one that the OOM killer spares: slot_child.h. It shares its descriptors,
// so that it keeps none open that the keeper has closed.
int RunShield(void* arg) {
  RawSyscall(SYS_prctl, PR_SET_NAME, "brood-shield", 0, 0, 0);
  clone(RunKeeper, static_cast<char*>(arg) + kKeeperStack - kShieldStack, CLONE_VM | CLONE_VFORK | CLONE_FILES, arg);
  RawSyscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

}  // namespace

namespace {

// Not inlined: its frame is for children of slots.
[[gnu::noinline]] void RunInSlot(int file, size_t size, ChildOrder& order) {
  // Without the end of its environment.
  auto* const birth = static_cast<SlotBirth*>(__builtin_alloca_with_align(size, 64 * 8));
  if (!ReadOrder(file, birth, size, kSlotOffset)) return;
  RawSyscall(SYS_close, file);
  order.slot = birth;
  g_house->run(order);
}

void RunKept(int file, const char* kept, const ReserveFds& reserve) {
  // All of it but the end of the data, and the descriptors.
  const auto& read = *reinterpret_cast<const KeptOrder*>(kept);
  ChildOrder order;
  order.keeper = read.keeper;
  order.record = {read.request.data, read.request.size};
  order.fd_count = read.request.fd_count;
  auto* const fds = static_cast<int*>(__builtin_alloca(order.fd_count * sizeof(int)));
  if (order.fd_count > 0 && !ReadOrder(file, fds, order.fd_count * sizeof(int), kOrderFds)) return;
  order.fds = fds;
  if (reserve.valid() && !TakeTable(reserve, file, fds, order.fd_count)) return;
  if (read.slot_bytes != 0) return RunInSlot(file, read.slot_bytes, order);
  RawSyscall(SYS_close, file);
  g_house->run(order);
}

}  // namespace

int BeginChild(void* arg) {
  const int file = FileOf(arg);
  size_t size = SizeOf(arg);
  AdoptThread(*g_house);
  ReserveFds reserve;
  if (size == 0) size = AwaitOrder(file, &reserve);
  // A keeper that has entered a slot makes all undumpable that share its memory. fork(2) passes that on.
  if (g_house->dumpable == 1) RawSyscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
  // No larger than it is: each page of the stack is one that the kernel has to copy.
  char* const kept = static_cast<char*>(__builtin_alloca_with_align(size, 64 * 8));
  if (size > 0 && ReadOrder(file, kept, size, 0)) RunKept(file, kept, reserve);
  RawSyscall(SYS_exit_group, 125);
  __builtin_unreachable();
}

extern "C" int brood_child_begins(void* order) { return BeginChild(order); }

void SetKeeperHouse(const KeeperHouse* house) { g_house = house; }

const char* OpenKeeperHouse(KeeperHouse* house) {
  if (prctl(PR_GET_TID_ADDRESS, &house->thread_id, 0, 0, 0) != 0) return "find the C library's record of the thread (CONFIG_CHECKPOINT_RESTORE)";
  if (syscall(SYS_get_robust_list, 0, &house->robust_list, &house->robust_list_size) != 0) house->robust_list = nullptr;
  house->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  constexpr int kReserve = MAP_ANONYMOUS | MAP_NORESERVE;
  constexpr size_t kStacks = kMaxKeepers * kKeeperStack;
  void* const stacks = mmap(nullptr, kStacks, PROT_READ | PROT_WRITE, MAP_PRIVATE | kReserve, -1, 0);
  if (stacks == MAP_FAILED || madvise(stacks, kStacks, MADV_DONTFORK) != 0) return "map the keepers' stacks";
  house->stacks = static_cast<char*>(stacks);
  house->threads = open("/proc/self/task", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return house->threads >= 0 ? nullptr : "open /proc/self/task";
}

void RunKeeperHouse(const KeeperHouse& opened, int supervisor) {
  KeeperHouse house = opened;
  // The kernel lets the main stack grow down to where it is touched. One page is, for what clone(3) writes there.
  house.child_stack = reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) & ~uintptr_t{4095}) - kBelowServer;
  *static_cast<volatile char*>(house.child_stack - 16) = 0;
  SetKeeperHouse(&house);
  brood::internal::RawRequest order;
  for (;;) {
    bool lost = false;
    if (Receive(supervisor, 0, &order, &lost) <= 0) _exit(0);
    const OrderTag tag = OrderTag::Decode(brood::internal::TagOf(order));
    const uint32_t number = tag.flags & ~OrderTag::kShield;
    if (tag.kind == OrderTag::Kind::kKeeper && number < kMaxKeepers && order.fd_count == 1) {
      char* const stack = house.stacks + number * kKeeperStack;
      Keeper* const keeper = new (stack) Keeper{.house = &house, .number = number, .socket = order.fds[0], .supervisor = supervisor};
      // Its parent is ours, the supervisor; so is its exit signal. clone(2), CLONE_PARENT
      const int32_t error = clone((tag.flags & OrderTag::kShield) != 0 ? RunShield : RunKeeper, stack + kKeeperStack, CLONE_VM | CLONE_PARENT, keeper) < 0 ? errno : 0;
      if (error != 0) send(supervisor, &error, sizeof(error), MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < order.fd_count; ++i) close(order.fds[i]);
  }
}

}  // namespace brood::child
