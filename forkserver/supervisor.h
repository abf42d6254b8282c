// The process between clients and the server that forks. It holds what the server must not: connections, deadlines, and
// what is told of outcomes. It never forks and holds nothing that was preloaded.
//
//   client --request--> supervisor --order--> keeper --fork--> child
//   client <--------- outcome --- supervisor <--end-- keeper <-'
//
// A keeper (keeper_child.h) is a process of the server's that has one child at a time; the supervisor has as many as there
// are children at once, and uses them again. A client may lease one (LeaseTag) and speak with it itself: that is faster by
// two switches of processes, and the supervisor hears nothing of it but its end. What it does with a request is its user's to say: an `admit` that places an
// order with a Charge, the object that stands for the child here.
#ifndef BROOD_FORKSERVER_SUPERVISOR_H_
#define BROOD_FORKSERVER_SUPERVISOR_H_

#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/closer.h"
#include "base/unique_fd.h"
#include "forkserver/event_loop.h"
#include "forkserver/forker.h"
#include "forkserver/keeper_child.h"
#include "forkserver/request.h"
#include "forkserver/slot.h"

namespace brood::internal {

// A child, as long as the supervisor has it. One of the last three functions is called once, and then it is destroyed.
class Charge {
 public:
  virtual ~Charge() = default;

  uint32_t place = 0;  // The supervisor's name for it.

  // A keeper has the order, or will never have it: what came with it goes back. What is not taken out is closed then. First of all.
  virtual void OnSent(std::vector<UniqueFd>& fds) { (void)fds; }

  // It runs. Only where the order asks for it. `pidfd` is borrowed.
  virtual void OnBorn(pid_t pid, int pidfd) {
    (void)pid;
    (void)pidfd;
  }

  // It has ended, which the next call tells, and its keeper has no order. True if the client has got its socket, and so the keeper: only
  // where the request asks for it.
  virtual bool PassOn(int keeper) {
    (void)keeper;
    return false;
  }

  // The owner of the forkserver is gone: it has to be killed.
  virtual void OnOwnerGone() {}

  // `self` is this object: it may stay as long as it likes.
  virtual void OnEnded(std::unique_ptr<Charge> self, const child::KeeperNote& note) = 0;
  virtual void OnRefused(int error, std::string_view why) = 0;  // `error` is an errno value or 0.
  virtual void OnLost() = 0;                                    // Its keeper was killed.
};

struct Order {
  std::unique_ptr<Charge> charge;
  // It is a guardian, which sees its owner's end and ends its own tree.
  bool is_guardian = false;
  std::string bytes;
  std::vector<UniqueFd> fds;
  bool tell_birth = false;
  bool lease_after = false;  // Its keeper is for the client, once it has ended.
  std::string_view slot;  // The plan of the sandbox that it is to be born in (slot.h); empty: of none. Read by Place only.
  absl::Duration patience = absl::InfiniteDuration();  // Until the birth. Needs tell_birth.
};

// Of a request for keepers, in slots if it names a plan. For each the answer is a ServerNote: of kLease, with a descriptor, or of
// kFailed, with the reason.
struct LeaseTag {
  uint32_t count = 1;
  bool in_slots = false;
  uint32_t plan = 0;  // Its number, below kMaxPlans; see kPlanTag.
  uint64_t Encode() const { return kBit | (in_slots ? kInSlots : 0) | uint64_t{count} << 8 | plan; }
  static bool Is(uint64_t tag) { return tag >> 32 == kBit >> 32 && Decode(tag).count - 1 < kMost; }
  static LeaseTag Decode(uint64_t tag) {
    return {.count = static_cast<uint32_t>(tag & 0xffff) >> 8, .in_slots = (tag & kInSlots) != 0, .plan = static_cast<uint32_t>(tag & 0xff)};
  }
  static constexpr uint32_t kMost = 16;
  static constexpr uint64_t kBit = uint64_t{7} << 32;
  static constexpr uint64_t kInSlots = uint64_t{1} << 16;
};
// Of one to continue leased keepers, should their children have stopped them. There is no answer.
inline constexpr uint64_t kContinueTag = 3;
// Of one for a template: template.h.
inline constexpr uint64_t kTemplateTag = 4;

// A plan of a slot is sent once, and has a number below kMaxPlans then, which the client chooses, in the low 32 bits of its
// tag. Of one with that tag:
inline constexpr uint64_t kPlanTag = uint64_t{5} << 32;
// Of a request for a child in a slot of that plan. It follows on the same socket, so that the number means what it meant to
// who sent it.
inline constexpr uint64_t kInSlotTag = uint64_t{6} << 32;
// Besides: once the child has ended, its keeper is to be the client's, who will have orders of his own for it.
inline constexpr uint64_t kLeaseAfter = uint64_t{1} << 16;
inline constexpr uint32_t kMaxPlans = 64;

// Tells a client that it gets no keeper.
void NoteFailure(int connection, std::string_view why);

class Supervisor {
 public:
  // What becomes of a request that came over `connection`, which stays the supervisor's.
  // `received` is not OK if it came damaged, or not all of it; its descriptors may be there nevertheless.
  using Admit = void (*)(Supervisor& supervisor, int connection, Request request, const absl::Status& received);

  // `preparation` and `owner` came with the first request on `socket`.
  Supervisor(int socket, Admit admit, SlotMaker make_slot, std::string preparation, UniqueFd owner);

  // Before Run: of a server that runs, a child of this process.
  void Adopt(UniqueFd server, UniqueFd pidfd, int pid) { forker_.Adopt(std::move(server), std::move(pidfd), pid); }

  // Until the owner ends, or the client has closed `socket` and no child is left.
  [[noreturn]] void Run();

  // What a request is to be born in by its tag (kInSlotTag); empty: in no slot, or it names a plan that nobody has sent.
  std::string_view PlanOf(uint64_t tag) const;

  // Its charge knows its place.
  void Place(Order order);
  void Kill(uint32_t place);

  EventLoop& loop() { return loop_; }

  // As a request's should be closed that nobody takes.
  void Close(std::vector<UniqueFd> fds) { closer_.Close(std::move(fds)); }

 private:
  enum class State : uint8_t { kFree, kQueued, kSent, kBorn };
  struct Child {
    State state = State::kFree;
    bool is_guardian = false;
    bool lease_after = false;
    uint32_t kind = 0;
    uint32_t keeper = 0;  // From kSent on.
    UniqueFd pidfd;
    int64_t deadline_ns = INT64_MAX;  // For its birth.
    std::unique_ptr<Charge> charge;
    Order order;  // kQueued.
  };
  struct Keeper {
    UniqueFd socket;  // Invalid: there is no such keeper.
    pid_t pid = 0;    // Known once it is there.
    pid_t shield = 0; // Of one in a slot: its parent, which is our child and ends with it. -1: it was reaped, as is pid.
    bool old = false; // Of a server that has ended.
    bool leased = false;  // The client has its socket.
    std::optional<uint32_t> place;
    uint32_t kind = 0;
    std::unique_ptr<Slot> slot;
    int64_t idle_since_ns = 0;
    bool entering = false;  // It is there, and its slot, or its place in it, is not.
    uint64_t slot_number = 0;  // Of all slots that were begun.
  };
  // Keepers that bear the same children: those without a sandbox, which are the first kind, and those in slots of one plan.
  struct Kind {
    std::string plan;
    std::vector<uint32_t> idle;
    std::deque<uint32_t> queued;
    size_t coming = 0;  // Asked for, and not there yet.
    size_t leases_wanted = 0;
    size_t spares = 0;  // Slots are given up, so that these are to be ready for who comes next.
    bool fresh = false;  // Each is, after one child.
    int killed = 0;      // Slots, one after the other, while they were set up.
    uint64_t killed_until = 0;  // Slots up to this were there, or on their way, when the last one of these was killed.
    size_t Missing() const { return spares > idle.size() ? spares - idle.size() : 0; }
    size_t Wanted() const { return queued.size() + leases_wanted + (fresh ? 0 : Missing()); }  // Now.
    size_t WantedLater() const { return queued.size() + leases_wanted + Missing(); }
  };

  absl::Status Start();
  void OnConnection();
  void KeepPlan(Request request);
  void OnSignal();

  absl::Status StartServer();
  void TellFailure() const;
  void Restart();
  bool OnServerNote();  // Whether there was one.
  void AwaitServerEnd();
  void OnServerEnd();

  void AskForKeepers(uint32_t kind, size_t wanted);
  void OnKeeper(uint32_t number);
  void OnKeeperEnd(uint32_t number);
  void Release(uint32_t number);
  void Lease(uint32_t number);
  bool PassOn(uint32_t number, Charge& charge);
  void RefuseLeases(uint32_t kind, std::string_view why);
  void ContinueKeepers() const;
  void Retire(uint32_t number);
  void EndStrays();
  bool KillStrays();  // Whether there were any.
  void EndPreload();
  void GiveUpIdleSlots();
  void GiveUpIdle();

  std::optional<uint32_t> FindKind(std::string_view plan);
  uint32_t GiveUpIdleKind();
  void BeginSlot(uint32_t number);
  void OnSlot(uint32_t number);
  void EnterNext();
  void OnEntered(uint32_t number, const child::KeeperNote& note);
  bool InitHasEnded(uint32_t number) const;
  void OnInitEnd(uint32_t number);
  void GiveUpEnded(Kind& kind);
  void FailSlot(uint32_t number, const absl::Status& why);
  void LeaveSlot(uint32_t number);
  void Reaped(pid_t pid);
  void DoLater();
  void EndSlots();

  void Dispatch();
  void DispatchKind(uint32_t kind);
  bool Send(uint32_t place, uint32_t number);
  void Refuse(uint32_t place, int error, std::string_view why);
  void GiveBack(Charge& charge, std::vector<UniqueFd> fds);
  std::unique_ptr<Charge> Free(uint32_t place);
  void CheckPatience();

  void StayAwake();
  void EndAll();
  void MaybeLeave();

  const int socket_;
  const Admit admit_;
  const SlotMaker make_slot_;
  const UniqueFd owner_;
  EventLoop loop_;
  Closer closer_;
  Forker forker_;
  UniqueFd signals_;
  bool open_ = true;        // The client's socket.
  bool ready_ = false;      // The server has preloaded.
  bool was_ready_ = false;  // One of them has.
  bool ending_ = false;     // The owner is gone.
  std::string failure_;     // Why the server that was started last is not ready.
  std::string doing_;       // What that said last that it does.
  std::optional<EventLoop::Timer> closed_;  // It has closed its socket, and is killed then, should it not have ended.

  uint64_t slots_begun_ = 0;

  std::vector<std::string> plans_;  // By the number that the client gave.

  std::deque<Child> children_;  // Which stay where they are. By place.
  std::vector<uint32_t> free_places_;
  size_t live_ = 0;
  size_t live_guardians_ = 0;
  int64_t next_check_ns_ = INT64_MAX;  // When patience may be at an end.

  std::deque<Keeper> keepers_;  // By number.
  std::vector<uint32_t> free_numbers_;
  std::vector<std::pair<pid_t, uint32_t>> leaving_;  // Numbers that are free once that process is reaped.
  std::deque<Kind> kinds_ = std::deque<Kind>(1);  // Which stay where they are.
  struct EndingSlot {
    std::unique_ptr<Slot> slot;
    pid_t keeper = 0;  // 0: it is gone.
    bool init_is_gone = false;
    bool is_told = false;  // To end.
  };
  std::vector<EndingSlot> ending_slots_;
  std::deque<uint32_t> to_enter_;  // Keepers whose slots are ready; the first one is entering.
  size_t coming_ = 0;              // Of all kinds, and those that have not said yet that they are there.
  bool strays_ = false;           // There may be some that EndStrays has left for later.
  bool guardians_strayed_ = false;  // The keeper of a guardian was killed, which went on.

  std::optional<timer_t> awake_;  // While children live.
  bool armed_ = false;
  bool gives_up_idle_ = false;  // It is scheduled.
  bool does_later_ = false;     // The same.
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_SUPERVISOR_H_
