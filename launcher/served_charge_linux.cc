#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/child_safe.h"
#include "forkserver/server.h"
#include "launcher/launch_flatbuffer.h"
#include "launcher/messages_child.h"
#include "launcher/served_charge.h"
#include "launcher/slot.h"
#include "launcher/served_call.h"
#include "launcher/served_child.h"
#include "launcher/served_streams.h"
#include "launcher/target_signals_child.h"
#include "launcher/usage.h"
#include "sandbox/mounts_child.h"

namespace brood::internal {
namespace {

constexpr int64_t kSetupPatienceNs = 30'000'000'000;
constexpr int64_t kDrainPatienceNs = 1'000'000'000;
constexpr int64_t kNoteAfterNs = 20'000'000;

int64_t Now() { return static_cast<int64_t>(child::MonotonicNanoseconds()); }

// A guardian of its own: it tells its client all that there is to tell.
class GuardianCharge : public Charge {
 public:
  void OnSent(std::vector<UniqueFd>& fds) override { report_ = std::move(fds[0]); }
  // Or the end of the guardian would not be the end of its pipe.
  void OnBorn(pid_t /*pid*/, int /*pidfd*/) override { report_.reset(); }
  void OnEnded(std::unique_ptr<Charge> /*self*/, const child::KeeperNote& /*note*/) override {}
  void OnRefused(int error, std::string_view why) override {
    if (report_.valid()) ReportSetup(report_.get(), kServerStep, error, why);
  }
  void OnLost() override {}

 private:
  UniqueFd report_;
};

// A target whose guardian we are, as guardian_child.cc is of others.
class TargetCharge : public Charge {
 public:
  TargetCharge(Supervisor& supervisor, const LaunchRecord& record)
      : supervisor_(supervisor),
        control_number_(record.control),
        report_number_(record.report),
        setup_number_(record.setup_socket),
        is_program_(record.target.kind == LaunchTarget::Kind::kProgram),
        wall_ns_(static_cast<int64_t>(record.wall_ns)),
        grace_ns_(static_cast<int64_t>(record.grace_ns)),
        streams_(supervisor.loop(), record, [this] { End(EndCause::kOutput); }) {
    report_.outside_id = record.plan.caller_uid;
  }

  ~TargetCharge() override {
    for (std::optional<EventLoop::Timer>* timer : {&wall_, &patience_, &note_}) {
      if (timer->has_value()) loop().Cancel(**timer);
    }
    loop().Forget(control_.get());
    loop().Forget(setup_.get());
  }

  void OnSent(std::vector<UniqueFd>& fds) override {
    for (UniqueFd& fd : fds) {
      if (fd.get() == control_number_) control_ = std::move(fd);
      else if (fd.get() == report_number_) pipe_ = std::move(fd);
      else if (fd.get() == setup_number_) setup_ = std::move(fd);
      else streams_.Take(fd);
    }
    supervisor_.Close(std::exchange(fds, {}));  // Or the pipes of the streams would have no end.
    begin_ = Now();
    streams_.Begin();
    const bool watched = loop().Watch(control_.get(), EPOLLIN, [this](uint32_t) { OnCommand(); }).ok() &&
                         loop().Watch(setup_.get(), EPOLLIN, [this](uint32_t) { OnSetup(); }).ok();
    if (!watched) return End(EndCause::kOwnerGone);
    if (wall_ns_ > 0) wall_ = loop().Schedule(begin_ + wall_ns_, [this] { OnWallTime(); });
    patience_ = loop().Schedule(begin_ + kSetupPatienceNs, [this] { OnTime(patience_, EndCause::kSetupTimeout); });
  }

  void OnBorn(pid_t pid, int pidfd) override {
    report_.pid = pid;
    pidfd_ = pidfd;
    signals_.Born(pid, pid, pidfd);
    if (ready_) return Started();
    // One that takes its time, with its arguments for example, is not to be taken for one that nobody has borne.
    note_ = loop().Schedule(Now() + kNoteAfterNs, [this] {
      note_.reset();
      Tell(ReportKind::kInitBorn);
    });
  }

  bool PassOn(int keeper) override {
    GuardianReport note;
    note.kind = ReportKind::kKeeper;
    return child::SendRecord(control_.get(), &note, sizeof(note), &keeper, 1, MSG_DONTWAIT);
  }

  void OnOwnerGone() override { End(EndCause::kOwnerGone); }

  void OnEnded(std::unique_ptr<Charge> self, const child::KeeperNote& note) override {
    const int64_t end = Now();
    pidfd_ = -1;
    if (!setup_heard_) OnSetup();  // Its last words.
    // The client may not have closed its copy of the program's end yet.
    if (!setup_heard_ && execs_) BeReady();
    report_.pid = note.pid;
    report_.status = note.status;
    report_.has_status = 1;
    report_.tree_survived = note.tree_left;
    if (ready_) report_.started = 1;
    AddUsage(note, report_);
    AddSlot(note, report_);
    if (in_grace_ && report_.cause == EndCause::kNone) report_.cause = EndCause::kWallTime;
    // Our limit began when the order was sent, which may be before the keeper took it.
    if (report_.cause == EndCause::kWallTime) report_.wall_ns = std::max(report_.wall_ns, static_cast<uint64_t>(end - begin_));
    // A child that was killed before it was ready did not fail to set up: the signal, or the limit, is the truth.
    const bool killed = (WIFSIGNALED(note.status) || report_.cause != EndCause::kNone) && report_.setup.kind != SetupKind::kFailed;
    if (!ready_ && !killed) Fail();
    // What the child wrote before its end is passed on, as long as somebody takes it and the owner lives; but a sink that
    // takes nothing holds back no outcome beyond the wall limit, nor for long that of a child which we had to end.
    int64_t deadline = wall_ns_ > 0 ? begin_ + wall_ns_ : 0;
    if (report_.cause != EndCause::kNone) deadline = end + kDrainPatienceNs;
    self_ = std::move(self);
    streams_.Drain(report_.cause == EndCause::kOwnerGone ? end : deadline, [this] {
      Report();
      // With us, the closure ends that runs.
      supervisor_.loop().Schedule(0, [self = std::shared_ptr<Charge>(std::move(self_))]() mutable { self.reset(); });
    });
  }

  void OnRefused(int error, std::string_view why) override {
    if (pipe_.valid()) ReportSetup(pipe_.get(), kServerStep, error, why);
  }

  // The end of the pipe without a word is the word. But it may have started, which is to be known first.
  void OnLost() override {
    if (!setup_heard_ && setup_.valid()) OnSetup();
    if (!setup_heard_ && execs_) BeReady();
    if (ready_ && report_.started == 0) Started();  // Its keeper was killed before it could tell of the birth.
  }

 private:
  EventLoop& loop() { return supervisor_.loop(); }

  void End(EndCause cause) {
    if (self_ != nullptr) {  // It has ended, and what it has written is wanted by nobody.
      loop().Forget(control_.get());
      return streams_.GiveUp();
    }
    if (report_.cause != EndCause::kNone) return;
    report_.cause = cause;
    // What the child sees of its parent's end: before its own.
    if (cause == EndCause::kOwnerGone) {
      loop().Forget(setup_.get());
      setup_.reset();
      setup_heard_ = true;
    }
    loop().Forget(control_.get());
    supervisor_.Kill(place);
  }

  void OnWallTime() {
    if (grace_ns_ == 0 || in_grace_ || self_ != nullptr) return OnTime(wall_, EndCause::kWallTime);
    in_grace_ = true;
    wall_ = loop().Schedule(Now() + grace_ns_, [this] { OnTime(wall_, EndCause::kWallTime); });
    signals_.Send(SIGTERM, true);
  }

  void OnTime(std::optional<EventLoop::Timer>& timer, EndCause cause) {
    timer.reset();
    End(cause);
  }

  void OnCommand() {
    GuardianCommand command;
    const ssize_t n = recv(control_.get(), &command, sizeof(command), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n != static_cast<ssize_t>(sizeof(command)) || command.magic != kReportMagic) return End(EndCause::kOwnerGone);
    if (command.kind == GuardianCommand::Kind::kKill) return End(EndCause::kKillRequest);
    if (command.kind == GuardianCommand::Kind::kLetGo) return;
    signals_.Send(command.signal, command.kind == GuardianCommand::Kind::kSignalGroup);
  }

  void OnSetup() {
    SetupMessage message;
    ssize_t n;
    // A program that says to be ready is about to exec. What follows is why that failed, or the end of the socket.
    do {
      n = recv(setup_.get(), &message, sizeof(message), MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (is_program_ && n == 0 && execs_) return BeReady();
    } while (is_program_ && IsWhole(n, message) && message.kind == SetupKind::kReady && !std::exchange(execs_, true));
    setup_heard_ = true;
    loop().Forget(setup_.get());
    if (!IsWhole(n, message)) return;
    message.step[sizeof(message.step) - 1] = '\0';
    message.detail[sizeof(message.detail) - 1] = '\0';
    if (message.kind == SetupKind::kReady && !is_program_) return BeReady();
    report_.setup = message;
  }

  static bool IsWhole(ssize_t n, const SetupMessage& message) {
    return n == static_cast<ssize_t>(sizeof(message)) && message.magic == kSetupMessageMagic;
  }

  void BeReady() {
    setup_heard_ = true;
    loop().Forget(setup_.get());
    ready_ = true;
    if (patience_.has_value()) loop().Cancel(*std::exchange(patience_, std::nullopt));
    if (report_.pid != 0) Started();
  }

  void Started() {
    if (note_.has_value()) loop().Cancel(*std::exchange(note_, std::nullopt));
    report_.started = 1;
    signals_.SendKept();
    Tell(ReportKind::kStarted);
  }

  void Tell(ReportKind kind) {
    GuardianReport note = report_;
    note.kind = kind;
    // The caller may not be interested and let the socket fill up: never block on it.
    child::SendRecord(control_.get(), &note, sizeof(note), &pidfd_, pidfd_ >= 0 ? 1 : 0, MSG_DONTWAIT);
  }

  void Fail() {
    report_.setup_failed = 1;
    if (report_.setup.kind == SetupKind::kFailed) return;
    child::Fail(&report_.setup, "bootstrap", 0,
                "the child ended before its target was ready (is brood::Bootstrap called at the start of main?)");
  }

  // One write below PIPE_BUF into an empty pipe of the client's own. If that is anything else, its sender is not one of ours.
  void Report() {
    report_.kind = ReportKind::kEnded;
    streams_.Report(report_);
    fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
    (void)!write(pipe_.get(), &report_, sizeof(report_));
  }

  Supervisor& supervisor_;
  const int control_number_;
  const int report_number_;
  const int setup_number_;
  const bool is_program_;
  const int64_t wall_ns_;
  const int64_t grace_ns_;
  bool in_grace_ = false;
  ServedStreams streams_;
  std::unique_ptr<Charge> self_;  // Once the child has ended: until its output is passed on.
  UniqueFd control_;
  UniqueFd pipe_;
  UniqueFd setup_;
  int pidfd_ = -1;  // Borrowed from the supervisor.
  child::TargetSignals signals_{false};
  std::optional<EventLoop::Timer> wall_, patience_, note_;
  int64_t begin_ = 0;
  bool ready_ = false;
  bool execs_ = false;
  bool setup_heard_ = false;
  GuardianReport report_;
};

}  // namespace

bool ServeLaunches() {
  return ServeForks({.run = RunServedChild, .run_in_place = RunServedCall, .fail = FailServedChild, .rehearse = RehearseCall, .admit = AdmitLaunch, .make_slot = MakeSlot});
}

void AdmitLaunch(Supervisor& supervisor, int /*connection*/, Request request, const absl::Status& received) {
  const auto fail = [&](const absl::Status& why) {
    FailServedChild(request, why);
    supervisor.Close(std::move(request.fds));
  };
  if (!received.ok()) return fail(received);
  const absl::StatusOr<std::unique_ptr<ReceivedLaunch>> launch = DecodeLaunch(request.bytes, request.fds);
  if (!launch.ok()) return fail(launch.status());
  if (!HasGuardianPart((*launch)->record)) return fail(absl::DataLossError("launch: a descriptor that did not come"));
  const bool in_slot = (*launch)->record.slot != nullptr;
  const std::string_view plan = supervisor.PlanOf(request.tag);
  if (in_slot == plan.empty()) return fail(absl::DataLossError("launch: in a slot of no plan"));
  Order order;
  order.patience = (*launch)->patience;
  order.bytes = std::move(request.bytes);
  order.fds = std::move(request.fds);
  order.tell_birth = true;
  order.slot = plan;
  order.lease_after = (request.tag & kLeaseAfter) != 0;
  if (!in_slot && !NeedsNoInit((*launch)->record)) {
    order.is_guardian = true;
    order.charge = std::make_unique<GuardianCharge>();
  } else {
    order.charge = std::make_unique<TargetCharge>(supervisor, (*launch)->record);
  }
  supervisor.Place(std::move(order));
}

}  // namespace brood::internal
