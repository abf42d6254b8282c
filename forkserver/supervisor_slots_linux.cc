// Slots, and how keepers come into them; the rest of the class is in supervisor_linux.cc.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "forkserver/server.h"
#include "forkserver/supervisor.h"

namespace brood::internal {
namespace {

constexpr size_t kMaxKinds = 64;
constexpr int kMaxKilled = 3;  // Slots that were killed while they were set up, one after the other.
constexpr size_t kFreshSpares = 3;  // Of slots that are for one child each: more than come at once, mostly.
constexpr int64_t kLaterNs = 1'000'000;
constexpr int64_t kEndPatienceNs = 2'000'000'000;

}  // namespace

void NoteFailure(int connection, std::string_view why) {
  ServerNote note;
  note.kind = ServerNote::Kind::kFailed;
  note.SetText(why);
  // A client that does not read its answers does not miss it.
  (void)send(connection, &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT);
}

// One that nobody has any more is used again. None if there are too many.
std::optional<uint32_t> Supervisor::FindKind(std::string_view plan) {
  const auto known = std::find_if(kinds_.begin(), kinds_.end(), [plan](const Kind& kind) { return kind.plan == plan; });
  if (known != kinds_.end()) return static_cast<uint32_t>(known - kinds_.begin());
  const auto is_used = [this](uint32_t number) {
    const Kind& kind = kinds_[number];
    return !kind.queued.empty() || kind.leases_wanted > 0 ||
           std::any_of(keepers_.begin(), keepers_.end(), [number](const Keeper& keeper) {
             return keeper.kind == number && (keeper.socket.valid() || keeper.leased);
           });
  };
  uint32_t number = static_cast<uint32_t>(kinds_.size());
  if (kinds_.size() < kMaxKinds) {
    kinds_.emplace_back();
  } else {
    for (number = 1; number < kinds_.size() && is_used(number); ++number) {
    }
    if (number == kinds_.size()) number = GiveUpIdleKind();
    if (number == 0) return std::nullopt;
  }
  kinds_[number].plan = plan;
  return number;
}

// Of the kinds of slots, one that nothing is born in now; 0: there is none.
uint32_t Supervisor::GiveUpIdleKind() {
  for (uint32_t number = 1; number < kinds_.size(); ++number) {
    Kind& kind = kinds_[number];
    const auto keepers = static_cast<size_t>(std::count_if(keepers_.begin(), keepers_.end(), [number](const Keeper& keeper) {
      return keeper.kind == number && (keeper.socket.valid() || keeper.leased);
    }));
    if (keepers != kind.idle.size() || kind.Wanted() > 0 || kind.coming > 0) continue;
    while (!kind.idle.empty()) {
      const uint32_t keeper = kind.idle.back();
      kind.idle.pop_back();
      Retire(keeper);
    }
    kind.spares = 0;
    return number;
  }
  return 0;
}

void Supervisor::BeginSlot(uint32_t number) {
  Keeper& keeper = keepers_[number];
  keeper.entering = true;
  keeper.slot_number = ++slots_begun_;
  absl::StatusOr<std::unique_ptr<Slot>> slot = make_slot_(kinds_[keeper.kind].plan, number + 1);
  if (!slot.ok()) return FailSlot(number, slot.status());
  keeper.slot = *std::move(slot);
  const absl::Status watched = loop_.Watch(keeper.slot->ready_fd(), EPOLLIN, [this, number](uint32_t) { OnSlot(number); });
  if (!watched.ok()) FailSlot(number, watched);
}

void Supervisor::OnSlot(uint32_t number) {
  loop_.Forget(keepers_[number].slot->ready_fd());
  to_enter_.push_back(number);
  if (to_enter_.size() == 1) EnterNext();
}

// One at a time, because keepers share errno while they enter.
void Supervisor::EnterNext() {
  if (to_enter_.empty()) return;
  const uint32_t number = to_enter_.front();
  Keeper& keeper = keepers_[number];
  const absl::StatusOr<SlotOrder> order = keeper.slot->Finish(keeper.pid);
  if (!order.ok()) return FailSlot(number, order.status());
  const child::OrderTag tag = {.kind = child::OrderTag::Kind::kEnter};
  const absl::Status sent =
      SendRequest(keeper.socket.get(), order->bytes, order->fds,
                  {.patience = absl::ZeroDuration(), .tag = tag.Encode(), .inline_bytes = kRecordInlineBytes});
  if (!sent.ok()) FailSlot(number, sent);
}

void Supervisor::OnEntered(uint32_t number, const child::KeeperNote& note) {
  if (note.kind != child::KeeperNote::Kind::kEntered) {
    const SetupMessage& setup = note.setup;
    const std::string text = absl::StrCat(std::string_view(setup.step, strnlen(setup.step, sizeof(setup.step))), ": ",
                                          std::string_view(setup.detail, strnlen(setup.detail, sizeof(setup.detail))));
    return FailSlot(number, setup.error_number != 0 ? ErrnoStatus(setup.error_number, text) : absl::InternalError(text));
  }
  Slot& slot = *keepers_[number].slot;
  slot.Entered();
  if (slot.used_fd() >= 0) {
    const absl::Status watched = loop_.Watch(slot.used_fd(), EPOLLIN, [this, &slot](uint32_t) {
      if (!slot.Refill()) loop_.Forget(slot.used_fd());
    });
    if (!watched.ok()) return FailSlot(number, watched);
  }
  // Nothing of what it says is for us; but its end is.
  const absl::Status watched = loop_.Watch(slot.ready_fd(), 0, [this, number](uint32_t) { OnInitEnd(number); });
  if (!watched.ok()) return FailSlot(number, watched);
  to_enter_.pop_front();
  keepers_[number].entering = false;
  Kind& kind = kinds_[keepers_[number].kind];
  --kind.coming;
  kind.killed = 0;
  kind.fresh = slot.fresh();
  if (kind.fresh && open_) kind.spares = kFreshSpares;
  EnterNext();
  Release(number);
}

// By the other end of its socket, which only the init has.
bool Supervisor::InitHasEnded(uint32_t number) const {
  if (keepers_[number].slot == nullptr) return false;
  pollfd polled = {keepers_[number].slot->ready_fd(), 0, 0};
  return poll(&polled, 1, 0) == 1;
}

// With it all that was in the slot has ended, which its keeper tells if that was a child's. Who comes next is not to be sent there.
void Supervisor::OnInitEnd(uint32_t number) {
  Keeper& keeper = keepers_[number];
  loop_.Forget(keeper.slot->ready_fd());
  if (keeper.place.has_value()) return;
  const uint32_t kind = keeper.kind;
  if (keeper.leased) {
    if (keeper.pid > 0) kill(keeper.pid, SIGKILL);  // Its client sees that, and we when it is reaped.
    return;
  }
  std::erase(kinds_[kind].idle, number);
  Retire(number);
  DispatchKind(kind);
}

// Those that will be used next, should we be told later that their inits have ended: an end and a request can come at once.
void Supervisor::GiveUpEnded(Kind& kind) {
  for (size_t i = 0, wanted = kind.queued.size() + kind.leases_wanted; i < wanted && i < kind.idle.size();) {
    const uint32_t number = kind.idle[kind.idle.size() - 1 - i];
    if (!InitHasEnded(number)) {
      ++i;
      continue;
    }
    std::erase(kind.idle, number);
    Retire(number);
  }
}

// Whoever waits first is told; another may have more luck. That somebody has killed one says nothing of the next, unless he kills all.
void Supervisor::FailSlot(uint32_t number, const absl::Status& why) {
  const uint32_t kind_number = keepers_[number].kind;
  Kind& kind = kinds_[kind_number];
  const bool killed = absl::IsUnavailable(why) || InitHasEnded(number);
  // All that are on their way may have been killed at once, which is once.
  if (killed && keepers_[number].slot_number > kind.killed_until) {
    ++kind.killed;
    kind.killed_until = slots_begun_;
  }
  kind.spares = 0;
  --kind.coming;
  Retire(number);
  if (killed && kind.killed < kMaxKilled) {
    // Another one.
  } else if (!kind.queued.empty()) {
    const uint32_t place = kind.queued.front();
    kind.queued.pop_front();
    Refuse(place, 0, why.message());
  } else if (kind.leases_wanted > 0) {
    --kind.leases_wanted;
    NoteFailure(socket_, why.message());
  }
  DispatchKind(kind_number);
}

void Supervisor::LeaveSlot(uint32_t number) {
  Keeper& keeper = keepers_[number];
  if (keeper.slot == nullptr) return;
  loop_.Forget(keeper.slot->ready_fd());
  if (keeper.slot->used_fd() >= 0) loop_.Forget(keeper.slot->used_fd());
  // One that was in use is given up because of what a child has left, and the next child may leave something too.
  size_t& spares = kinds_[keeper.kind].spares;
  if (!keeper.old && !keeper.entering && open_ && !ending_) spares = std::max<size_t>(spares, 1);
  const bool was_entering = !to_enter_.empty() && to_enter_.front() == number;
  std::erase(to_enter_, number);
  // Nothing runs in it but its init.
  const bool can_wait = keeper.slot->fresh() && !ending_ && open_;
  if (!can_wait) keeper.slot->End();
  ending_slots_.push_back({.slot = std::move(keeper.slot), .keeper = std::max(keeper.pid, 0), .is_told = !can_wait});
  if (can_wait) DoLater();
  Reaped(0);
  if (was_entering) EnterNext();
}

// What takes a millisecond of a processor, and nobody waits for: to end slots that are for one child each, and to make others.
void Supervisor::DoLater() {
  if (std::exchange(does_later_, true)) return;
  loop_.Schedule(static_cast<int64_t>(child::MonotonicNanoseconds()) + kLaterNs, [this] {
    does_later_ = false;
    for (EndingSlot& ending : ending_slots_) {
      if (!std::exchange(ending.is_told, true)) ending.slot->End();
    }
    if (!ready_) return;
    for (uint32_t kind = 1; kind < kinds_.size(); ++kind) AskForKeepers(kind, kinds_[kind].WantedLater());
  });
}

// Until both its processes are gone, what they were in is not.
void Supervisor::Reaped(pid_t pid) {
  for (EndingSlot& ending : ending_slots_) {
    if (pid != 0 && ending.keeper == pid) ending.keeper = 0;
    if (pid != 0 && ending.slot->pid() == pid) ending.init_is_gone = true;
  }
  std::erase_if(ending_slots_, [](const EndingSlot& ending) {
    return ending.keeper == 0 && (ending.init_is_gone || ending.slot->pid() <= 0);
  });
}

// Before the supervisor ends.
void Supervisor::EndSlots() {
  for (uint32_t number = 0; number < keepers_.size(); ++number) {
    if (keepers_[number].slot == nullptr) continue;
    if (keepers_[number].pid > 0) kill(keepers_[number].pid, SIGKILL);
    to_enter_.clear();
    LeaveSlot(number);
  }
  for (const EndingSlot& ending : ending_slots_) ending.slot->End();
  const int64_t begin = static_cast<int64_t>(child::MonotonicNanoseconds());
  while (!ending_slots_.empty() && static_cast<int64_t>(child::MonotonicNanoseconds()) - begin < kEndPatienceNs) {
    const pid_t pid = waitpid(-1, nullptr, WNOHANG | __WALL);
    if (pid < 0 && errno == ECHILD) break;
    if (pid > 0) Reaped(pid);
    if (pid == 0) poll(nullptr, 0, 1);
  }
}

}  // namespace brood::internal
