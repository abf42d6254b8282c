#include "launcher/guardian_child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "base/child_safe.h"
#include "launcher/copy/copy_child.h"
#include "launcher/descriptors_child.h"
#include "launcher/guardian_birth_child.h"
#include "launcher/guardian_end_child.h"
#include "launcher/input_pump_child.h"
#include "launcher/limit_watch_child.h"
#include "launcher/messages_child.h"
#include "launcher/pump_child.h"
#include "launcher/stack/snapshot_child.h"
#include "launcher/stay_awake_child.h"
#include "launcher/target_signals_child.h"
#include "launcher/tree_child.h"
#include "launcher/violation_watch_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

constexpr uint64_t kSetupPatienceNs = 30ull * 1'000'000'000;
constexpr uint64_t kReadyNs = 2'000'000;  // Most functions are sooner, and a note would wake their caller once more.
constexpr uint64_t kDrainPatienceNs = 1ull * 1'000'000'000;
constexpr uint64_t kStartLookNs = 100ull * 1'000'000;
constexpr uint64_t kStoppedSlackNs = 10ull * 1'000'000;
constexpr int kKillPatienceMs = 10'000;

class Guardian {
 public:
  // `light` is null where an init stands between the target and us.
  Guardian(LaunchRecord* record, const LightBirth* light)
      : record_(*record),
        light_(light),
        input_(&record->input),
        pump_(record->streams, record->output_limited, record->output_bytes),
        limits_(*record),
        violations_(record->plan),
        signals_(record->plan.new_session, record->own_terminal) {}

  [[noreturn]] void Run() {
    setup_deadline_ = MonotonicNanoseconds() + kSetupPatienceNs;
    WatchSignals();
    // The end of the owner, that of the init, that of a function.
    for (const int socket : {record_.control, record_.guardian_socket, record_.setup_socket}) StayAwake::Hear(socket);
    Schedule(MonotonicNanoseconds());
    const uint64_t begin = MonotonicNanoseconds();  // Before the target can run: then it may have slept before we look.
    const bool born = light_ != nullptr ? StartLightTarget(&record_, *light_, &init_, &report_.setup)
                                        : StartInit(&record_, &init_, &report_.setup);
    if (!born) {
      report_.setup_failed = 1;
      ended_ = true;
    } else if (light_ != nullptr) {
      OnBorn(init_.pidfd, begin);
      if (record_.served) birth_note_ = begin_ + kReadyNs;
    }
    report_.outside_id = init_.outside_id;
    while (!ended_) Step();
    Finish();
  }

 private:
  void End(EndCause cause) {
    if (report_.cause == EndCause::kNone) report_.cause = cause;
    ended_ = true;
  }

  bool started() const { return report_.started != 0; }

  void Step() {
    enum { kControl, kOwner, kInit, kInitPid, kSignals, kListener, kConnects, kSetup, kInput, kStreams, kCount = kStreams + 2 };
    pollfd polls[kCount];
    polls[kControl] = {record_.control, POLLIN, 0};
    polls[kOwner] = {record_.owner, POLLIN, 0};
    polls[kInit] = {record_.guardian_socket, POLLIN, 0};
    polls[kInitPid] = {init_.pidfd, POLLIN, 0};
    polls[kSignals] = {signals_fd_, POLLIN, 0};
    polls[kListener] = {violations_.listener(), POLLIN, 0};
    polls[kConnects] = {violations_.pending(), POLLIN, 0};
    polls[kSetup] = {setup_heard_ ? -1 : record_.setup_socket, POLLIN, 0};
    polls[kInput] = input_.Poll();
    pump_.AddPolls(polls + kStreams);

    timespec left;
    const uint64_t now = MonotonicNanoseconds();
    const uint64_t next = Schedule(now);
    const timespec* wait = next != UINT64_MAX ? Until(next, now, &left) : nullptr;
    if (ppoll(polls, kCount, wait, nullptr) < 0 && errno != EINTR) return End(EndCause::kOwnerGone);

    // Before all else: we may have been stopped, and may be again before the next time is set.
    if ((polls[kSignals].revents | polls[kControl].revents) != 0) awake_.Until(MonotonicNanoseconds() + kStoppedSlackNs);
    // Owner first: if it is gone nobody is left to tell anything else.
    if (polls[kOwner].revents != 0) return End(EndCause::kOwnerGone);
    if (polls[kControl].revents != 0) OnCommand();
    input_.Move(polls[kInput], MonotonicNanoseconds());
    pump_.Move(polls + kStreams, 2);
    // Nobody looks at the terminal any more.
    if (record_.input.terminal >= 0 && pump_.ended(0)) input_.Close();
    if (pump_.over_limit()) End(EndCause::kOutput);
    if (polls[kListener].revents != 0 && violations_.Receive(polls[kListener].revents, &report_)) {
      if (record_.stack_sink >= 0 && report_.violation_arch != 0) {
        WriteStackSnapshot(static_cast<pid_t>(report_.violation_tid), record_.stack_sink);
      }
      End(EndCause::kViolation);
    }
    if (polls[kConnects].revents != 0) violations_.OnPending();
    if (polls[kSetup].revents != 0) OnSetupMessage();
    if (polls[kInit].revents != 0) OnInitMessage();
    if (polls[kSignals].revents != 0) OnSignal();
    // Its last words are read before its end is acted upon.
    if (polls[kInitPid].revents != 0 && polls[kInit].revents == 0) OnInitEnd();
    OnTime();
  }

  void OnTime() {
    const uint64_t now = MonotonicNanoseconds();
    input_.OnTime(now);
    const EndCause reached = limits_.Check(now, init_.pid);
    // To its group, as a terminal would: a shell runs its trap only when the program that it waits for has ended, too.
    if (reached == EndCause::kWallTime && !ended_ && limits_.BeginGrace(now)) return signals_.Send(SIGTERM, true);
    // What has ended in time is not ended by the clock, but may have used too much.
    if (reached != EndCause::kNone && !(ended_ && reached == EndCause::kWallTime)) return End(reached);
    if (!started() && now >= setup_deadline_ && !ended_) End(EndCause::kSetupTimeout);
    if (!started() && now >= birth_note_) NoteBirth();
  }

  // When to look next, whatever is heard until then: also if the target has stopped us, but then somewhat later, so that no
  // stop comes after the time and before the next is set.
  uint64_t Schedule(uint64_t now) {
    uint64_t next = std::min(limits_.next(), input_.next());
    if (!started()) {
      // A target that stopped us as its first act keeps the caller waiting in Start.
      if (now >= start_look_) start_look_ = now + kStartLookNs;
      next = std::min({next, setup_deadline_, start_look_, birth_note_});
    }
    awake_.Until(next != UINT64_MAX ? next + kStoppedSlackNs : 0);
    return next;
  }

  static const timespec* Until(uint64_t deadline, uint64_t now, timespec* out) {
    const uint64_t left = deadline > now ? deadline - now : 0;
    out->tv_sec = static_cast<time_t>(left / 1'000'000'000u);
    out->tv_nsec = static_cast<long>(left % 1'000'000'000u);
    return out;
  }

  // SIGCHLD is blocked, as all signals are, and therefore kept although its disposition is to ignore it. signal(7). SIGCONT
  // too, because a ppoll(2) that a stop has interrupted goes on afterwards as if no time had passed.
  void WatchSignals() {
    const uint64_t mask = uint64_t{1} << (SIGCHLD - 1) | uint64_t{1} << (SIGCONT - 1);
    signals_fd_ = static_cast<int>(syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK));
  }

  // The target's pidfd was there before its end, so what it said on its set-up socket is read by now.
  void OnInitEnd() {
    ended_ = true;
    if (light_ == nullptr) return;
    // Not the end of the socket's data: the caller may not have closed its copy of the child's end yet.
    if (record_.setup_socket >= 0 && !ready_in_child_) failed_in_child_ = true;
    if (waitpid(init_.pid, &report_.status, __WALL) != init_.pid) return;
    report_.has_status = 1;
    end_time_ = MonotonicNanoseconds();
  }

  // Where no pid namespace protects it a hostile target can stop its parent, the init, which can then neither reap nor
  // speak; it may do so before the init has said that the target runs. Its end is seen by its pidfd.
  void OnSignal() {
    signalfd_siginfo ignored[4];
    while (read(signals_fd_, ignored, sizeof(ignored)) > 0) {
    }
    if (light_ != nullptr) return ReapOrphans();  // A target may be stopped as long as it likes.
    siginfo_t info = {};
    if (waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(init_.pidfd), &info, WSTOPPED | WNOHANG) == 0 && info.si_pid != 0) {
      syscall(SYS_pidfd_send_signal, init_.pidfd, SIGCONT, nullptr, 0);
    }
  }

  // As an init does: what has lost its parent is ours, and counts as a process until it is reaped. The target's end is for
  // its pidfd to tell, and takes the rest with it.
  void ReapOrphans() {
    siginfo_t info = {};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid != 0 && info.si_pid != init_.pid) {
      waitpid(info.si_pid, nullptr, WNOHANG | __WALL);
      info = {};
    }
  }

  void OnCommand() {
    GuardianCommand command;
    const ssize_t n = recv(record_.control, &command, sizeof(command), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n != static_cast<ssize_t>(sizeof(command)) || command.magic != kReportMagic) return End(EndCause::kOwnerGone);
    if (command.kind == GuardianCommand::Kind::kKill) return End(EndCause::kKillRequest);
    if (command.kind == GuardianCommand::Kind::kLetGo) {
      let_go_ = true;
      return;
    }
    signals_.Send(command.signal, command.kind == GuardianCommand::Kind::kSignalGroup);
  }

  void OnInitMessage() {
    InitMessage message;
    int fds[kMaxCopies];
    for (int& fd : fds) fd = -1;
    int count = 0;
    if (!ReceiveMessage(record_.guardian_socket, &message, fds, kMaxCopies, &count)) {
      ended_ = true;
      return;
    }
    switch (message.kind) {
      case InitMessage::Kind::kFailed:
        report_.setup = message.setup;
        report_.setup_failed = 1;
        ended_ = true;
        return;
      case InitMessage::Kind::kStarted:
        violations_.Begin(fds[1]);
        // A target that has ended has no number any more in its pidfd's file.
        if ((record_.plan.namespaces & CLONE_NEWPID) == 0) report_.pid = message.target;
        OnBorn(fds[0], message.time_ns);
        return;
      case InitMessage::Kind::kExited:
        report_.status = message.status;
        report_.has_status = 1;
        limits_.CountTasks(message.tasks);
        if (record_.wait_for_tree) return;  // The child ends with the last of its tree.
        end_time_ = message.time_ns;
        ended_ = true;
        return;
      case InitMessage::Kind::kPlaces:
        for (size_t i = 0; i < kMaxCopies; ++i) places_[i] = {fds[i], message.rests[i]};
        return;
      case InitMessage::Kind::kGo:
        return;
    }
  }

  void OnBorn(int pidfd, uint64_t time_ns) {
    if (light_ != nullptr) report_.pid = init_.pid;
    if (report_.pid == 0) report_.pid = PidOf(pidfd);
    born_ = true;
    signals_.Born(init_.pid, report_.pid, pidfd);
    begin_ = time_ns;
    limits_.Begin(begin_);
    // A function says on its set-up socket when it is ready, which may have been read before this.
    if (record_.target.setup_child_fd < 0 || ready_in_child_) Started();
  }

  void Started() {
    report_.started = 1;
    signals_.SendKept();
    limits_.Schedule();
    GuardianReport note = report_;
    note.kind = ReportKind::kStarted;
    SendNote(note);
  }

  // That the server has done its part, however long the target still takes to be ready.
  void NoteBirth() {
    birth_note_ = UINT64_MAX;
    GuardianReport note;
    note.kind = ReportKind::kInitBorn;
    SendNote(note);
  }

  void SendNote(GuardianReport note) {
    // The caller may not be interested and let the socket fill up: never block on it.
    int fds[] = {init_.pidfd, -1};
    if (record_.served) fds[1] = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
    SendRecord(record_.control, &note, sizeof(note), fds, fds[1] >= 0 ? 2 : 1, MSG_DONTWAIT);
    if (fds[1] >= 0) close(fds[1]);
  }

  // Ready, failed, or closed without a word: then the end of the process will tell.
  void OnSetupMessage() {
    SetupMessage message;
    const ssize_t n = read(record_.setup_socket, &message, sizeof(message));
    if (n < 0 && errno == EINTR) return;
    setup_heard_ = true;
    if (n == static_cast<ssize_t>(sizeof(message)) && message.magic == kSetupMessageMagic) {
      message.step[sizeof(message.step) - 1] = '\0';
      message.detail[sizeof(message.detail) - 1] = '\0';
      if (message.kind == SetupKind::kReady) {
        ready_in_child_ = true;
        if (born_) Started();
        return;
      }
      report_.setup = message;
    }
    failed_in_child_ = true;
    // The child ends by itself now; its deadline is the set-up's.
  }

  // The target's number in our namespace stands in the pidfd's own file. proc(5), fdinfo.
  static int32_t PidOf(int pidfd) {
    Text<64> path;
    path.Add("/proc/self/fdinfo/").AddNumber(static_cast<uint64_t>(pidfd));
    char buffer[512];
    if (ReadFile(AT_FDCWD, path.c_str(), buffer, sizeof(buffer)) <= 0) return 0;
    return static_cast<int32_t>(NumberAfter(buffer, "Pid:", 0));
  }

  // What the child wrote before its end is passed on, as long as somebody takes it and the owner lives; but a sink that takes
  // nothing holds back no outcome beyond the wall limit, nor for long that of a child which we had to end. The pipe may have
  // other writers, which no tree of ours holds: what is not there now is not waited for.
  void Drain() {
    uint64_t deadline = limits_.wall_deadline();
    if (report_.cause != EndCause::kNone) deadline = MonotonicNanoseconds() + kDrainPatienceNs;
    while (report_.cause != EndCause::kOwnerGone && pump_.ReadRest()) {
      const uint64_t now = MonotonicNanoseconds();
      if (deadline != 0 && now >= deadline) {
        pump_.GiveUp();
        break;
      }
      timespec left;
      pollfd polls[4];
      pump_.AddPolls(polls);
      polls[2] = {record_.owner, POLLIN, 0};
      polls[3] = {record_.control, POLLIN, 0};
      if (ppoll(polls, 4, deadline != 0 ? Until(deadline, now, &left) : nullptr, nullptr) < 0 && errno != EINTR) return;
      if (polls[2].revents != 0) return;
      if (polls[3].revents != 0) {
        GuardianCommand command;
        const ssize_t n = recv(record_.control, &command, sizeof(command), MSG_DONTWAIT);
        if (n == 0 || (n > 0 && command.kind == GuardianCommand::Kind::kKill)) return;
        if (n > 0 && command.kind == GuardianCommand::Kind::kLetGo) let_go_ = true;
      }
      // A stream with nothing to pass on is polled for reading; ReadRest looks after it.
      pump_.Move(polls, 2);
    }
    if (pump_.over_limit() && report_.cause == EndCause::kNone) report_.cause = EndCause::kOutput;
  }

  [[noreturn]] void Finish() {
    if (end_time_ == 0) end_time_ = MonotonicNanoseconds();
    if (limits_.in_grace() && report_.cause == EndCause::kNone) report_.cause = EndCause::kWallTime;
    // What the child sees of its parent's end: before its own.
    if (record_.setup_socket >= 0 && report_.cause == EndCause::kOwnerGone) close(record_.setup_socket);
    // What we end is lost to getrusage(2): a dying pid namespace reaps unseen. pid_namespaces(7);
    // kernel/pid_namespace.c, zap_pid_ns_processes().
    TreeSample last;
    if (started() && report_.cause != EndCause::kNone && report_.cause != EndCause::kOwnerGone) {
      last = SampleTree(init_.pid, SampleDepth::kPeaks);
      limits_.CountTasks(last.tasks);
    }
    // Kill before reaping: after wait() the number belongs to somebody else.
    if (!TreeIsEmpty()) {
      awake_.Until(MonotonicNanoseconds() + kStoppedSlackNs);
      // Its init ends only when all in its pid namespace has: both are at it at once, on two processors. pid_namespaces(7)
      if (report_.cause != EndCause::kNone && light_ == nullptr) signals_.Send(SIGKILL, false);
      if (!KillTree(record_, init_.pidfd, kKillPatienceMs)) report_.tree_survived = 1;
    }
    FinalWords();
    CopyFilesOut();
    JudgeUnknownViolation();
    violations_.End();
    Drain();

    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);
    report_.cpu_ns = (static_cast<uint64_t>(usage.ru_utime.tv_sec) + static_cast<uint64_t>(usage.ru_stime.tv_sec)) * 1'000'000'000u +
                     (static_cast<uint64_t>(usage.ru_utime.tv_usec) + static_cast<uint64_t>(usage.ru_stime.tv_usec)) * 1000u;
    report_.max_rss_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024u;
    const CgroupUsage cgroup = record_.cgroup.count > 0 ? ReadCgroupUsage(record_.cgroup) : CgroupUsage{};
    for (const uint64_t seen : {cgroup.cpu_ns, limits_.cpu_seen_ns(), last.cpu_ns}) {
      if (seen > report_.cpu_ns) report_.cpu_ns = seen;
    }
    if (last.largest_rss_bytes > report_.max_rss_bytes) report_.max_rss_bytes = last.largest_rss_bytes;
    // RLIMIT_CPU of one process may be faster than we are. It ends by SIGKILL, as by anybody else's.
    if (report_.cause == EndCause::kNone && record_.cpu_ns > 0 && report_.cpu_ns >= record_.cpu_ns &&
        report_.has_status != 0 && WIFSIGNALED(report_.status) && WTERMSIG(report_.status) == SIGKILL) {
      report_.cause = EndCause::kCpuTime;
    }
    report_.memory_peak_bytes = cgroup.memory_peak_bytes > 0 ? cgroup.memory_peak_bytes : limits_.memory_peak_bytes();
    report_.oom_kills = cgroup.oom_kills;
    report_.processes_at_limit = limits_.processes_at_limit() ? 1 : 0;
    report_.process_refusals = cgroup.process_refusals;
    if (begin_ != 0) report_.wall_ns = end_time_ - begin_;
    for (int i = 0; i < 2; ++i) {
      report_.stream_bytes[i] = pump_.bytes(i);
      report_.stream_truncated[i] = pump_.truncated(i) ? 1 : 0;
      report_.stream_errors[i] = pump_.error(i);
    }
    if (!RemoveCgroups(record_.cgroup, 2000)) report_.tree_survived = 1;
    // A child that was killed before it was ready did not fail to set up: the signal, or the limit, is the truth.
    const bool killed = report_.has_status != 0 && WIFSIGNALED(report_.status) && report_.setup.kind != SetupKind::kFailed;
    if (failed_in_child_ && !started() && !killed) report_.setup_failed = 1;
    if (report_.setup_failed != 0 && report_.setup.kind != SetupKind::kFailed) {
      Fail(&report_.setup, "bootstrap", 0,
           "the child ended before its target was ready (is brood::Bootstrap called at the start of main?)");
    }
    report_.kind = ReportKind::kEnded;
    TellAndLeave(record_, report_, let_go_);
  }

  // Of a light launch, without a look at /proc: all that is left of the tree is our children.
  bool TreeIsEmpty() const {
    siginfo_t info = {};
    return light_ != nullptr && report_.has_status != 0 && record_.cgroup.count == 0 &&
           waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 && errno == ECHILD;
  }

  void CopyFilesOut() {
    // While something of the tree runs it could change what is looked at.
    const bool tried = started() && report_.tree_survived == 0 && report_.cause != EndCause::kOwnerGone;
    for (size_t i = 0; i < record_.copies.out_count; ++i) {
      if (tried) report_.copied[i] = CopyFileOut(record_.copies.out[i], places_[i]);
      if (places_[i].directory >= 0) close(places_[i].directory);
    }
  }

  // A call that was forbidden did not take effect and its process ended before it could be told: the policy's word on such
  // a child is violation all the same, and not what the child made of its end. Which call it was is not known.
  void JudgeUnknownViolation() {
    if (violations_.seen() && report_.cause == EndCause::kNone) report_.cause = EndCause::kViolation;
  }

  // The init may have reported the target's end after the moment at which we stopped listening, when both came at once.
  void FinalWords() {
    if (record_.guardian_socket < 0) return;
    for (;;) {
      pollfd pending = {record_.guardian_socket, POLLIN, 0};
      if (poll(&pending, 1, 0) <= 0 || (pending.revents & POLLIN) == 0) return;
      InitMessage message;
      int fds[2] = {-1, -1};
      int count = 0;
      if (!ReceiveMessage(record_.guardian_socket, &message, fds, 2, &count)) return;
      for (int i = 0; i < count; ++i) close(fds[i]);
      if (message.kind == InitMessage::Kind::kExited && report_.has_status == 0 && report_.cause == EndCause::kNone) {
        report_.status = message.status;
        report_.has_status = 1;
        limits_.CountTasks(message.tasks);
      }
    }
  }

  LaunchRecord& record_;
  const LightBirth* const light_;
  InputPump input_;
  Pump pump_;
  LimitWatch limits_;
  StayAwake awake_;
  ViolationWatch violations_;
  CopyPlace places_[kMaxCopies];
  TargetSignals signals_;
  GuardianReport report_;
  InitProcess init_;
  int signals_fd_ = -1;
  bool born_ = false;  // The target, which may not be ready.
  bool setup_heard_ = false;
  bool ready_in_child_ = false;
  bool failed_in_child_ = false;
  bool ended_ = false;
  bool let_go_ = false;  // The caller waits for the end and will reap at once.
  uint64_t setup_deadline_ = 0;
  uint64_t birth_note_ = UINT64_MAX;  // When to tell of the birth of a target that is not ready.
  uint64_t start_look_ = 0;
  uint64_t begin_ = 0;
  uint64_t end_time_ = 0;
};

}  // namespace

void RunGuardian(LaunchRecord* record) {
  GuardianReport report;
  if (!BecomeGuardian(record, &report.setup)) {
    report.setup_failed = 1;
    // Nobody has been in them.
    RemoveCgroups(record->cgroup, 2000);
    TellAndLeave(*record, report, false);
  }
  Guardian guardian(record, nullptr);
  guardian.Run();
}

void RunLightGuardian(LaunchRecord* record, const LightBirth& birth) {
  GuardianReport report;
  if (!BecomeGuardian(record, &report.setup)) {
    report.setup_failed = 1;
    birth.release(birth.arg);
    TellAndLeave(*record, report, false);
  }
  Guardian guardian(record, &birth);
  guardian.Run();
}

}  // namespace brood::child
