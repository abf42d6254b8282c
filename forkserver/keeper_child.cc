#include "forkserver/keeper_child.h"

#include <fcntl.h>
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
#include "base/raw_syscall_child.h"
#include "base/wake_soon_child.h"
#include "forkserver/keeper_state_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

constexpr size_t kBelowServer = 64 * 1024;  // Of the main stack, for the server's own calls.
constexpr size_t kShieldStack = 4096;  // The upper end of a keeper's.

const KeeperHouse* g_house = nullptr;

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

KeeperNote Serve(Keeper& keeper, int signals, bool lost) {
  const OrderTag tag = OrderTag::Decode(brood::internal::TagOf(keeper.order.request));
  KeeperNote note;
  bool open = false;
  const uint64_t begin = MonotonicNanoseconds();
  if (!Bear(keeper, lost, &note, &open)) {
    if (!keeper.slot.InitIsGone()) return note;
    // It was killed before anybody could see that: a pid namespace without an init has no more children. pid_namespaces(7)
    note.kind = KeeperNote::Kind::kEnded;
    note.cause = KeeperNote::Cause::kInitGone;
    note.status = SIGKILL;
    note.retires = 1;
    return note;
  }
  Await(keeper, signals, note.pid, begin, (tag.flags & OrderTag::kGuard) != 0, open, &note);
  note.kind = KeeperNote::Kind::kEnded;
  note.tree_left = EndRest(keeper) ? 0 : 1;
  if (!keeper.slot.entered()) return note;
  note.slot_usage = keeper.slot.TakeUsage();
  // RLIMIT_CPU of one process may be faster than we are. It ends by SIGKILL, as by anybody else's.
  const uint64_t most = keeper.slot.limit_cpu_ns();
  if (note.cause == KeeperNote::Cause::kNone && most != 0 && note.slot_usage.cpu_ns >= most && WIFSIGNALED(note.status) &&
      WTERMSIG(note.status) == SIGKILL) {
    note.cause = KeeperNote::Cause::kCpuTime;
  }
  note.retires = note.tree_left != 0 || keeper.slot.fresh() || keeper.slot.InitIsGone() || !keeper.slot.IsClean() ? 1 : 0;
  return note;
}

// All that the child has started has ended.
void EndOutput(Keeper& keeper, KeeperNote* note) {
  keeper.output.End();
  if (keeper.output.over_limit() && note->cause == KeeperNote::Cause::kNone) note->cause = KeeperNote::Cause::kOutput;
  for (int i = 0; i < 2; ++i) {
    note->stream_bytes[i] = keeper.output.bytes(i);
    note->stream_truncated[i] = keeper.output.truncated(i) ? 1 : 0;
    note->stream_errors[i] = keeper.output.error(i);
  }
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
  // Nothing of what was run for this is run for its children.
  if (keeper.slot.may_forget()) ForgetCold(*keeper.house->cold);
  note.kind = KeeperNote::Kind::kEntered;
  Send(keeper, note, -1);
  return true;
}

// Until the supervisor has gone, or the keeper is of no more use.
void Keep(Keeper& keeper) {
  RawSyscall(SYS_prctl, PR_SET_NAME, "brood-keeper", 0, 0, 0);
  RawSyscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  WakeSoon(BornLater::kAsWeWere);
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
    if (!AwaitNext(keeper) || Receive(keeper.socket, keeper.slot.secret(), &order, &lost) <= 0) break;
    const OrderTag tag = OrderTag::Decode(brood::internal::TagOf(order));
    const OrderTag::Kind kind = tag.kind;
    if (kind == OrderTag::Kind::kEnter && !keeper.slot.entered()) {
      if (!EnterSlot(keeper, lost)) break;
      continue;
    }
    if (kind == OrderTag::Kind::kLeased) keeper.is_leased = true;
    if (kind != OrderTag::Kind::kFork) {
      CloseFds(keeper);  // It was for a child that has ended before.
      continue;
    }
    if (const size_t first = brood::internal::CarriersOf(order); (tag.flags & OrderTag::kReport) != 0 && first < order.fd_count) {
      keeper.report = order.fds[first];
      keeper.output.Begin(order);
    }
    KeeperNote note = Serve(keeper, signals, lost);
    if (keeper.report >= 0) EndOutput(keeper, &note);
    explicit_bzero(order.data, order.size);  // An environment, a key: of no use to anybody who comes to read this memory.
    Report(keeper, note);
    if (keeper.reserve == 0) keeper.slot.ReturnGroup();  // Else the order was refused, and the child in reserve is in it.
    if (note.retires != 0) {
      // Our end is work for the supervisor, and so is that of the slot, when who waited has only just heard of the child's. What
      // is made ahead is taken down later.
      const timespec later = {.tv_sec = 0, .tv_nsec = 1'000'000};
      if (keeper.slot.fresh() && note.tree_left == 0) RawSyscall(SYS_ppoll, nullptr, 0, &later, nullptr, 0);
      break;
    }
    // Who launches one after the other does much between two of them, in which this is done. A call is sent at once when the last
    // has ended, and would wait for it; and a keeper that is used once needs none.
    if (note.kind == KeeperNote::Kind::kEnded && (tag.flags & ~OrderTag::kReport) == OrderTag::kTell && keeper.has_borne) Reserve(keeper);
    keeper.has_borne = true;
  }
  EndReserve(keeper);
}

int RunKeeper(void* arg) {
  Keep(*static_cast<Keeper*>(arg));
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

// Of a child, for what it reads of its order, beside what else each child writes to (base/among_data.h): its stack is for what its
// target calls, and each page of that is one that the kernel has to copy, too.
struct {
  uint64_t not_zero = 1;
  alignas(64) char bytes[896] = {};
} g_near;

// Where `size` bytes begin that follow the first `taken`; null if there are not so many.
char* Near(size_t taken, size_t size) {
  taken = (taken + 63) / 64 * 64;
  return taken + size <= sizeof(g_near.bytes) ? g_near.bytes + taken : nullptr;
}

// Not inlined: its frame is for children of slots.
[[gnu::noinline]] void RunInSlot(int file, size_t taken, size_t size, ChildOrder& order) {
  // Without the end of its environment.
  void* room = Near(taken, size);
  if (room == nullptr) room = __builtin_alloca_with_align(size, 64 * 8);
  auto* const birth = static_cast<SlotBirth*>(room);
  if (!ReadOrder(file, birth, size, kSlotOffset)) return;
  RawSyscall(SYS_close, file);
  order.slot = birth;
  g_house->run(order);
}

void RunKept(int file, const char* kept, size_t size, const ReserveFds& reserve) {
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
  if (read.slot_bytes != 0) return RunInSlot(file, size, read.slot_bytes, order);
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
  char* kept = Near(0, size);
  if (kept == nullptr) kept = static_cast<char*>(__builtin_alloca_with_align(size, 64 * 8));
  if (size > 0 && ReadOrder(file, kept, size, 0)) RunKept(file, kept, size, reserve);
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
  constexpr size_t kStacks = kMaxKeepers * kKeeperStack + sizeof(ColdMemory);
  void* const stacks = mmap(nullptr, kStacks, PROT_READ | PROT_WRITE, MAP_PRIVATE | kReserve, -1, 0);
  if (stacks == MAP_FAILED || madvise(stacks, kStacks, MADV_DONTFORK) != 0) return "map the keepers' stacks";
  house->stacks = static_cast<char*>(stacks);
  house->cold = reinterpret_cast<ColdMemory*>(house->stacks + kMaxKeepers * kKeeperStack);
  house->threads = open("/proc/self/task", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return house->threads >= 0 ? nullptr : "open /proc/self/task";
}

void RehearseKeeper(const KeeperHouse& opened, int socket) {
  KeeperHouse house = opened;
  constexpr size_t kStack = 65536;
  alignas(4096) char child_stack[kStack];
  house.child_stack = child_stack + kStack;
  SetKeeperHouse(&house);
  Keeper keeper = {.house = &house, .socket = socket, .supervisor = -1};
  ForgetCold(ColdMemory());
  keeper.slot.Rehearse();
  keeper.slot = KeptSlot();
  Keep(keeper);
  // What the server itself runs from now on: not this function, nor its caller.
  (void)*reinterpret_cast<const volatile char*>(&RunKeeperHouse);
  (void)*reinterpret_cast<const volatile char*>(&clone);
}

void RunKeeperHouse(const KeeperHouse& opened, int supervisor) {
  KeeperHouse house = opened;
  // The kernel lets the main stack grow down to where it is touched. One page is, for what clone(3) writes there.
  house.child_stack = reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) & ~uintptr_t{4095}) - kBelowServer;
  *static_cast<volatile char*>(house.child_stack - 16) = 0;
  SetKeeperHouse(&house);
  ForgetCold(*house.cold);  // What has warmed the rest was itself what no child runs.
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
