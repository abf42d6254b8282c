// How an order comes from a keeper to its child: in a file of memory, which the child closes when it has read it. Of the keeper's
// memory it has nothing, and so no other child's order.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_FORKSERVER_ORDER_FILE_CHILD_H_
#define BROOD_FORKSERVER_ORDER_FILE_CHILD_H_

#include <cstddef>
#include <cstdint>

#include "forkserver/request.h"

namespace brood::child {

// How a keeper has it.
struct KeptOrder {
  int32_t keeper = 0;       // Its pid, as its children see it. 0: outside of their pid namespace.
  uint32_t slot_bytes = 0;  // 0: it is not in a slot.
  brood::internal::RawRequest request;  // Only as much of it is written as it says.
};

// Where its descriptors are, and where what is the same for all children of a slot begins.
inline constexpr long kOrderFds = offsetof(KeptOrder, request.fds);
inline constexpr long kSlotOffset = 8192;
static_assert(sizeof(KeptOrder) <= kSlotOffset);
inline constexpr long kReserveOffset = 16384;  // reserve_child.h

// A file for the orders of one keeper. -1, with errno.
int MakeOrderFile();

// What BeginChild takes: where the order is, and how large. Of size 0: it is still to come (reserve_child.h).
inline void* Written(int file, size_t size) { return reinterpret_cast<void*>(uintptr_t{size} << 32 | static_cast<uint32_t>(file)); }
inline int FileOf(const void* written) { return static_cast<int>(reinterpret_cast<uintptr_t>(written) & 0xffffffff); }
inline size_t SizeOf(const void* written) { return reinterpret_cast<uintptr_t>(written) >> 32; }

// Writes an order there, and gives what BeginChild takes; null, with errno.
void* WriteOrder(int file, const KeptOrder& order);

// False if not all of it is there.
bool ReadOrder(int file, void* to, size_t size, long from);

}  // namespace brood::child

#endif  // BROOD_FORKSERVER_ORDER_FILE_CHILD_H_
