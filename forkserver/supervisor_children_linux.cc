// Keepers and the children that they have; the rest of the class is in supervisor_linux.cc.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/fd_message_child.h"
#include "forkserver/server.h"
#include "forkserver/supervisor.h"

namespace brood::internal {
namespace {

constexpr size_t kMaxChildren = 65536;  // Those that wait included.
constexpr size_t kMaxIdleKeepers = 32;  // Each takes some 40 KiB of the kernel's and our memory.
constexpr int64_t kIdleSlotNs = 10'000'000'000;

int64_t Now() { return static_cast<int64_t>(child::MonotonicNanoseconds()); }

}  // namespace

// --- keepers ---

void Supervisor::AskForKeepers(uint32_t kind_number, size_t wanted) {
  Kind& kind = kinds_[kind_number];
  while (kind.coming < wanted) {
    if (free_numbers_.empty() && keepers_.size() == child::kMaxKeepers) return;  // The next that is idle will do.
    uint32_t number = static_cast<uint32_t>(keepers_.size());
    if (!free_numbers_.empty()) number = free_numbers_.back();
    absl::StatusOr<UniqueFd> socket = forker_.AskForKeeper(number, kind_number != 0);
    if (absl::IsDeadlineExceeded(socket.status())) {
      loop_.Change(forker_.socket(), EPOLLIN | EPOLLOUT);
      return;
    }
    if (absl::IsUnavailable(socket.status())) return;  // Its end will be seen.
    if (socket.ok()) {
      if (number == keepers_.size()) {
        keepers_.emplace_back();
      } else {
        free_numbers_.pop_back();
      }
      keepers_[number] = Keeper();
      keepers_[number].socket = *std::move(socket);
      keepers_[number].kind = kind_number;
      const absl::Status watched =
          loop_.Watch(keepers_[number].socket.get(), EPOLLIN, [this, number](uint32_t) { OnKeeper(number); });
      if (watched.ok()) {
        ++kind.coming;
        ++coming_;
        continue;
      }
      Retire(number);
    }
    // Those that are there serve it, if there are any.
    if (kind.coming + live_ > kind.queued.size() || kind.queued.empty()) return;
    const uint32_t place = kind.queued.front();
    kind.queued.pop_front();
    Refuse(place, 0, absl::StrCat("a keeper for the child could not be had: ", socket.status().message()));
  }
  loop_.Change(forker_.socket(), EPOLLIN);
}

void Supervisor::OnKeeper(uint32_t number) {
  Keeper& keeper = keepers_[number];
  child::KeeperNote note;
  const iovec part = {&note, sizeof(note)};
  int fd = -1;
  const child::FdMessage message = child::ReceiveWithFds(keeper.socket.get(), &part, 1, &fd, 1, MSG_DONTWAIT);
  UniqueFd pidfd(fd);
  if (message.bytes < 0 && errno == EAGAIN) return;
  if (message.bytes != static_cast<ssize_t>(sizeof(note))) return OnKeeperEnd(number);
  if (note.kind == child::KeeperNote::Kind::kHello) {
    keeper.pid = note.pid;
    keeper.shield = note.shield;
    if (--coming_ == 0 && strays_) EndStrays();
    if (keeper.kind != 0) return BeginSlot(number);
    --kinds_[0].coming;
    return Release(number);
  }
  if (keeper.slot != nullptr && !to_enter_.empty() && to_enter_.front() == number) return OnEntered(number, note);
  if (!keeper.place.has_value()) return;
  const uint32_t place = *keeper.place;
  Child& child = children_[place];
  if (note.kind == child::KeeperNote::Kind::kBorn) {
    child.state = State::kBorn;
    child.deadline_ns = INT64_MAX;
    child.pidfd = std::move(pidfd);
    return child.charge->OnBorn(note.pid, child.pidfd.get());
  }
  keeper.place.reset();
  if (note.kind == child::KeeperNote::Kind::kEnded) {
    const bool may_pass = child.lease_after && note.retires == 0;
    std::unique_ptr<Charge> charge = Free(place);
    Charge& ended = *charge;
    const bool passed = may_pass && PassOn(number, ended);
    ended.OnEnded(std::move(charge), note);
    if (passed) return;
  } else if (note.error == child::KeeperNote::kHasThreads) {
    Refuse(place, 0,
           "a preload has left threads running, and a lock that one of them holds at a fork would be held for ever in the "
           "child; start threads in the children, or join them");
  } else if (note.error == child::KeeperNote::kHasNoGroup) {
    Refuse(place, 0, "make a cgroup for the child, below that of its sandbox; see docs/cgroups.md");
  } else {
    Refuse(place, note.error, "fork the child; see the limits of processes, memory, open files and the size of files");
  }
  if (note.retires == 0) Release(number);  // Else it ends now.
}

void Supervisor::Release(uint32_t number) {
  Kind& kind = kinds_[keepers_[number].kind];
  if (!keepers_[number].old && kind.leases_wanted > 0) return Lease(number);
  if (keepers_[number].old || ((!open_ || kind.idle.size() >= kMaxIdleKeepers) && kind.queued.empty())) return Retire(number);
  if (InitHasEnded(number)) {  // While it had a child, which may have ended before.
    const uint32_t same = keepers_[number].kind;
    Retire(number);
    return DispatchKind(same);
  }
  kind.idle.push_back(number);
  keepers_[number].idle_since_ns = Now();
  if (keepers_[number].kind != 0 && !std::exchange(gives_up_idle_, true)) loop_.Schedule(Now() + kIdleSlotNs, [this] { GiveUpIdleSlots(); });
  DispatchKind(keepers_[number].kind);
}

// A slot takes three processes and their memory, and its shield, which the kernel counts as one that waits for a disk, is in
// the load average.
void Supervisor::GiveUpIdleSlots() {
  gives_up_idle_ = false;
  int64_t oldest = INT64_MAX;
  for (uint32_t number = 1; number < kinds_.size(); ++number) {
    std::vector<uint32_t>& idle = kinds_[number].idle;
    const auto first = std::find_if(idle.begin(), idle.end(), [this](uint32_t keeper) {
      return keepers_[keeper].idle_since_ns > Now() - kIdleSlotNs;  // The latest is the last.
    });
    const std::vector<uint32_t> given_up(idle.begin(), first);
    idle.erase(idle.begin(), first);
    for (const uint32_t keeper : given_up) Retire(keeper);
    if (!given_up.empty()) kinds_[number].spares = 0;
    if (!idle.empty()) oldest = std::min(oldest, keepers_[idle.front()].idle_since_ns);
  }
  if (oldest == INT64_MAX) return;
  gives_up_idle_ = true;
  loop_.Schedule(oldest + kIdleSlotNs, [this] { GiveUpIdleSlots(); });
}

// Nobody will ask for a child again, though some live on for long.
void Supervisor::GiveUpIdle() {
  for (Kind& kind : kinds_) {
    kind.spares = kind.leases_wanted = 0;
    std::vector<uint32_t> idle;
    idle.swap(kind.idle);
    for (const uint32_t keeper : idle) Retire(keeper);
  }
}

void Supervisor::Lease(uint32_t number) {
  Keeper& keeper = keepers_[number];
  --kinds_[keeper.kind].leases_wanted;
  ServerNote note;
  note.kind = ServerNote::Kind::kLease;
  const iovec part = {&note, sizeof(note)};
  const int fd = keeper.socket.get();
  // A client that does not read its answers has no use for one.
  const bool sent = child::SendWithFds(socket_, &part, 1, &fd, 1, MSG_DONTWAIT) >= 0;
  loop_.Forget(fd);
  keeper.socket.reset();
  keeper.leased = sent;
  if (!sent) Retire(number);
}

// Before the client is told of the end, so that it has the keeper by then.
bool Supervisor::PassOn(uint32_t number, Charge& charge) {
  Keeper& keeper = keepers_[number];
  const Kind& kind = kinds_[keeper.kind];
  if (keeper.kind == 0 || keeper.old || !open_ || ending_ || !kind.queued.empty() || InitHasEnded(number)) return false;
  const child::OrderTag tag = {.kind = child::OrderTag::Kind::kLeased};
  const int fd = keeper.socket.get();
  if (!SendRequest(fd, "", {}, {.patience = absl::ZeroDuration(), .tag = tag.Encode()}).ok() || !charge.PassOn(fd)) return false;
  loop_.Forget(fd);
  keeper.socket.reset();
  keeper.leased = true;
  return true;
}

void Supervisor::RefuseLeases(uint32_t kind, std::string_view why) {
  for (; kinds_[kind].leases_wanted > 0; --kinds_[kind].leases_wanted) NoteFailure(socket_, why);
}

// It ends when it sees the end of its socket. Until then it runs on the stack of that number, in a slot together with its
// shield, which ends last.
void Supervisor::Retire(uint32_t number) {
  LeaveSlot(number);
  Keeper& keeper = keepers_[number];
  const pid_t last = keeper.kind != 0 ? keeper.shield : keeper.pid;
  if (keeper.socket.valid()) loop_.Forget(keeper.socket.get());
  keeper = Keeper();
  if (last > 0) {
    leaving_.emplace_back(last, number);
  } else {
    free_numbers_.push_back(number);  // It never came, or was reaped.
  }
}

void Supervisor::OnKeeperEnd(uint32_t number) {
  const std::optional<uint32_t> place = keepers_[number].place;
  const bool came = keepers_[number].pid != 0;
  const uint32_t kind = keepers_[number].kind;
  std::erase(kinds_[kind].idle, number);
  if (came && keepers_[number].entering) {
    return FailSlot(number, absl::UnavailableError("the keeper has ended while it entered the sandbox"));
  }
  Retire(number);
  if (!came) {
    // The server could not fork it, and says why, or has ended, which will be seen.
    --coming_;
    --kinds_[kind].coming;
    return DispatchKind(kind);
  }
  if (!place.has_value()) return DispatchKind(kind);
  if (children_[*place].is_guardian) guardians_strayed_ = true;
  Free(*place)->OnLost();
}

// --- the children ---

void Supervisor::Place(Order order) {
  const std::optional<uint32_t> kind = FindKind(order.slot);
  if (!kind.has_value()) {
    GiveBack(*order.charge, std::move(order.fds));
    order.charge->OnRefused(EAGAIN, "it has as many different sandboxes as it can");
    return;
  }
  uint32_t place;
  if (!free_places_.empty()) {
    place = free_places_.back();
    free_places_.pop_back();
  } else if (children_.size() < kMaxChildren) {
    place = static_cast<uint32_t>(children_.size());
    children_.emplace_back();
  } else {
    GiveBack(*order.charge, std::move(order.fds));
    order.charge->OnRefused(EAGAIN, absl::StrCat("it has ", kMaxChildren, " children, as many as it can"));
    return;
  }
  Child& mine = children_[place];
  mine.state = State::kQueued;
  mine.is_guardian = order.is_guardian;
  mine.lease_after = order.lease_after;
  mine.kind = *kind;
  mine.charge = std::move(order.charge);
  mine.charge->place = place;
  if (mine.is_guardian) ++live_guardians_;
  if (++live_ == 1 && !armed_) StayAwake();
  if (order.patience != absl::InfiniteDuration()) {
    mine.deadline_ns = Now() + absl::ToInt64Nanoseconds(std::min(order.patience, absl::Hours(24 * 365)));
    if (mine.deadline_ns < next_check_ns_) {
      next_check_ns_ = mine.deadline_ns;
      loop_.Schedule(next_check_ns_, [this] { CheckPatience(); });
    }
  }
  mine.order = std::move(order);
  kinds_[*kind].queued.push_back(place);
  if (forker_.pidfd() < 0) return Restart();
  DispatchKind(*kind);
}

void Supervisor::Dispatch() {
  for (uint32_t kind = 0; kind < kinds_.size(); ++kind) DispatchKind(kind);
}

void Supervisor::DispatchKind(uint32_t number) {
  if (!ready_) return;
  Kind& kind = kinds_[number];
  if (number != 0 && kind.queued.size() + kind.leases_wanted > 0) GiveUpEnded(kind);
  while (kind.leases_wanted > 0 && !kind.idle.empty()) {
    const uint32_t keeper = kind.idle.back();
    kind.idle.pop_back();
    Lease(keeper);
  }
  while (!kind.queued.empty() && !kind.idle.empty()) {
    // The last one to become idle: its memory is in the caches.
    const uint32_t keeper = kind.idle.back();
    const uint32_t place = kind.queued.front();
    kind.idle.pop_back();
    kind.queued.pop_front();
    if (Send(place, keeper)) continue;
    kind.queued.push_front(place);
    OnKeeperEnd(keeper);
  }
  AskForKeepers(number, kind.Wanted());
  if (kind.coming < kind.WantedLater()) DoLater();
}

// False if the keeper has ended.
bool Supervisor::Send(uint32_t place, uint32_t number) {
  Child& child = children_[place];
  std::vector<int> fds;
  fds.reserve(child.order.fds.size());
  for (const UniqueFd& fd : child.order.fds) fds.push_back(fd.get());
  const child::OrderTag tag = {.kind = child::OrderTag::Kind::kFork,
                               .flags = (child.order.tell_birth ? child::OrderTag::kTell : 0) |
                                        (child.is_guardian ? child::OrderTag::kGuard : 0)};
  const absl::Status sent =
      SendRequest(keepers_[number].socket.get(), child.order.bytes, fds,
                  {.patience = absl::ZeroDuration(), .tag = tag.Encode(), .inline_bytes = kRecordInlineBytes});
  if (absl::IsUnavailable(sent)) return false;
  if (!sent.ok()) {
    Refuse(place, 0, sent.message());
    kinds_[keepers_[number].kind].idle.push_back(number);
    return true;
  }
  std::vector<UniqueFd> given = std::move(child.order.fds);
  child.order = Order();
  child.state = State::kSent;
  child.keeper = number;
  keepers_[number].place = place;
  GiveBack(*child.charge, std::move(given));
  return true;
}

void Supervisor::Kill(uint32_t place) {
  Child& child = children_[place];
  if (child.state == State::kFree) return;  // It was refused.
  if (child.state == State::kQueued) {
    std::erase(kinds_[child.kind].queued, place);
    return Free(place)->OnLost();
  }
  const child::OrderTag tag = {.kind = child::OrderTag::Kind::kKill};
  // If it has ended, so has the child.
  SendRequest(keepers_[child.keeper].socket.get(), "", {}, {.patience = absl::ZeroDuration(), .tag = tag.Encode()}).IgnoreError();
}

void Supervisor::Refuse(uint32_t place, int error, std::string_view why) {
  std::vector<UniqueFd> fds = std::move(children_[place].order.fds);
  const bool was_queued = children_[place].state == State::kQueued;
  const std::unique_ptr<Charge> charge = Free(place);
  if (was_queued) GiveBack(*charge, std::move(fds));
  charge->OnRefused(error, why);
}

void Supervisor::GiveBack(Charge& charge, std::vector<UniqueFd> fds) {
  charge.OnSent(fds);
  closer_.Close(std::move(fds));
}

std::unique_ptr<Charge> Supervisor::Free(uint32_t place) {
  std::unique_ptr<Charge> charge = std::move(children_[place].charge);
  if (children_[place].is_guardian) --live_guardians_;
  --live_;
  closer_.Close(std::move(children_[place].order.fds));
  children_[place] = Child();
  free_places_.push_back(place);
  return charge;
}

void Supervisor::CheckPatience() {
  const int64_t now = Now();
  next_check_ns_ = INT64_MAX;
  bool stuck = false;
  for (uint32_t place = 0; place < children_.size(); ++place) {
    Child& child = children_[place];
    if (child.state != State::kQueued && child.state != State::kSent) continue;
    if (child.deadline_ns > now) {
      next_check_ns_ = std::min(next_check_ns_, child.deadline_ns);
      continue;
    }
    if (child.state == State::kQueued) {
      stuck = true;
      std::erase(kinds_[child.kind].queued, place);
    } else {
      Keeper& keeper = keepers_[child.keeper];
      if (keeper.pid > 0) kill(keeper.pid, SIGKILL);
      keeper.place.reset();
    }
    Refuse(place, ETIMEDOUT,
           "the server has not taken the request in time, because it is stopped, or overloaded, and was killed; the next start "
           "has another; see server_timeout");
  }
  if (stuck) forker_.Kill();
  if (next_check_ns_ != INT64_MAX) loop_.Schedule(next_check_ns_, [this] { CheckPatience(); });
}

}  // namespace brood::internal
