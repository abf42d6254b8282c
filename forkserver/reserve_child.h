// A child in reserve: one that a keeper forks before there is an order for it, while nobody waits. The fork is the longest step of
// a birth, and needs nothing of the order.
//
// It runs nothing but what is here until the order comes. Until then it shares the keeper's table of descriptors, in which
// those of the order arrive; the first thing that it does then is to take a copy, so that nothing that is of the order runs
// before it has one of its own. clone(2), CLONE_FILES; close_range(2), CLOSE_RANGE_UNSHARE. It ends with its keeper.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_FORKSERVER_RESERVE_CHILD_H_
#define BROOD_FORKSERVER_RESERVE_CHILD_H_

#include <cstddef>
#include <cstdint>

namespace brood::child {

// Of a keeper, for all that it has in reserve one after the other: counters of eventfd(2).
struct ReserveFds {
  int32_t wake = -1;   // To the child: the size of the order, which is in the order file.
  int32_t taken = -1;  // From it: it has the descriptors of the order in a table of its own.
  int32_t keeper = 0;  // As KeptOrder::keeper.
  bool valid() const { return wake >= 0 && taken >= 0; }
};

// Not valid: there are none to be had.
ReserveFds OpenReserve();

// In the keeper. What a child in reserve begins with is given in the order file, and by what BeginChild takes; null: it is not.
void* ReserveOrder(int order_file, const ReserveFds& fds);
bool WakeReserve(const ReserveFds& fds, uint64_t order_size);
bool WasTaken(const ReserveFds& fds);  // Since it was asked last.

// In the child, first of all: waits for an order, and gives its size; 0 if there will be none.
size_t AwaitOrder(int order_file, ReserveFds* fds);

// In the child, when it knows the `count` descriptors of its order: it has these and the keeper's in a table of its own from then on, and
// the keeper may close its. False: it has not.
bool TakeTable(const ReserveFds& reserve, int order_file, const int* fds, size_t count);

}  // namespace brood::child

#endif  // BROOD_FORKSERVER_RESERVE_CHILD_H_
