#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/time/time.h"
#include "base/status.h"
#include "forkserver/keeper_child.h"
#include "forkserver/request.h"
#include "forkserver/supervisor.h"
#include "ipc/deadline.h"
#include "launcher/keeper_report.h"
#include "launcher/leased_child.h"
#include "launcher/served_child.h"

namespace brood::internal {
namespace {

using child::KeeperNote;
using child::OrderTag;

constexpr absl::Duration kStartPatience = absl::Seconds(30);  // As the supervisor has.
constexpr absl::Duration kContinueAgain = absl::Milliseconds(100);

}  // namespace

LeasedChild::~LeasedChild() {
  if (lease_ == nullptr) return;
  if (has_order_) {
    shutdown(lease_->socket.get(), SHUT_RDWR);
  } else {
    ForkServer::GiveBack(std::move(*lease_));
  }
}

absl::Status LeasedChild::Order(std::string_view bytes, const std::vector<int>& fds, const child::OutputOrder& output) {
  const OrderTag tag = {.flags = OrderTag::kTell | OrderTag::kReport};
  BROOD_RETURN_IF_ERROR(SendRequest(lease_->socket.get(), bytes, fds,
                                    {.tag = tag.Encode(), .inline_bytes = kRecordInlineBytes, .words = output.Encode()}));
  has_order_ = true;
  return absl::OkStatus();
}

// Whether there was one. What else a keeper says, it says at the sentinel.
bool LeasedChild::ReadNote(int flags) {
  KeeperNote note;
  ssize_t n;
  while ((n = recv(lease_->socket.get(), &note, sizeof(note), flags)) < 0 && errno == EINTR) {
  }
  if (n != static_cast<ssize_t>(sizeof(note))) return false;
  if (note.kind == KeeperNote::Kind::kBorn) pid_ = note.pid;
  return true;
}

void LeasedChild::SendWord() {
  // If it has ended there is nobody to hear it.
  (void)!send(setup_.get(), "", 1, MSG_NOSIGNAL);
}

// One that says to be ready is about to exec. What follows is why that failed, or the end of the socket.
void LeasedChild::ReadSetup() {
  while (setup_.valid()) {
    SetupMessage message;
    const ssize_t n = recv(setup_.get(), &message, sizeof(message), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    const bool whole = n == static_cast<ssize_t>(sizeof(message)) && message.magic == kSetupMessageMagic;
    if (whole && message.kind == SetupKind::kReady && !std::exchange(execs_, true)) continue;
    setup_.reset();
    ready_ = n == 0 && execs_;
    if (!whole) return;
    message.step[sizeof(message.step) - 1] = '\0';
    message.detail[sizeof(message.detail) - 1] = '\0';
    message_ = message;
  }
}

void LeasedChild::AwaitStart(int sentinel) {
  const Deadline deadline(kStartPatience);
  while (setup_.valid()) {
    // Not for what is said: the end follows, of the exec, or of a child that has failed.
    pollfd polls[] = {{setup_.get(), POLLRDHUP, 0}, {sentinel, POLLIN, 0}};
    const absl::Duration patience = deadline.passed() ? kContinueAgain : std::min(kContinueAgain, deadline.Left());
    const timespec left = absl::ToTimespec(patience);
    const int ready = ppoll(polls, 2, &left, nullptr);
    if (ready == 0) Continue();
    if (ready == 0 && deadline.passed() && cause_ == EndCause::kNone) {
      Kill().IgnoreError();
      cause_ = EndCause::kSetupTimeout;
    }
    if (ready <= 0) continue;
    if (polls[0].revents != 0) ReadSetup();
    if (polls[1].revents != 0) return;
  }
}

int LeasedChild::pid() {
  // The program may run before its keeper has said so.
  pollfd polled = {lease_ != nullptr ? lease_->socket.get() : -1, POLLIN, 0};
  while (pid_ == 0 && lease_ != nullptr) {
    if (poll(&polled, 1, ready_ ? absl::ToInt64Milliseconds(kContinueAgain) : 0) == 0) {
      if (!ready_) break;
      Continue();
    } else if (!ReadNote(MSG_DONTWAIT)) {
      break;  // It was killed.
    }
  }
  return pid_;
}

absl::Status LeasedChild::Send(uint64_t tag) const {
  if (lease_ == nullptr) return absl::OkStatus();
  const absl::Status sent = SendRequest(lease_->socket.get(), {}, {}, {.tag = tag});
  return absl::IsUnavailable(sent) ? absl::OkStatus() : sent;
}

absl::Status LeasedChild::Signal(int signal, bool group) {
  return Send(OrderTag{.kind = OrderTag::Kind::kSignal, .flags = static_cast<uint32_t>(signal) | (group ? OrderTag::kGroup : 0)}.Encode());
}

absl::Status LeasedChild::Kill() {
  if (cause_ == EndCause::kNone) cause_ = EndCause::kKillRequest;
  return Send(OrderTag{.kind = OrderTag::Kind::kKill}.Encode());
}

void LeasedChild::Continue() const {
  if (lease_ == nullptr) return;
  // Nobody takes it, should that have ended.
  SendRequest(lease_->instance->socket.get(), "", {}, {.patience = absl::ZeroDuration(), .tag = kContinueTag}).IgnoreError();
}

bool LeasedChild::ReadEnd(int sentinel, GuardianReport* report) {
  KeeperNote note;
  ssize_t n;
  while ((n = read(sentinel, &note, sizeof(note))) < 0 && errno == EINTR) {
  }
  const bool told = n == static_cast<ssize_t>(sizeof(note));
  ReadSetup();  // Its last words.
  // The keeper may not have closed its copy of the program's end, but there is nobody left to fail.
  if (setup_.valid() && execs_) ready_ = true;
  setup_.reset();
  while (ReadNote(MSG_DONTWAIT)) {
  }
  std::unique_ptr<ForkServer::Lease> lease = std::exchange(lease_, nullptr);
  if (!told) {
    // It may have left before it saw the order. A child says that it is about to exec.
    if (execs_) return false;
    report->setup_failed = 1;
    report->setup = SetupFailureOf(kServerStep, 0, "its keeper has ended before the program ran");
    return true;
  }
  *report = ReportOf(note);
  if (note.retires == 0) ForkServer::GiveBack(std::move(*lease));
  if (note.kind == KeeperNote::Kind::kRefused) return true;
  report->started = ready_ ? 1 : 0;
  report->setup = message_;
  // What ended by itself before our order came was not ended by that.
  const bool by_kill = WIFSIGNALED(note.status) && WTERMSIG(note.status) == SIGKILL;
  if (report->cause == EndCause::kNone && by_kill) report->cause = cause_;
  // A child that was killed before it was ready did not fail to set up: the signal, or the limit, is the truth.
  const bool killed = (WIFSIGNALED(note.status) || report->cause != EndCause::kNone) && message_.kind != SetupKind::kFailed;
  if (!ready_ && !killed) {
    report->setup_failed = 1;
    if (message_.kind != SetupKind::kFailed) report->setup = SetupFailureOf("bootstrap", 0, "the child ended before its program was executed");
  }
  return true;
}

}  // namespace brood::internal
