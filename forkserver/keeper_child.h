// A keeper forks one child at a time for a forkserver, waits for it, and ends what it leaves running.
//
// It is a process that shares the server's memory (CLONE_VM), so that it copies nothing and forks what the server is, and
// the subreaper of its child, so that what that leaves behind is told from what others do. It lives on for the next order.
// If the server is killed, its keepers go on: the kernel keeps the memory for them. One that is killed takes its child
// with it, and no other. clone(2), prctl(2)
//
// All keepers and the server have one thread pointer: what they run makes raw system calls only, takes no lock and writes
// to no static memory, errno included. A child starts on the server's main stack, below what the server uses of it, with
// the server's thread pointer: to the C library it is a fork of the server's only thread. A keeper's own stack is in no
// child. madvise(2), MADV_DONTFORK
//
// A keeper may enter a slot, a sandbox in which its children are born then: slot_child.h.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_FORKSERVER_KEEPER_CHILD_H_
#define BROOD_FORKSERVER_KEEPER_CHILD_H_

#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/setup_message.h"
#include "forkserver/cold_memory_child.h"
#include "forkserver/order_file_child.h"
#include "forkserver/request.h"
#include "forkserver/slot_child.h"

namespace brood::child {

inline constexpr uint32_t kMaxKeepers = 16384;

// In the tag of what the supervisor sends to a keeper.
struct OrderTag {
  enum class Kind : uint32_t {
    kFork = 1,
    kKill = 2,
    kKeeper = 3,  // For the server.
    kEnter = 4,   // The slot that the bytes describe (slot_child.h). The first order of a keeper, or never.
    kSignal = 5,  // To its child.
    kLeased = 6,  // Its orders come from a client from now on, who may have no thread to think of it: it does not wait for ever.
  };
  Kind kind = Kind::kFork;
  uint32_t flags = 0;                    // kKeeper: its number, below kMaxKeepers, and perhaps kShield.
  static constexpr uint32_t kShield = uint32_t{1} << 31;  // It is to enter a slot.
  static constexpr uint32_t kTell = 1;   // The supervisor is to be told of the birth, and gets a pidfd.
  static constexpr uint32_t kGuard = 2;  // The child is to be a guardian.
  // Of whoever has leased the keeper: the first descriptor is a pipe for the note of the end, instead of the socket, and there is no
  // pidfd with that of the birth. The keeper may have the child's output to pass on: output_child.h.
  static constexpr uint32_t kReport = 4;
  static constexpr uint32_t kGroup = uint32_t{1} << 31;  // kSignal: besides the signal's number. To its process group.

  uint64_t Encode() const { return (uint64_t{static_cast<uint32_t>(kind)} << 32) | flags; }
  static OrderTag Decode(uint64_t tag) {
    return {.kind = static_cast<Kind>(tag >> 32), .flags = static_cast<uint32_t>(tag)};
  }
};

// From a keeper to the supervisor.
struct KeeperNote {
  enum class Kind : uint32_t {
    kHello = 1,    // It is there; `pid` is its own.
    kBorn = 2,     // With a pidfd of the child.
    kRefused = 3,  // There is no child, because of `error`.
    kEnded = 4,
    kEntered = 5,  // Its slot; else kRefused, with `setup`.
  };
  // Why a keeper itself has ended the child; or kInitGone: the slot's init was killed, and the child with it.
  enum class Cause : uint32_t { kNone, kWallTime, kViolation, kMemory, kCpuTime, kInitGone, kOutput };
  static constexpr int32_t kHasThreads = -1;  // As an error: a preload has started threads since.
  static constexpr int32_t kHasNoGroup = -2;  // The supervisor could make no cgroup for it, and has said so by closing the socket.
  Kind kind = Kind::kHello;
  int32_t pid = 0;
  int32_t shield = 0;      // kHello: the parent of a keeper that is shielded, or the supervisor.
  int32_t error = 0;
  int32_t status = 0;      // As of waitpid(2).
  uint32_t tree_left = 0;  // Something that the child has left could not be ended.
  rusage usage = {};
  uint64_t wall_ns = 0;    // From before it could run.
  // Of slots only.
  Cause cause = Cause::kNone;
  uint32_t retires = 0;  // The keeper has ended: the next child would find what this one has left.
  SlotViolation violation;
  SlotUsage slot_usage;
  SetupMessage setup;
  // Of OrderTag::kReport, where the order names streams.
  uint64_t stream_bytes[2] = {};
  uint32_t stream_truncated[2] = {};
  int32_t stream_errors[2] = {};
};

// What a child is to do. Borrowed from the frame of BeginChild, which is left by no child.
struct ChildOrder {
  int keeper = 0;           // Its pid, as its children see it. 0: outside of their pid namespace.
  std::string_view record;  // Of a request, aligned to 8.
  const int* fds = nullptr;
  size_t fd_count = 0;
  const SlotBirth* slot = nullptr;  // Null outside of one.
};

// Of the server, for all of its keepers. Must live as long as they do.
struct KeeperHouse {
  char* stacks = nullptr;                     // kMaxKeepers of kKeeperStack bytes.
  char* child_stack = nullptr;                // Where a child's begins, going down; 16 bytes for each keeper are used above.
  ColdMemory* cold = nullptr;                 // Above the stacks.
  int threads = -1;                           // /proc/self/task
  int* thread_id = nullptr;                   // PR_GET_TID_ADDRESS
  void* robust_list = nullptr;
  size_t robust_list_size = 0;
  int dumpable = 1;                           // What the server was before it had slots. prctl(2), PR_SET_DUMPABLE
  // In the child, all signals blocked. Must not return.
  void (*run)(const ChildOrder& order) = nullptr;
};

inline constexpr size_t kKeeperStack = 32768;

// Makes what keepers need, in a process that has one thread. Null, or what could not be made, with errno.
const char* OpenKeeperHouse(KeeperHouse* house);

// In a fork, a rehearsal of what keepers do (warm.h): takes the order that is to be had from `socket`, which must not block
// when there is no other, and bears that child.
void RehearseKeeper(const KeeperHouse& house, int socket);

// As what the supervisor orders over `supervisor`: starts keepers. Ends with the supervisor.
[[noreturn]] void RunKeeperHouse(const KeeperHouse& house, int supervisor);

// What a child does first of all: it becomes a fork of the server, and runs.
int BeginChild(void* order);

// BeginChild with nothing in any register but its argument: what its keeper had there is not the child's to find.
extern "C" int brood_begin_child(void* order);

// clone(2); the child begins with brood_begin_child(order). The kernel's answer: -errno for an error. Writes nothing to `stack`,
// which is a page that keepers and children share until one of them does.
extern "C" long brood_clone(uint64_t flags, void* stack, void* order, int* pidfd, int* tid);

// clone3(2) with the secret of a slot (slot_child.h) as its sixth argument; the child begins with brood_begin_child(order). The
// kernel's answer: -errno for an error.
extern "C" long brood_clone_into(const void* arguments, size_t size, void* order, uint64_t secret);

// Must be called before the first fork, by RunKeeperHouse or in its stead.
void SetKeeperHouse(const KeeperHouse* house);

}  // namespace brood::child

#endif  // BROOD_FORKSERVER_KEEPER_CHILD_H_
