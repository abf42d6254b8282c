#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "cli/listen_server.h"
#include "ipc/socket_address.h"

namespace brood {
namespace {

constexpr int kBacklog = 128;
constexpr absl::Duration kPauseWhenFull = absl::Milliseconds(100);
constexpr absl::Duration kEndPatience = absl::Seconds(15);
constexpr absl::Duration kGoneGrace = absl::Milliseconds(200);
constexpr int kAcceptsAtOnce = 16;  // Then those that have ended are looked after.

struct Peer {
  std::string name;
  std::string address;
};

Peer PeerOf(int socket, const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (from.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(from);
    inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    return {absl::StrCat(text, ":", ntohs(address.sin_port)), text};
  }
  if (from.ss_family == AF_INET6) {
    const auto& address = reinterpret_cast<const sockaddr_in6&>(from);
    inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
    return {absl::StrCat("[", text, "]:", ntohs(address.sin6_port)), text};
  }
  ucred user = {};
  socklen_t size = sizeof(user);
  getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &user, &size);
  const std::string name = absl::StrCat("uid ", user.uid);
  return {name, name};
}

// A peer that vanished without a word is found out within a minute or two. tcp(7)
void WatchPeer(int socket, int family) {
  if (family == AF_UNIX) return;
  const struct {
    int level, name, value;
  } options[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},        {IPPROTO_TCP, TCP_KEEPIDLE, 30},
                 {IPPROTO_TCP, TCP_KEEPINTVL, 10},     {IPPROTO_TCP, TCP_KEEPCNT, 3},
                 {IPPROTO_TCP, TCP_USER_TIMEOUT, 60'000}, {IPPROTO_TCP, TCP_NODELAY, 1}};
  for (const auto& [level, name, value] : options) setsockopt(socket, level, name, &value, sizeof(value));
}

}  // namespace

absl::StatusOr<ListenServer> ListenServer::Open(ListenSettings settings, std::function<void(const ConnectionEnd&)> tell,
                                                std::function<void(const std::string&)> warn) {
  ListenServer server(std::move(settings), std::move(tell), std::move(warn));
  Address& address = server.settings_.address;
  BROOD_ASSIGN_OR_RETURN(const internal::SocketAddress to, internal::ToSocketAddress(address, TcpReach::kNetwork));
  BROOD_ASSIGN_OR_RETURN(server.listener_, internal::MakeSocket(to.family()));
  const int listener = server.listener_.get();
  if (address.family == Address::Family::kUnixPath) {
    BROOD_ASSIGN_OR_RETURN(internal::SocketFile file, internal::SocketFile::Listen(listener, address, to, kBacklog, StaleSocketFile::kReplace));
    server.file_.emplace(std::move(file));
    return server;
  }
  const int yes = 1;
  // Connections of one that has ended may still be remembered. tcp(7), TIME_WAIT
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(listener, to.get(), to.size) != 0) return ErrnoStatus(errno, "bind", address.ToString());
  if (listen(listener, kBacklog) != 0) return ErrnoStatus(errno, "listen", address.ToString());
  BROOD_ASSIGN_OR_RETURN(address, internal::BoundAddress(listener, address));
  return server;
}

absl::Status ListenServer::Run(SignalSource& signals) {
  while (true) {
    std::vector<pollfd> entries = {{signals.fd(), POLLIN, 0}, {absl::Now() >= accept_again_ ? listener_.get() : -1, POLLIN, 0}};
    for (const Connection& connection : connections_) {
      entries.push_back({connection.process.sentinel(), POLLIN, 0});
      // Its end is told once, or poll(2) would say it again and again.
      const bool looks = !connection.killed && !connection.gone;
      entries.push_back({looks ? connection.socket.get() : -1, static_cast<short>(connection.end_seen ? 0 : POLLRDHUP), 0});
    }
    if (poll(entries.data(), entries.size(), PollTimeout()) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (entries[0].revents != 0) break;
    size_t i = 2;
    for (auto connection = connections_.begin(); connection != connections_.end(); i += 2) {
      if (entries[i].revents != 0) {
        Finish(*connection);
        connection = connections_.erase(connection);
        continue;
      }
      LookAt(*connection, entries[i + 1].revents);
      ++connection;
    }
    if (entries[1].revents != 0) Accept();
  }
  listener_.reset();
  for (Connection& connection : connections_) Kill(connection, ClosedBy::kServer);
  for (Connection& connection : connections_) Finish(connection);
  connections_.clear();
  return absl::OkStatus();
}

int ListenServer::PollTimeout() const {
  absl::Time next = absl::Now() < accept_again_ ? accept_again_ : absl::InfiniteFuture();
  for (const Connection& connection : connections_) next = std::min(next, connection.kill_at);
  if (next == absl::InfiniteFuture()) return -1;
  return static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(next - absl::Now()) + 1, 0, 1'000'000));
}

void ListenServer::Accept() {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    sockaddr_storage from = {};
    socklen_t size = sizeof(from);
    // Non-blocking, which is the connection's: its guardian waits for no reader.
    UniqueFd socket(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      const int error = errno;
      // What is not taken stays ready: with no descriptors left we would do nothing else. accept(2), EMFILE
      if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) accept_again_ = absl::Now() + kPauseWhenFull;
      return;
    }
    WatchPeer(socket.get(), from.ss_family);
    const Peer peer = PeerOf(socket.get(), from);
    ++count_;
    std::string refused;
    if (connections_.size() >= settings_.max_connections) refused = absl::StrCat("--max-connections ", settings_.max_connections);
    else if (per_address_[peer.address] >= settings_.max_per_address) refused = absl::StrCat("--max-per-address ", settings_.max_per_address);
    if (refused.empty()) {
      Start(std::move(socket), peer.name, peer.address);
    } else {
      if (per_address_[peer.address] == 0) per_address_.erase(peer.address);
      tell_({.number = count_, .peer = peer.name, .closed_by = ClosedBy::kRefused, .why = refused, .outcome = {}});
    }
    // poll(2) says whether there is another.
    pollfd more = {listener_.get(), POLLIN, 0};
    if (poll(&more, 1, 0) <= 0) return;
  }
}

void ListenServer::Start(UniqueFd socket, const std::string& peer, const std::string& address) {
  LaunchOptions options = settings_.program;
  options.stdin_spec = Stdio::Relay(socket.get());
  options.stdout_spec = Stdio::Relay(socket.get());
  absl::StatusOr<Process> process = Process::Launch(options);
  if (!process.ok()) {
    if (per_address_[address] == 0) per_address_.erase(address);
    tell_({.number = count_, .peer = peer, .closed_by = ClosedBy::kRefused, .why = std::string(process.status().message()), .outcome = {}});
    return;
  }
  ++per_address_[address];
  connections_.push_back({.number = count_, .peer = peer, .address = address, .socket = std::move(socket), .process = *std::move(process)});
}

void ListenServer::LookAt(Connection& connection, short events) {
  // Both directions have ended, or it was reset. Perhaps since the program has, whose end is about to be told: it counts then.
  if ((events & (POLLHUP | POLLERR)) != 0) {
    connection.gone = true;
    connection.kill_at = std::min(connection.kill_at, absl::Now() + kGoneGrace);
  }
  if ((events & POLLRDHUP) != 0 && !connection.end_seen) {
    connection.end_seen = true;
    connection.kill_at = std::min(connection.kill_at, absl::Now() + settings_.after_end);
  }
  if (absl::Now() >= connection.kill_at) Kill(connection, ClosedBy::kClient);
}

void ListenServer::Kill(Connection& connection, ClosedBy by) {
  if (std::exchange(connection.killed, true)) return;
  connection.kill_at = absl::InfiniteFuture();
  connection.closed_by = by;
  const absl::Status killed = connection.process.Kill();
  if (!killed.ok()) warn_(std::string(killed.message()));
}

void ListenServer::Finish(Connection& connection) {
  ConnectionEnd end{.number = connection.number, .peer = connection.peer, .closed_by = connection.closed_by, .why = {}, .outcome = {}};
  absl::StatusOr<Outcome> outcome = connection.process.Join(kEndPatience);
  if (outcome.ok()) {
    end.outcome = *std::move(outcome);
    // It ended by itself before that could reach it.
    const auto* signaled = std::get_if<Signaled>(&end.outcome.ending);
    if (connection.killed && (signaled == nullptr || signaled->signal != SIGKILL)) end.closed_by = ClosedBy::kProgram;
  } else {
    end.outcome.ending = Lost{.reason = std::string(outcome.status().message())};
  }
  if (const auto counted = per_address_.find(connection.address); counted != per_address_.end() && --counted->second == 0) per_address_.erase(counted);
  shutdown(connection.socket.get(), SHUT_RDWR);
  connection.socket.reset();
  tell_(end);
}

}  // namespace brood
