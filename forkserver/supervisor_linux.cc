#include "forkserver/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/fd_message_child.h"
#include "base/status.h"
#include "forkserver/server.h"

namespace brood::internal {
namespace {

constexpr size_t kMaxChildren = 65536;    // Those that wait included.
constexpr size_t kMaxIdleKeepers = 32;    // Each takes some 40 KiB of the kernel's and our memory.
constexpr int64_t kContinueEveryNs = 100'000'000;
constexpr int64_t kDisarmAfterNs = 1'000'000'000;

int64_t Now() { return static_cast<int64_t>(child::MonotonicNanoseconds()); }

// Whoever starts us says nothing by its limit about what it sends later. Gives what the limit was.
uint64_t RaiseFileLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const uint64_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return before;
}

// They are the user's, for what the preload prints. A reader of them would wait for our end.
void LeaveStreams() {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int stream = 0; stream < 3; ++stream) dup2(null.get(), stream);
}

}  // namespace

Supervisor::Supervisor(int socket, Admit admit, std::string preparation, UniqueFd owner)
    : socket_(socket), admit_(admit), owner_(std::move(owner)), forker_(std::move(preparation), RaiseFileLimit()) {}

void Supervisor::Run() {
  prctl(PR_SET_NAME, "brood-supervise", 0, 0, 0);
  if (const absl::Status started = Start(); !started.ok()) {
    ServerNote note;
    note.kind = ServerNote::Kind::kFailed;
    memcpy(note.text, started.message().data(), std::min(started.message().size(), sizeof(note.text) - 1));
    (void)send(socket_, &note, sizeof(note), MSG_NOSIGNAL);  // Nobody is there to hear if that fails.
    _exit(1);
  }
  for (;;) {
    loop_.Step();
    MaybeLeave();
  }
}

absl::Status Supervisor::Start() {
  // Signals for the caller's group, such as the terminal's, are not for us; its session remains ours, and that of the
  // children.
  setpgid(0, 0);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  // Of what is left by a child whose keeper was killed.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return ErrnoStatus(errno, "PR_SET_CHILD_SUBREAPER");
  BROOD_RETURN_IF_ERROR(loop_.Open());
  // The timer of StayAwake goes on only once its signal has been taken. timer_create(2)
  const uint64_t mask = uint64_t{1} << (SIGCHLD - 1) | uint64_t{1} << (SIGCONT - 1);
  signals_.reset(static_cast<int>(syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK)));
  if (!signals_.valid()) return ErrnoStatus(errno, "signalfd");
  BROOD_RETURN_IF_ERROR(loop_.Watch(signals_.get(), EPOLLIN, [this](uint32_t) { OnSignal(); }));
  BROOD_RETURN_IF_ERROR(loop_.Watch(owner_.get(), EPOLLIN, [this](uint32_t) { EndAll(); }));
  BROOD_RETURN_IF_ERROR(loop_.Watch(socket_, EPOLLIN, [this](uint32_t) { OnConnection(); }));
  return StartServer();
}

void Supervisor::OnConnection() {
  Request request;
  const absl::Status received = ReceiveRequest(socket_, request);
  if (absl::IsOutOfRange(received) || absl::IsUnavailable(received)) {
    loop_.Forget(socket_);
    open_ = false;
    return;
  }
  if (received.ok() && request.tag == kContinueTag) return ContinueKeepers();
  if (!received.ok() || request.tag != kLeaseTag) return admit_(*this, socket_, std::move(request), received);
  ++leases_wanted_;
  if (forker_.pidfd() < 0) return Restart();
  Dispatch();
}

void Supervisor::OnSignal() {
  signalfd_siginfo infos[4];
  const ssize_t n = read(signals_.get(), infos, sizeof(infos));
  for (ssize_t i = 0; i < n / static_cast<ssize_t>(sizeof(infos[0])); ++i) {
    if (infos[i].ssi_signo == SIGCONT) ContinueKeepers();
  }
  for (;;) {
    const pid_t pid = waitpid(-1, nullptr, WNOHANG | __WALL);
    if (pid == 0 || (pid < 0 && errno != EINTR)) return;
    // From now on the number may be another's. That it is gone is seen by its socket.
    for (uint32_t number = 0; number < keepers_.size(); ++number) {
      if (keepers_[number].pid != pid) continue;
      keepers_[number].pid = -1;
      if (!keepers_[number].leased) continue;
      Retire(number);
      EndStrays();
    }
  }
}

// A child may have stopped its keeper, which is its parent.
void Supervisor::ContinueKeepers() const {
  for (const Keeper& keeper : keepers_) {
    if ((keeper.place.has_value() || keeper.leased) && keeper.pid > 0) kill(keeper.pid, SIGCONT);
  }
}

// --- the server ---

absl::Status Supervisor::StartServer() {
  BROOD_RETURN_IF_ERROR(forker_.Start());
  BROOD_RETURN_IF_ERROR(loop_.Watch(forker_.socket(), EPOLLIN, [this](uint32_t) { OnServerNote(); }));
  return loop_.Watch(forker_.pidfd(), EPOLLIN, [this](uint32_t) { OnServerEnd(); });
}

void Supervisor::Restart() {
  failure_.clear();
  const absl::Status started = StartServer();
  if (started.ok()) return;
  failure_ = started.message();
  OnServerEnd();
}

void Supervisor::OnServerNote() {
  if (ready_) {
    int32_t error = 0;
    while (recv(forker_.socket(), &error, sizeof(error), MSG_DONTWAIT) == static_cast<ssize_t>(sizeof(error))) {
      if (queued_.empty()) continue;
      const uint32_t place = queued_.front();
      queued_.pop_front();
      Refuse(place, error, "fork a keeper for the child; see the limits of processes and memory");
    }
    return Dispatch();  // It may have room for more.
  }
  ServerNote note;
  if (recv(forker_.socket(), &note, sizeof(note), MSG_DONTWAIT) != static_cast<ssize_t>(sizeof(note))) return;
  if (!was_ready_) (void)send(socket_, &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (note.kind == ServerNote::Kind::kFailed) failure_.assign(note.text, strnlen(note.text, sizeof(note.text)));
  if (note.kind != ServerNote::Kind::kReady) return;
  ready_ = was_ready_ = true;
  LeaveStreams();
  Dispatch();
}

void Supervisor::OnServerEnd() {
  if (forker_.pidfd() >= 0) {
    if (!ready_) OnServerNote();  // Its last words.
    loop_.Forget(forker_.socket());
    loop_.Forget(forker_.pidfd());
    forker_.Reap();
  }
  if (!was_ready_) _exit(1);
  const bool failed = !ready_;  // It was to take the place of another one.
  ready_ = false;
  // What they have is as good as the next server's, but somebody may have wanted another one.
  for (uint32_t number = 0; number < keepers_.size(); ++number) keepers_[number].old = true;
  while (!idle_.empty()) {
    const uint32_t number = idle_.back();
    idle_.pop_back();
    Retire(number);
  }
  if (failed) {
    for (; leases_wanted_ > 0; --leases_wanted_) {
      ServerNote note;
      note.kind = ServerNote::Kind::kFailed;
      memcpy(note.text, failure_.data(), std::min(failure_.size(), sizeof(note.text) - 1));
      (void)send(socket_, &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    std::deque<uint32_t> queued;
    queued.swap(queued_);
    for (const uint32_t place : queued) {
      Refuse(place, 0, absl::StrCat("the server had to be started again, which failed: ", failure_.empty() ? "it ended" : failure_));
    }
  } else if (!queued_.empty() || leases_wanted_ > 0) {
    Restart();
  }
}

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
    --coming_;
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
  EndStrays();
}

// What a child has left whose keeper was killed; the child itself is killed by that. A guardian goes on, and is left alone.
void Supervisor::EndStrays() {
  if (guardians_strayed_ || coming_ > 0) return;
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

// --- the end ---

// A child that no pid namespace keeps from it may stop its keeper, and us: SIGSTOP cannot be blocked. A timer of the kernel's
// goes on in a stopped process, and SIGCONT continues one when it is sent, blocked or not. timer_create(2), signal(7)
void Supervisor::StayAwake() {
  const bool wanted = live_ > 0;
  if (wanted == armed_) {
    if (wanted) loop_.Schedule(Now() + kDisarmAfterNs, [this] { StayAwake(); });
    return;
  }
  if (!awake_.has_value()) {
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGCONT;
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return;  // RLIMIT_SIGPENDING. Only who is stopped misses it.
    awake_ = timer;
  }
  armed_ = wanted;
  itimerspec when = {};
  when.it_value.tv_nsec = when.it_interval.tv_nsec = wanted ? kContinueEveryNs : 0;
  timer_settime(*awake_, 0, &when, nullptr);
  // It is not set anew for each of many short children.
  if (wanted) loop_.Schedule(Now() + kDisarmAfterNs, [this] { StayAwake(); });
}

void Supervisor::EndAll() {
  loop_.Forget(owner_.get());
  ending_ = true;
  forker_.Kill();
  for (uint32_t place = 0; place < children_.size(); ++place) {
    if (children_[place].state != State::kFree) children_[place].charge->OnOwnerGone();
  }
  // A fork of the owner may hold the socket of one.
  for (const Keeper& keeper : keepers_) {
    if (keeper.leased && keeper.pid > 0) kill(keeper.pid, SIGKILL);
  }
}

void Supervisor::MaybeLeave() {
  if (ending_ && live_ == live_guardians_) _exit(0);
  if (!open_ && live_ == 0) _exit(0);
}

}  // namespace brood::internal
