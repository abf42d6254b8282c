// Keepers and the children that they have; the rest of the class is in supervisor_linux.cc.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/fd_message_child.h"
#include "forkserver/server.h"
#include "forkserver/supervisor.h"

namespace brood::internal {
namespace {

constexpr size_t kMaxChildren = 65536;  // Those that wait included.
constexpr size_t kMaxIdleKeepers = 32;  // Each takes some 40 KiB of the kernel's and our memory.

int64_t Now() { return static_cast<int64_t>(child::MonotonicNanoseconds()); }

}  // namespace

// --- keepers ---

void Supervisor::AskForKeepers() {
  while (coming_ < queued_.size() + leases_wanted_) {
    if (free_numbers_.empty() && keepers_.size() == child::kMaxKeepers) return;  // The next that is idle will do.
    uint32_t number = static_cast<uint32_t>(keepers_.size());
    if (!free_numbers_.empty()) number = free_numbers_.back();
    absl::StatusOr<UniqueFd> socket = forker_.AskForKeeper(number);
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
      const absl::Status watched =
          loop_.Watch(keepers_[number].socket.get(), EPOLLIN, [this, number](uint32_t) { OnKeeper(number); });
      if (watched.ok()) {
        ++coming_;
        continue;
      }
      Retire(number);
    }
    // Those that are there serve it, if there are any.
    if (coming_ + live_ > queued_.size() || queued_.empty()) return;
    const uint32_t place = queued_.front();
    queued_.pop_front();
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
    if (--coming_ == 0 && strays_) EndStrays();
    return Release(number);
  }
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
    Free(place)->OnEnded(note.pid, note.status, note.usage, note.tree_left != 0);
  } else if (note.error == child::KeeperNote::kHasThreads) {
    Refuse(place, 0,
           "a preload has left threads running, and a lock that one of them holds at a fork would be held for ever in the "
           "child; start threads in the children, or join them");
  } else {
    Refuse(place, note.error, "fork the child; see the limits of processes, memory and open files");
  }
  Release(number);
}

void Supervisor::Release(uint32_t number) {
  if (!keepers_[number].old && leases_wanted_ > 0) return Lease(number);
  if (keepers_[number].old || (idle_.size() >= kMaxIdleKeepers && queued_.empty())) return Retire(number);
  idle_.push_back(number);
  Dispatch();
}

void Supervisor::Lease(uint32_t number) {
  --leases_wanted_;
  Keeper& keeper = keepers_[number];
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

// It ends when it sees the end of its socket.
void Supervisor::Retire(uint32_t number) {
  if (keepers_[number].socket.valid()) loop_.Forget(keepers_[number].socket.get());
  keepers_[number] = Keeper();
  free_numbers_.push_back(number);
}

void Supervisor::OnKeeperEnd(uint32_t number) {
  const std::optional<uint32_t> place = keepers_[number].place;
  const bool came = keepers_[number].pid != 0;
  std::erase(idle_, number);
  Retire(number);
  if (!came) {
    // The server could not fork it, and says why, or has ended, which will be seen.
    --coming_;
    return Dispatch();
  }
  if (!place.has_value()) return;
  if (children_[*place].is_guardian) guardians_strayed_ = true;
  Free(*place)->OnLost();
}

// What a child has left whose keeper was killed; the child itself is killed by that. A guardian goes on, and is left alone.
void Supervisor::EndStrays() {
  strays_ = coming_ > 0;  // One that has not said its number yet would be taken for one.
  if (guardians_strayed_ || strays_) return;
  char text[65536];
  const std::string path = absl::StrCat("/proc/self/task/", getpid(), "/children");
  if (child::ReadFile(AT_FDCWD, path.c_str(), text, sizeof(text)) <= 0) return;
  for (const char* at = text; *at != '\0';) {
    const auto pid = static_cast<pid_t>(child::ParseNumber(at));
    const char* const next = strchr(at, ' ');
    if (next == nullptr) break;
    at = next + 1;
    const bool known = pid == forker_.pid() ||
                       std::any_of(keepers_.begin(), keepers_.end(), [pid](const Keeper& keeper) { return keeper.pid == pid; });
    // Ours, and reaped by nobody else: the number is its.
    if (!known) kill(pid, SIGKILL);
  }
}

// --- the children ---

void Supervisor::Place(Order order) {
  uint32_t place;
  if (!free_places_.empty()) {
    place = free_places_.back();
    free_places_.pop_back();
  } else if (children_.size() < kMaxChildren) {
    place = static_cast<uint32_t>(children_.size());
    children_.emplace_back();
  } else {
    order.charge->OnSent(std::move(order.fds));
    order.charge->OnRefused(EAGAIN, absl::StrCat("it has ", kMaxChildren, " children, as many as it can"));
    return;
  }
  Child& mine = children_[place];
  mine.state = State::kQueued;
  mine.is_guardian = order.is_guardian;
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
  queued_.push_back(place);
  if (forker_.pidfd() < 0) return Restart();
  Dispatch();
}

void Supervisor::Dispatch() {
  if (!ready_) return;
  while (leases_wanted_ > 0 && !idle_.empty()) {
    const uint32_t number = idle_.back();
    idle_.pop_back();
    Lease(number);
  }
  while (!queued_.empty() && !idle_.empty()) {
    // The last one to become idle: its memory is in the caches.
    const uint32_t number = idle_.back();
    const uint32_t place = queued_.front();
    idle_.pop_back();
    queued_.pop_front();
    if (Send(place, number)) continue;
    queued_.push_front(place);
    OnKeeperEnd(number);
  }
  AskForKeepers();
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
    idle_.push_back(number);
    return true;
  }
  std::vector<UniqueFd> given = std::move(child.order.fds);
  child.order = Order();
  child.state = State::kSent;
  child.keeper = number;
  keepers_[number].place = place;
  child.charge->OnSent(std::move(given));
  return true;
}

void Supervisor::Kill(uint32_t place) {
  Child& child = children_[place];
  if (child.state == State::kFree) return;  // It was refused.
  if (child.state == State::kQueued) {
    std::erase(queued_, place);
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
  if (was_queued) charge->OnSent(std::move(fds));
  charge->OnRefused(error, why);
}

std::unique_ptr<Charge> Supervisor::Free(uint32_t place) {
  std::unique_ptr<Charge> charge = std::move(children_[place].charge);
  if (children_[place].is_guardian) --live_guardians_;
  --live_;
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
      std::erase(queued_, place);
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
