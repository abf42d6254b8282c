#include "launcher/remote_launch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/fd_message_child.h"
#include "base/status.h"
#include "forkserver/request.h"
#include "forkserver/status_text.h"
#include "ipc/address.h"
#include "ipc/deadline.h"
#include "ipc/socket_address.h"
#include "launcher/environment.h"
#include "launcher/outcome_flatbuffer.h"
#include "launcher/guarded_state.h"
#include "launcher/serve_protocol.h"
#include "launcher/stdio_linux.h"
#include "sandbox/policy_flatbuffer.h"

namespace brood {
namespace internal {
namespace {

// A server that is asked answers at once, whatever its other clients do.
constexpr absl::Duration kPatience = absl::Seconds(30);

// Waits until one of two descriptors is readable: 0 or 1; -1 when the time is over.
int AwaitEither(int first, int second, const Deadline& deadline) {
  pollfd polls[] = {{first, POLLIN, 0}, {second, POLLIN, 0}};
  for (;;) {
    const int ready = ppoll(polls, 2, deadline.ToTimespec().get(), nullptr);
    if (ready > 0) return polls[0].revents != 0 ? 0 : 1;
    if (ready == 0 && deadline.passed()) return -1;
  }
}

absl::Status Silent(const std::string& path) {
  return absl::DeadlineExceededError(absl::StrCat("server ", path, ": no answer within ", absl::FormatDuration(kPatience),
                                                  "; it is stopped, or no brood serve"));
}

absl::Status Gone(const std::string& path) { return absl::UnavailableError(absl::StrCat("server ", path, ": it has closed the connection")); }

// What is there of the next record. It stays where it is.
std::optional<ServeTag> Peek(int connection) {
  RawRequest raw;
  ssize_t n;
  // That the server had not read all is told first, and once; what it has written follows.
  do {
    n = recv(connection, raw.data, sizeof(raw.data), MSG_PEEK | MSG_DONTWAIT);
  } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
  if (n <= 0) return std::nullopt;
  raw.size = static_cast<size_t>(n);
  return ServeTag::Decode(TagOf(raw));
}

absl::StatusOr<Request> ReceiveAnswer(int connection, const std::string& path) {
  RawRequest raw;
  const iovec part = {raw.data, sizeof(raw.data)};
  child::FdMessage message;
  do {
    message = child::ReceiveWithFds(connection, &part, 1, raw.fds, child::kMaxFdsOfMessage, MSG_DONTWAIT);
  } while (message.bytes < 0 && errno == ECONNRESET);
  raw.fd_count = message.fd_count;
  Request request;
  if (message.bytes > 0) raw.size = static_cast<size_t>(message.bytes);
  const absl::Status unpacked = UnpackRequest({raw.data, raw.size}, raw.fds, raw.fd_count, request);
  if (message.bytes <= 0) return Gone(path);
  if (message.fds_lost) return absl::ResourceExhaustedError("no room for a descriptor; see the limit of open files");
  const std::optional<ServeTag> tag = unpacked.ok() && !message.cut ? ServeTag::Decode(request.tag) : std::nullopt;
  if (!tag.has_value()) return absl::DataLossError(absl::StrCat("server ", path, ": what it says is not of brood serve"));
  if (tag->kind == ServeTag::Kind::kRefused) return Annotate(DecodeRefusal(request.bytes), absl::StrCat("server ", path));
  return request;
}

absl::StatusOr<std::string> Ask(int connection, const std::string& path, ServeTag::Kind question, ServeTag::Kind answer) {
  const Deadline deadline(kPatience);
  BROOD_RETURN_IF_ERROR(SendRequest(connection, "", {}, {.patience = deadline.Left(), .tag = ServeTag{.kind = question}.Encode()}));
  if (AwaitEither(connection, -1, deadline) < 0) return Silent(path);
  BROOD_ASSIGN_OR_RETURN(Request got, ReceiveAnswer(connection, path));
  if (ServeTag::Decode(got.tag)->kind == answer) return std::move(got.bytes);
  return absl::DataLossError(absl::StrCat("server ", path, ": not the answer to what was asked"));
}

absl::StatusOr<Policy> AskPolicy(int connection, const std::string& path) {
  BROOD_ASSIGN_OR_RETURN(const std::string bytes, Ask(connection, path, ServeTag::Kind::kAskPolicy, ServeTag::Kind::kPolicy));
  return DecodePolicy(bytes);
}

Outcome ReadRemoteOutcome(int connection, const std::string& path) {
  Outcome lost;
  const absl::StatusOr<Request> answer = ReceiveAnswer(connection, path);
  if (!answer.ok()) {
    lost.ending = Lost{std::string(answer.status().message())};
    return lost;
  }
  absl::StatusOr<Outcome> outcome = DecodeOutcome(answer->bytes);
  if (outcome.ok()) return *std::move(outcome);
  lost.ending = Lost{absl::StrCat("server ", path, ": ", outcome.status().message())};
  return lost;
}

absl::Status Check(const LaunchOptions& options, const RemoteFunction* function) {
  if (function == nullptr && (options.argv.empty() || options.argv[0].empty())) return absl::InvalidArgumentError("argv: must name a program");
  for (const std::string& word : options.argv) {
    if (word.find('\0') != std::string::npos) return absl::InvalidArgumentError("argv: an argument contains a zero byte");
  }
  if (!options.copy_in.empty() || !options.copy_out.empty()) return absl::UnimplementedError("copy-in, copy-out: not with a server");
  for (const InheritedFd& inherited : options.inherited) {
    if (fcntl(inherited.fd, F_GETFD) < 0) return ErrnoStatus(errno, "inherited: descriptor", absl::StrCat(inherited.fd));
  }
  return absl::OkStatus();
}

// As a child has it that is born without a server.
absl::Status TakeOwnBirth(RemoteLaunch& launch) {
  // umask(2) cannot look without changing. proc(5), "Umask"
  BROOD_ASSIGN_OR_RETURN(const std::string status, ReadStatusText());
  uint32_t mask = 0;
  const std::string_view text = StatusField(status, "Umask");
  if (std::from_chars(text.data(), text.data() + text.size(), mask, 8).ec == std::errc()) launch.file_mask = mask & 0777;
  errno = 0;
  const int nice = getpriority(PRIO_PROCESS, 0);
  if (errno == 0) launch.nice = nice;
  for (uint32_t resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit = {};
    if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) continue;
    launch.limits.push_back({.resource = resource, .soft = limit.rlim_cur, .hard = limit.rlim_max});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> ConnectToServer(const std::string& path, std::optional<uint32_t> server_uid) {
  BROOD_ASSIGN_OR_RETURN(const SocketAddress address, ToSocketAddress(Address::UnixPath(path), TcpReach::kLoopback));
  UniqueFd connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!connection.valid()) return ErrnoStatus(errno, "socket");
  // A caller that has closed a stream of its own must not find it there.
  if (connection.get() <= 2) connection = Duplicate(connection.get());
  if (!connection.valid()) return ErrnoStatus(errno, "duplicate a descriptor");
  // For one that is stopped and whose queue is full. unix_stream_connect waits no longer.
  const timeval patience = absl::ToTimeval(kPatience);
  setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  while (connect(connection.get(), address.get(), address.size) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Silent(path);
    const std::string_view remedy = errno == ECONNREFUSED ? "its server has ended; start it: brood serve --socket"
                                    : errno == ENOENT     ? "start it: brood serve --socket"
                                    : errno == EACCES     ? "it is not for this user; see brood serve --allow-uid"
                                    : errno == EPROTOTYPE ? "another program listens there"
                                                          : "";
    const bool ended = errno == ECONNREFUSED;
    absl::Status refused = ErrnoStatus(errno, "connect to the server", path, remedy);
    return ended ? absl::UnavailableError(refused.message()) : refused;
  }
  // It gets all that a request says, the environment and the descriptors.
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return ErrnoStatus(errno, "SO_PEERCRED", path);
  if (peer.uid != geteuid() && peer.uid != 0 && peer.uid != server_uid) {
    return absl::PermissionDeniedError(absl::StrCat("server ", path, ": is of user ", peer.uid,
                                                    ", who would get this environment and these descriptors; see --server-uid"));
  }
  return connection;
}

absl::StatusOr<std::string> AskServer(const std::string& path, std::optional<uint32_t> server_uid, ServeTag::Kind question,
                                      ServeTag::Kind answer) {
  BROOD_ASSIGN_OR_RETURN(const UniqueFd connection, ConnectToServer(path, server_uid));
  return Ask(connection.get(), path, question, answer);
}

absl::StatusOr<std::shared_ptr<GuardedState>> LaunchRemote(const LaunchOptions& options, const RemoteFunction* function) {
  BROOD_RETURN_IF_ERROR(Check(options, function));
  auto state = std::make_shared<GuardedState>();
  state->name = options.name.empty() && !options.argv.empty() ? options.argv[0] : options.name;
  state->daemon = options.daemon.value_or(false);
  state->is_function = function != nullptr;
  BROOD_ASSIGN_OR_RETURN(UniqueFd connection, ConnectToServer(options.server, options.server_uid));
  RemoteLaunch launch;
  Policy policy;
  if (options.server_policy.has_value()) {
    policy = *options.server_policy;
  } else if (options.policy != nullptr) {
    policy = options.policy->policy();
  } else {
    BROOD_ASSIGN_OR_RETURN(policy, AskPolicy(connection.get(), options.server));
  }
  if (options.server_policy.has_value() || options.policy != nullptr) launch.policy = EncodePolicy(policy);
  launch.name = state->name;
  launch.argv = options.argv;
  BROOD_ASSIGN_OR_RETURN(launch.environment, MakeEnvironment(options.environment_base.value_or(policy.environment), options.env));
  BROOD_ASSIGN_OR_RETURN(launch.cwd, ChildDirectory(options.cwd, policy));
  launch.cwd_optional = options.cwd.empty() && policy.namespaces.contains(Layer::kMount);
  launch.wait_for_tree = options.tree_end == TreeEnd::kWait;
  launch.fresh = options.isolation == Isolation::kFresh;
  launch.violation_stack = options.violation_stack;
  launch.inherited = options.inherited;
  launch.template_path = options.server_template;
  BROOD_RETURN_IF_ERROR(TakeOwnBirth(launch));
  if (function != nullptr) {
    launch.argv.clear();
    launch.message = function->message;
    launch.result = function->result;
  }
  if (options.terminal.has_value()) return absl::UnimplementedError("terminal: not of a child that a server starts; start it here");
  for (const Stdio* const spec : {&options.stdin_spec, &options.stdout_spec, &options.stderr_spec}) {
    if (spec->kind == Stdio::Kind::kRelay) return absl::UnimplementedError("relayed streams: not of a child that a server starts");
  }
  LaunchOptions streams = options;
  streams.policy = nullptr;  // What it asks of streams is the server's to see to.
  PreparedStdio stdio;
  BROOD_RETURN_IF_ERROR(PrepareStdio(streams, false, &stdio));
  for (int number = 0; number < 3; ++number) {
    RemoteStream& stream = launch.streams[number];
    const StreamRecord* const kept = number > 0 && stdio.captured[number - 1].valid() ? &stdio.streams[number - 1] : nullptr;
    if (number == 2 && options.stderr_spec.kind == Stdio::Kind::kMerge) {
      stream.merged = true;
    } else if (kept != nullptr) {
      stream = {.fd = kept->sink, .keeps = true, .keep_bytes = kept->keep_bytes};
    } else {
      stream.fd = stdio.child[number];
    }
  }
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  state->control.reset(pair[0]);
  const UniqueFd control(pair[1]);
  launch.control = control.get();
  const EncodedRemoteLaunch encoded = EncodeRemoteLaunch(launch);
  state->start = absl::Now();
  const Deadline deadline(kPatience);
  const ServeTag tag = {.kind = ServeTag::Kind::kLaunch};
  BROOD_RETURN_IF_ERROR(SendRequest(connection.get(), encoded.bytes, encoded.fds, {.patience = deadline.Left(), .tag = tag.Encode()}));
  // It is taken, refused, or has ended already.
  const int said = AwaitEither(state->control.get(), connection.get(), deadline);
  if (said < 0) return Silent(options.server);
  if (said == 1) {
    const std::optional<ServeTag> first = Peek(connection.get());
    if (!first.has_value() || first->kind != ServeTag::Kind::kOutcome) {
      BROOD_RETURN_IF_ERROR(ReceiveAnswer(connection.get(), options.server).status());
      return absl::DataLossError(absl::StrCat("server ", options.server, ": not the answer to what was asked"));
    }
  }
  state->served = true;
  state->read_outcome = [path = options.server](int sentinel) { return ReadRemoteOutcome(sentinel, path); };
  state->guardian = 0;
  state->sentinel = std::move(connection);
  state->captured[0] = std::move(stdio.captured[0]);
  state->captured[1] = std::move(stdio.captured[1]);
  return state;
}

}  // namespace internal

absl::StatusOr<Policy> PolicyOfServer(const std::string& path, std::optional<uint32_t> server_uid) {
  BROOD_ASSIGN_OR_RETURN(const UniqueFd connection, internal::ConnectToServer(path, server_uid));
  return internal::AskPolicy(connection.get(), path);
}

}  // namespace brood
