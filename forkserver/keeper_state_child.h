// What a keeper is made of: keeper_child.cc runs it, and what it does for one child after the other is in a file for each step.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_FORKSERVER_KEEPER_STATE_CHILD_H_
#define BROOD_FORKSERVER_KEEPER_STATE_CHILD_H_

#include <cstdint>

#include "forkserver/keeper_child.h"
#include "forkserver/order_file_child.h"
#include "forkserver/output_child.h"
#include "forkserver/request.h"
#include "forkserver/reserve_child.h"
#include "forkserver/slot_child.h"

namespace brood::child {

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
  bool is_leased = false;  // OrderTag::Kind::kLeased
  int report = -1;         // Of the order at hand.
  Output output;           // The same.
};
static_assert(sizeof(Keeper) < kKeeperStack / 2);

// --- keeper_messages_child.cc ---

// As ReceiveWithFds, but raw. 0 at the end. `secret`: slot_child.h.
long Receive(int socket, uint64_t secret, brood::internal::RawRequest* order, bool* lost);

void Send(const Keeper& keeper, const KeeperNote& note, int fd);

// The end of an order, to whom it is to be told.
void Report(Keeper& keeper, const KeeperNote& note);

// All but what is ours, of OrderTag::kReport. Changes nothing of the order, which the child reads while we go on.
void CloseFds(const Keeper& keeper);

// Waits for the next order, but not for ever if the keeper is leased. False: it takes none any more.
bool AwaitNext(const Keeper& keeper);

// --- keeper_birth_child.cc ---

// Has a child for the order, and tells of its birth where that is asked for. False: there is none, and `note` says why.
// `open`: the descriptors of the order are to be closed once the child has its own.
bool Bear(Keeper& keeper, bool lost, KeeperNote* note, bool* open);

// Forks the next child ahead (reserve_child.h). Whatever prevents that now is told when there is an order.
void Reserve(Keeper& keeper);
void EndReserve(Keeper& keeper);

// --- keeper_wait_child.cc ---

// Waits until the child has ended. Without the supervisor nobody is left to want it; but a guardian sees its own owner's end.
// `begin`: by the monotonic clock, before the child could run: once it can, it may have slept before we look.
// `open`: as of Bear.
void Await(Keeper& keeper, int signals, long child, uint64_t begin, bool is_guardian, bool open, KeeperNote* note);

// Ends what the child has left. Nothing has become ours in nearly all cases. False: something is left.
bool EndRest(const Keeper& keeper);

}  // namespace brood::child

#endif  // BROOD_FORKSERVER_KEEPER_STATE_CHILD_H_
