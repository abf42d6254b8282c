#include "forkserver/supervisor.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
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
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "forkserver/server.h"
#include "forkserver/template.h"

namespace brood::internal {
namespace {

constexpr int kKeptHeap = 4 << 20;
constexpr int64_t kContinueEveryNs = 100'000'000;
constexpr int64_t kMomentNs = 100'000'000;
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

bool IsOf(uint64_t tag, uint64_t kind) { return tag >> 32 == kind >> 32; }

// They are the user's, for what the preload prints. A reader of them would wait for our end.
void LeaveStreams() {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int stream = 0; stream < 3; ++stream) dup2(null.get(), stream);
}

}  // namespace

Supervisor::Supervisor(int socket, Admit admit, SlotMaker make_slot, std::string preparation, UniqueFd owner)
    : socket_(socket), admit_(admit), make_slot_(make_slot), owner_(std::move(owner)), forker_(std::move(preparation), RaiseFileLimit()) {}

void Supervisor::Run() {
  prctl(PR_SET_NAME, "brood-supervise", 0, 0, 0);
  // What a child needs here, its streams' buffers above all, the next one needs again: the heap is not to shrink between them.
  mallopt(M_TRIM_THRESHOLD, kKeptHeap);
  mallopt(M_MMAP_THRESHOLD, kKeptHeap);
  if (const absl::Status started = Start(); !started.ok()) {
    failure_ = started.message();
    TellFailure();
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
  BROOD_RETURN_IF_ERROR(forker_.TakeNumbers());
  BROOD_RETURN_IF_ERROR(loop_.Watch(socket_, EPOLLIN, [this](uint32_t) { OnConnection(); }));
  return StartServer();
}

void Supervisor::OnConnection() {
  Request request;
  const absl::Status received = ReceiveRequest(socket_, request);
  if (absl::IsOutOfRange(received) || absl::IsUnavailable(received)) {
    loop_.Forget(socket_);
    open_ = false;
    return GiveUpIdle();
  }
  if (received.ok() && request.tag == kContinueTag) return ContinueKeepers();
  if (received.ok() && IsOf(request.tag, kPlanTag)) return KeepPlan(std::move(request));
  if (received.ok() && request.tag == kTemplateTag) return PlaceTemplate(*this, std::move(request));
  if (!received.ok() || !LeaseTag::Is(request.tag)) return admit_(*this, socket_, std::move(request), received);
  const LeaseTag lease = LeaseTag::Decode(request.tag);
  const std::string_view plan = lease.in_slots ? PlanOf(kInSlotTag | lease.plan) : std::string_view();
  const std::optional<uint32_t> kind = FindKind(plan);
  if (!kind.has_value() || (lease.in_slots && plan.empty())) {
    for (uint32_t i = 0; i < lease.count; ++i) {
      NoteFailure(socket_, kind.has_value() ? "it names a sandbox that nobody has sent" : "it has as many different sandboxes as it can");
    }
    return;
  }
  kinds_[*kind].leases_wanted += lease.count;
  if (forker_.pidfd() < 0) return Restart();
  DispatchKind(*kind);
}

void Supervisor::KeepPlan(Request request) {
  const auto number = static_cast<uint32_t>(request.tag);
  if (number >= kMaxPlans) return;
  if (plans_.size() <= number) plans_.resize(number + 1);
  plans_[number] = std::move(request.bytes);
}

std::string_view Supervisor::PlanOf(uint64_t tag) const {
  const auto number = static_cast<uint32_t>(tag & ~kLeaseAfter);
  return IsOf(tag, kInSlotTag) && number < plans_.size() ? std::string_view(plans_[number]) : std::string_view();
}

void Supervisor::OnSignal() {
  signalfd_siginfo infos[4];
  const ssize_t n = read(signals_.get(), infos, sizeof(infos));
  for (ssize_t i = 0; i < n / static_cast<ssize_t>(sizeof(infos[0])); ++i) {
    if (infos[i].ssi_signo == SIGCONT) ContinueKeepers();
  }
  bool reaped = false;
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) break;
    reaped = true;
    if (pid == forker_.pid()) forker_.OnReaped(status);
    // From now on the number may be another's. That it is gone is seen by its socket, if we have that.
    for (const auto& [last, number] : leaving_) {
      if (last == pid) free_numbers_.push_back(number);
    }
    std::erase_if(leaving_, [pid](const auto& leaving) { return leaving.first == pid; });
    for (uint32_t number = 0; number < keepers_.size(); ++number) {
      Keeper& keeper = keepers_[number];
      if (keeper.shield == pid) keeper.shield = -1;
      if (keeper.pid != pid) continue;
      keeper.pid = -1;
      if (keeper.place.has_value() && children_[*keeper.place].is_guardian) guardians_strayed_ = true;
      if (!keeper.leased) continue;
      const uint32_t kind = keeper.kind;
      Retire(number);
      DispatchKind(kind);
    }
    Reaped(pid);
  }
  // What a process leaves becomes ours when it ends, and so, one after the other, all that a killed keeper had below it.
  if (reaped) EndStrays();
}

// A child may have stopped its keeper, which is its parent.
void Supervisor::ContinueKeepers() const {
  for (const Keeper& keeper : keepers_) {
    if ((keeper.place.has_value() || keeper.leased) && keeper.pid > 0) kill(keeper.pid, SIGCONT);
  }
}

// --- the server ---

absl::Status Supervisor::StartServer() {
  if (forker_.pidfd() < 0) BROOD_RETURN_IF_ERROR(forker_.Start());
  BROOD_RETURN_IF_ERROR(loop_.Watch(forker_.socket(), EPOLLIN, [this](uint32_t) { OnServerNote(); }));
  return loop_.Watch(forker_.pidfd(), EPOLLIN, [this](uint32_t) { OnServerEnd(); });
}

// To the client, who waits for it. Nobody is there to hear if that fails.
void Supervisor::TellFailure() const {
  ServerNote note;
  note.kind = ServerNote::Kind::kFailed;
  note.SetText(failure_);
  (void)send(socket_, &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Supervisor::Restart() {
  failure_.clear();
  doing_.clear();
  const absl::Status started = StartServer();
  if (started.ok()) return;
  failure_ = started.message();
  OnServerEnd();
}

bool Supervisor::OnServerNote() {
  if (ready_) {
    int32_t error = 0;
    ssize_t size;
    while ((size = recv(forker_.socket(), &error, sizeof(error), MSG_DONTWAIT)) == static_cast<ssize_t>(sizeof(error))) {
      const auto waits = std::find_if(kinds_.begin(), kinds_.end(), [](const Kind& kind) { return !kind.queued.empty(); });
      if (waits == kinds_.end()) continue;
      const uint32_t place = waits->queued.front();
      waits->queued.pop_front();
      Refuse(place, error, "fork a keeper for the child; see the limits of processes and memory");
    }
    if (size == 0) AwaitServerEnd();
    Dispatch();  // It may have room for more.
    return true;
  }
  ServerNote note;
  const ssize_t size = recv(forker_.socket(), &note, sizeof(note), MSG_DONTWAIT);
  if (size == 0) AwaitServerEnd();
  if (size != static_cast<ssize_t>(sizeof(note))) return false;
  if (!was_ready_) (void)send(socket_, &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (note.kind == ServerNote::Kind::kFailed) failure_ = note.Text();
  if (note.kind == ServerNote::Kind::kPreloading) doing_ = note.Text();
  if (note.kind != ServerNote::Kind::kReady) return true;
  ready_ = was_ready_ = true;
  LeaveStreams();
  Dispatch();
  return true;
}

// It has closed its socket, because it ends, in a moment, which tells how; or a preload has closed that, and nobody would hear of it
// again. Children of another one that live are not to wait for that.
void Supervisor::AwaitServerEnd() {
  loop_.Forget(forker_.socket());
  if (closed_.has_value()) return;
  closed_ = loop_.Schedule(Now() + kMomentNs, [this] {
    closed_.reset();
    if (!ready_ && failure_.empty()) {
      failure_ = absl::StrCat(doing_, doing_.empty() ? "" : ": ", "the server has closed its socket, or a preload has put another file there");
      if (!was_ready_) TellFailure();
    }
    forker_.Kill();
  });
}

void Supervisor::OnServerEnd() {
  if (forker_.pidfd() >= 0) {
    while (!ready_ && OnServerNote()) {  // Its last words, which nobody may have heard the first of.
    }
    if (closed_.has_value()) loop_.Cancel(*std::exchange(closed_, std::nullopt));
    loop_.Forget(forker_.socket());
    loop_.Forget(forker_.pidfd());
    const std::string end = forker_.Reap();
    if (!ready_ && failure_.empty()) {
      failure_ = absl::StrCat(doing_, doing_.empty() ? "" : ": ", "the server ", end, doing_.empty() ? "" : " while it did that");
      if (!was_ready_) {
        EndPreload();  // Who is told ends us.
        TellFailure();
      }
    }
  }
  if (!was_ready_) {
    EndPreload();
    _exit(1);
  }
  if (!ready_) EndStrays();
  const bool failed = !ready_;  // It was to take the place of another one.
  ready_ = false;
  // What they have is as good as the next server's, but somebody may have wanted another one.
  for (uint32_t number = 0; number < keepers_.size(); ++number) keepers_[number].old = true;
  bool wanted = false;
  for (uint32_t number = 0; number < kinds_.size(); ++number) {
    Kind& kind = kinds_[number];
    while (!kind.idle.empty()) {
      const uint32_t keeper = kind.idle.back();
      kind.idle.pop_back();
      Retire(keeper);
    }
    if (!failed) {
      wanted |= !kind.queued.empty() || kind.leases_wanted > 0;
      continue;
    }
    RefuseLeases(number, failure_);
    std::deque<uint32_t> queued;
    queued.swap(kind.queued);
    for (const uint32_t place : queued) {
      Refuse(place, 0, absl::StrCat("the server had to be started again, which failed: ", failure_));
    }
  }
  if (wanted) Restart();
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
  const bool leaves = (ending_ && live_ == live_guardians_) || (!open_ && live_ == 0);
  if (!leaves) return;
  EndSlots();
  if (!ready_) EndPreload();
  _exit(0);
}

}  // namespace brood::internal
