#include "serve/client.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/fd_message_child.h"
#include "base/slow_file.h"
#include "base/status.h"
#include "launcher/client_child.h"
#include "launcher/outcome_flatbuffer.h"
#include "sandbox/linux_plan.h"
#include "sandbox/policy_flatbuffer.h"
#include "serve/ancestors.h"
#include "serve/descriptors.h"
#include "serve/server.h"

namespace brood::internal {
namespace {

constexpr size_t kMaxHeldUp = 256;  // Of a user's descriptors. One request can bring some more.
constexpr int64_t kAgainAfterNs = 2'000'000;
constexpr int64_t kForkserverAgainAfterNs = 10'000'000;

// The process that connected. Invalid if it has ended.
UniqueFd PeerProcess(int connection, pid_t pid) {
  constexpr int kPeerPidfd = 77;  // SO_PEERPIDFD, from Linux 6.5 on. socket(7)
  int fd = -1;
  socklen_t size = sizeof(fd);
  if (getsockopt(connection, SOL_SOCKET, kPeerPidfd, &fd, &size) == 0) return UniqueFd(fd);
  if (errno != ENOPROTOOPT || pid <= 0) return UniqueFd();
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

// Records there and back, as the launcher's own ends have them.
bool IsRecordSocket(int fd) {
  int domain = 0, type = 0;
  socklen_t size = sizeof(domain);
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
  size = sizeof(type);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && domain == AF_UNIX && type == SOCK_SEQPACKET;
}

Stdio StreamOf(const RemoteStream& stream) {
  if (stream.merged) return Stdio::Merge();
  if (!stream.keeps) return Stdio::Fd(stream.fd);
  return {.kind = Stdio::Kind::kCapture, .fd = stream.fd, .capture_bytes = stream.keep_bytes};
}

}  // namespace

ServeClient::ServeClient(ServeServer& server, uint64_t number, UniqueFd connection, const ucred& peer)
    : server_(server), number_(number), peer_(peer), connection_(std::move(connection)) {}

ServeClient::~ServeClient() {
  for (const auto* timer : {&deadline_, &again_}) {
    if (timer->has_value()) loop().Cancel(**timer);
  }
  for (const int fd : {news_, sentinel_}) loop().Forget(fd);
  for (UniqueFd* socket : {&connection_, &control_}) CloseSocket(*socket);
  Close(peer_process_);
  if (asked_.has_value()) CloseAll(*std::exchange(asked_, std::nullopt));
}

EventLoop& ServeClient::loop() { return server_.loop(); }

void ServeClient::Close(UniqueFd& fd) {
  if (!fd.valid()) return;
  loop().Forget(fd.get());
  fd.reset();
}

// To the client.
void ServeClient::CloseSocket(UniqueFd& socket) {
  if (!socket.valid()) return;
  loop().Forget(socket.get());
  server_.closer().CloseConnection(std::exchange(socket, UniqueFd()), peer_.uid);
}

void ServeClient::CloseAll(Request request) {
  server_.closer().Close(std::move(request.fds), peer_.uid);
  server_.closer().Close(std::move(request.carriers), peer_.uid);
}

void ServeClient::Remove() { server_.Remove(number_); }

absl::Duration ServeClient::SinceRequest() const {
  return absl::Nanoseconds(static_cast<int64_t>(child::MonotonicNanoseconds()) - asked_ns_);
}

absl::Status ServeClient::Begin() {
  SetDeadline();
  return loop().Watch(connection_.get(), EPOLLIN, [this](uint32_t) { OnConnection(); });
}

void ServeClient::SetDeadline() {
  const int64_t at = static_cast<int64_t>(child::MonotonicNanoseconds()) + absl::ToInt64Nanoseconds(server_.options().patience);
  deadline_ = loop().Schedule(at, [this] {
    deadline_.reset();
    if (state_ != State::kAsking) return Remove();
    Refuse(absl::DeadlineExceededError(
        absl::StrCat("nothing was asked for within ", absl::FormatDuration(server_.options().patience))));
  });
}

bool ServeClient::Send(ServeTag::Kind kind, std::string_view bytes) {
  const ServeTag tag = {.kind = kind};
  return SendRequest(connection_.get(), bytes, {},
                     {.patience = absl::ZeroDuration(), .tag = tag.Encode(), .inline_bytes = kRecordInlineBytes})
      .ok();
}

void ServeClient::Refuse(const absl::Status& why) {
  if (connection_.valid()) Send(ServeTag::Kind::kRefused, EncodeRefusal(why));
  if (state_ == State::kAsking) server_.NoteRefused();
  OnGone();
}

// --- what it asks for ---

absl::Status ServeClient::CheckHeldUp() const {
  const size_t held_up = server_.closer().HeldUp(peer_.uid);
  if (held_up < kMaxHeldUp) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(held_up, " descriptors that user ", peer_.uid,
                                                   " has sent wait for the server of their files, or for their peer, to be closed"));
}

void ServeClient::OnConnection() {
  // What is not received is in nobody's table.
  if (state_ == State::kAsking && !asked_.has_value()) {
    if (const absl::Status few = CheckHeldUp(); !few.ok()) return Refuse(few);
  }
  Request request;
  const absl::Status received = ReceiveRequest(connection_.get(), request);
  if (received.ok() && !asked_.has_value()) return Answer(std::move(request));
  CloseAll(std::move(request));
  if (absl::IsOutOfRange(received) || absl::IsUnavailable(received)) return OnGone();
  Refuse(received.ok() ? absl::FailedPreconditionError("request: one at a time") : received);
}

void ServeClient::Answer(Request request) {
  // It may be of a child whose birth we have not been told yet, or of one that is just ending.
  const absl::StatusOr<ServeCeiling> most = Ceiling();
  if (absl::IsUnavailable(most.status()) || (absl::IsPermissionDenied(most.status()) && server_.AnyStarting())) return PutOff(std::move(request), kAgainAfterNs);
  forkserver_ended_ = false;
  const absl::Status done = OnRequest(request, most);
  if (forkserver_ended_) return PutOff(std::move(request), kForkserverAgainAfterNs);
  CloseAll(std::move(request));
  if (!done.ok()) Refuse(done);
}

void ServeClient::PutOff(Request request, int64_t ns) {
  asked_ = std::move(request);
  again_ = loop().Schedule(static_cast<int64_t>(child::MonotonicNanoseconds()) + ns, [this] {
    again_.reset();
    Answer(*std::exchange(asked_, std::nullopt));
  });
}

bool ServeClient::PeerLives() {
  if (!peer_process_.valid()) peer_process_ = PeerProcess(connection_.get(), peer_.pid);
  pollfd ended = {peer_process_.get(), POLLIN, 0};
  return peer_process_.valid() && poll(&ended, 1, 0) == 0;
}

absl::StatusOr<ServeCeiling> ServeClient::Ceiling() {
  PeerLives();  // The process, before its number is looked at.
  absl::StatusOr<ServeCeiling> most = server_.CeilingOf(peer_);
  // As long as it lives the number has been its.
  if (PeerLives()) return most;
  return absl::FailedPreconditionError("request: the process that connected has ended, and nobody owns the child");
}

bool ServeClient::HasProcess(pid_t pid) {
  if (!process_.has_value()) return false;
  const bool is = Is(*process_, pid);
  NoteStart();  // What there was to read of its start has been read then, and is not there for OnNews.
  return is;
}

bool ServeClient::IsBelow(const std::vector<pid_t>& pids) const {
  if (!process_.has_value() || forkserver_ == 0 || server_.forkservers().supervisors().Lives(forkserver_)) return false;
  return std::find_first_of(above_.begin(), above_.end(), pids.begin(), pids.end()) != above_.end();
}

// Later the child may have ended, and what it has left is below its guardian only.
void ServeClient::NoteAbove() {
  // Who gets no less than anybody, and pays for nothing, gains nothing.
  if (forkserver_ == 0 || (policy_ == server_.policy_ && server_.options().quota == ServeQuota())) return;
  const absl::StatusOr<std::vector<pid_t>> all = AncestorsOf(process_->pid(), HiddenStranger::kIsAnError);
  if (!all.ok()) return;  // It has ended already.
  for (const pid_t pid : *all) {
    if (server_.forkservers().supervisors().Has(pid)) break;
    above_.push_back(pid);
  }
}

absl::Status ServeClient::OnRequest(Request& request, const absl::StatusOr<ServeCeiling>& most) {
  const std::optional<ServeTag> tag = ServeTag::Decode(request.tag);
  if (!tag.has_value()) return absl::InvalidArgumentError("request: not one for brood serve");
  if (tag->version != ServeTag::kVersion) {
    return absl::FailedPreconditionError(absl::StrCat("request: of version ", tag->version, ", version ", ServeTag::kVersion,
                                                      " is spoken here; use the brood that the server is of"));
  }
  // Also one that comes twice.
  if (state_ != State::kAsking) return absl::FailedPreconditionError("request: this connection has had its child");
  if (tag->kind == ServeTag::Kind::kLaunch) {
    asked_ns_ = static_cast<int64_t>(child::MonotonicNanoseconds());
    BROOD_RETURN_IF_ERROR(most.status());
    return Launch(request, *most);
  }
  if (!request.bytes.empty() || !request.fds.empty()) return absl::InvalidArgumentError("request: it carries what nobody asked for");
  // One that reads no answers has no use for them.
  bool sent = false;
  if (tag->kind == ServeTag::Kind::kAskPolicy) {
    BROOD_RETURN_IF_ERROR(most.status());
    sent = Send(ServeTag::Kind::kPolicy, EncodePolicy(most->policy->policy()));
  } else if (tag->kind == ServeTag::Kind::kAskStatus) {
    sent = Send(ServeTag::Kind::kStatus, EncodeServeStatus(server_.Status()));
  } else {
    return absl::InvalidArgumentError("request: of an unknown kind");
  }
  if (!sent) OnGone();
  return absl::OkStatus();
}

absl::Status ServeClient::Launch(Request& request, const ServeCeiling& most) {
  BROOD_ASSIGN_OR_RETURN(RemoteLaunch launch, DecodeRemoteLaunch(request.bytes, request.fds));
  if (!IsRecordSocket(launch.control)) return absl::InvalidArgumentError("request: control: expected a SOCK_SEQPACKET socket");
  BROOD_ASSIGN_OR_RETURN(const std::shared_ptr<const CompiledPolicy> policy, server_.PolicyFor(most.policy, launch.policy));
  BROOD_RETURN_IF_ERROR(CheckDescriptors(
      launch, {.same_user = peer_.uid == geteuid(), .own_root = policy->platform().child.mount_count > 0}));
  LaunchOptions options;
  options.name = launch.name;
  options.argv = launch.argv;
  options.policy = policy;
  options.environment_base = EnvironmentBase::kEmpty;
  options.env = launch.environment;
  options.cwd = launch.cwd;
  options.cwd_missing = launch.cwd_optional ? CwdMissing::kRoot : CwdMissing::kError;
  options.violation_stack = launch.violation_stack;
  options.isolation = launch.fresh ? Isolation::kFresh : Isolation::kKept;
  options.tree_end = launch.wait_for_tree ? TreeEnd::kWait : TreeEnd::kKill;
  options.stdin_spec = StreamOf(launch.streams[0]);
  options.stdout_spec = StreamOf(launch.streams[1]);
  options.stderr_spec = StreamOf(launch.streams[2]);
  options.inherited = launch.inherited;
  std::optional<RemoteFunction> function;
  if (launch.is_function()) function = {.message = launch.message, .result = launch.result};
  BROOD_ASSIGN_OR_RETURN(const ContextOptions* const context, server_.ContextOf(launch.template_path));
  const std::optional<uint64_t> memory = policy->policy().limits.memory_bytes;
  BROOD_RETURN_IF_ERROR(server_.quotas().Take(most.payer, memory));
  absl::StatusOr<ClientChild> child = LaunchForClient(*context, std::move(options), function, BirthOf(launch));
  if (!child.ok()) {
    server_.quotas().GiveBack(most.payer, memory);
    return absl::IsUnavailable(child.status()) && function.has_value() ? AwaitForkserver(launch.template_path, request) : child.status();
  }
  process_.emplace(std::move(child->process));
  policy_ = policy;
  payer_ = most.payer;
  if (child->forkserver != nullptr) {
    forkserver_ = child->forkserver->number;
    server_.forkservers().NoteChild(launch.template_path, *child->forkserver, function.has_value());
  }
  for (UniqueFd& fd : request.fds) {
    if (fd.get() == launch.control) control_ = std::move(fd);
  }
  state_ = State::kRunning;
  server_.NoteBorn(number_);
  if (deadline_.has_value()) loop().Cancel(*std::exchange(deadline_, std::nullopt));
  SendNote(false);
  return Watch();
}

// Its patience is that of the preload now.
absl::Status ServeClient::AwaitForkserver(const std::string& template_path, const Request& request) {
  // A guardian that is forked meanwhile would have a copy, whose close waits. base/closer.h
  if (std::any_of(request.fds.begin(), request.fds.end(), [](const UniqueFd& fd) { return IsSlowFile(fd.get()); })) {
    return absl::UnavailableError("the forkserver is started again, and a file of the request is on a file system whose server could hold up others meanwhile; try again");
  }
  if (forkserver_awaited_ns_ == 0) forkserver_awaited_ns_ = asked_ns_;
  BROOD_RETURN_IF_ERROR(server_.forkservers().Await(template_path, forkserver_awaited_ns_));
  forkserver_ended_ = true;
  server_.waiting_.erase(number_);
  if (deadline_.has_value()) loop().Cancel(*std::exchange(deadline_, std::nullopt));
  return absl::OkStatus();
}

absl::Status ServeClient::Watch() {
  const int news = NewsOf(*process_);
  BROOD_RETURN_IF_ERROR(loop().Watch(process_->sentinel(), EPOLLIN, [this](uint32_t) { OnEnd(); }));
  sentinel_ = process_->sentinel();
  BROOD_RETURN_IF_ERROR(loop().Watch(control_.get(), EPOLLIN, [this](uint32_t) { OnCommand(); }));
  BROOD_RETURN_IF_ERROR(loop().Watch(peer_process_.get(), EPOLLIN, [this](uint32_t) { OnGone(); }));
  BROOD_RETURN_IF_ERROR(loop().Watch(news, EPOLLIN, [this](uint32_t) { OnNews(); }));
  news_ = news;
  return absl::OkStatus();
}

// --- the child ---

// As its guardian would tell it, but for descriptors.
void ServeClient::SendNote(bool started) {
  GuardianReport note;
  note.kind = started ? ReportKind::kStarted : ReportKind::kInitBorn;
  note.started = started ? 1 : 0;
  note.pid = started ? process_->pid() : 0;
  (void)send(control_.get(), &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT);  // It may not care.
}

void ServeClient::NoteStart() {
  if (!TakeNews(*process_) || started_) return;
  started_ = true;
  NoteAbove();
  server_.NoteStarted(SinceRequest());
  if (control_.valid()) SendNote(true);
}

void ServeClient::OnNews() {
  NoteStart();
  char byte;
  // Its end is seen by the sentinel.
  if (recv(news_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) loop().Forget(std::exchange(news_, -1));
}

void ServeClient::OnCommand() {
  GuardianCommand command;
  const iovec part = {&command, sizeof(command)};
  int fds[child::kMaxFdsOfMessage];  // None that is wanted. What is not received is closed here and now.
  const child::FdMessage message = child::ReceiveWithFds(control_.get(), &part, 1, fds, child::kMaxFdsOfMessage, MSG_DONTWAIT);
  const ssize_t n = message.bytes;
  for (size_t i = 0; i < message.fd_count; ++i) server_.closer().Close(UniqueFd(fds[i]), peer_.uid);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const bool known = message.fd_count == 0 && !message.fds_lost && (command.kind == GuardianCommand::Kind::kSignal || command.kind == GuardianCommand::Kind::kKill ||
                                                                               command.kind == GuardianCommand::Kind::kSignalGroup);
  if (n != static_cast<ssize_t>(sizeof(command)) || command.magic != kReportMagic || !known) {
    // Its outcome can still be told.
    CloseSocket(control_);
    return Kill();
  }
  PassOn(*process_, command);
}

void ServeClient::Kill() {
  if (!process_.has_value()) return;  // Somebody else waits for it to end.
  GuardianCommand command;
  command.kind = GuardianCommand::Kind::kKill;
  PassOn(*process_, command);
}

void ServeClient::OnEnd() {
  if (!started_) OnNews();  // Its last.
  loop().Forget(std::exchange(sentinel_, -1));
  if (news_ >= 0) loop().Forget(std::exchange(news_, -1));
  if (EndsSlowly(*process_)) {
    Process process = *std::move(process_);
    process_.reset();
    return server_.JoinElsewhere(number_, std::move(process));
  }
  absl::StatusOr<Outcome> outcome = process_->Join(absl::ZeroDuration());
  process_.reset();
  if (!outcome.ok()) {
    outcome.emplace();
    outcome->ending = Lost{std::string(outcome.status().message())};
  }
  Tell(*outcome);
}

void ServeClient::OnJoined(const Outcome& outcome) { Tell(outcome); }

void ServeClient::Tell(const Outcome& outcome) {
  server_.NoteEnded(outcome, SinceRequest());
  server_.quotas().GiveBack(payer_, policy_->policy().limits.memory_bytes);
  if (state_ == State::kEnding) return Remove();
  CloseSocket(control_);
  Close(peer_process_);
  if (!Send(ServeTag::Kind::kOutcome, EncodeOutcome(outcome))) return Remove();
  // The client reads it, and is the one who closes: else what it has sent us meanwhile would be an error to it.
  state_ = State::kTold;
  SetDeadline();
}

void ServeClient::OnGone() {
  CloseSocket(connection_);
  CloseSocket(control_);
  Close(peer_process_);
  if (!busy()) return Remove();
  state_ = State::kEnding;
  Kill();
}

void ServeClient::Stop() {
  if (!busy()) return Remove();
  Kill();
}

}  // namespace brood::internal
