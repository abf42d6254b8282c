#include "ipc/listener.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ipc/authenticate.h"
#include "ipc/deadline.h"
#include "ipc/socket_address.h"
#include "ipc/socket_file.h"
#include "ipc/socket_io.h"

namespace brood {
namespace {

using internal::Deadline;

// A peer that has to prove that it has the key.
struct Candidate {
  Connection connection;
  internal::ListenerHandshake handshake;
  Deadline deadline;
};

}  // namespace

struct Listener::State {
  absl::Status Listen();
  absl::StatusOr<Connection> AcceptOne();
  absl::Status Watch(int fd);
  absl::Status Admit(const AuthKey& key);
  absl::StatusOr<std::optional<Connection>> Answer(int fd);
  absl::Status DropExpired();
  Connection Remove(std::vector<Candidate>::iterator candidate);

  ListenerOptions options;
  Address address;
  UniqueFd socket;
  std::optional<internal::SocketFile> file;  // After the socket: removed before it is closed.
  UniqueFd events;                           // epoll over `socket` and the candidates.
  std::vector<Candidate> candidates;         // The oldest first.
};

Listener::Listener() = default;
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&&) noexcept = default;
Listener::~Listener() = default;
Listener::Listener(std::unique_ptr<State> state) : state_(std::move(state)) {}

void Listener::Close() { state_.reset(); }

const Address& Listener::address() const {
  static const Address closed;
  return state_ == nullptr ? closed : state_->address;
}

int Listener::descriptor() const { return state_ == nullptr ? -1 : state_->events.get(); }

absl::Status Listener::State::Listen() {
  BROOD_ASSIGN_OR_RETURN(const internal::SocketAddress to, internal::ToSocketAddress(address, options.reach));
  BROOD_ASSIGN_OR_RETURN(socket, internal::MakeSocket(to.family()));
  // Ours alone. Without it, accept4 would wait for the next peer if the one that was announced is gone.
  if (fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "set O_NONBLOCK");
  if (address.family == Address::Family::kUnixPath) {
    absl::StatusOr<internal::SocketFile> made =
        internal::SocketFile::Listen(socket.get(), address, to, options.backlog, options.stale_file);
    if (made.ok()) file.emplace(*std::move(made));
    return made.status();
  }
  // A port whose last connections are still in TIME_WAIT can be taken again; one that is listened to cannot.
  const int on = 1;
  if (address.family == Address::Family::kTcp &&
      setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
    return ErrnoStatus(errno, "set SO_REUSEADDR");
  }
  if (bind(socket.get(), to.get(), to.size) == 0 && listen(socket.get(), options.backlog) == 0) return absl::OkStatus();
  if (errno != EADDRINUSE) return ErrnoStatus(errno, "listen", address.ToString());
  return absl::AlreadyExistsError(absl::StrCat("listen ", address.ToString(), ": the address is in use"));
}

absl::StatusOr<Listener> Listener::Create(const Address& address, const ListenerOptions& options) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->options.connection.direction = Direction::kDuplex;
  state->address = address;
  BROOD_RETURN_IF_ERROR(state->Listen());
  BROOD_ASSIGN_OR_RETURN(state->address, internal::BoundAddress(state->socket.get(), address));
  state->events.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!state->events.valid()) return ErrnoStatus(errno, "epoll_create");
  BROOD_RETURN_IF_ERROR(state->Watch(state->socket.get()));
  return Listener(std::move(state));
}

absl::Status Listener::State::Watch(int fd) {
  epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  if (epoll_ctl(events.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoStatus(errno, "epoll_ctl");
  return absl::OkStatus();
}

// A peer that waits, without waiting for one: DeadlineExceeded if there is none.
absl::StatusOr<Connection> Listener::State::AcceptOne() {
  while (true) {
    UniqueFd peer(accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (peer.valid()) {
      BROOD_ASSIGN_OR_RETURN(Connection connection, Connection::Adopt(std::move(peer), options.connection));
      BROOD_RETURN_IF_ERROR(Annotate(internal::CheckPeerUser(connection, options.peers), "accept"));
      return connection;
    }
    switch (errno) {
      case EAGAIN:
        return absl::DeadlineExceededError("accept: nobody came");
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return ErrnoStatus(errno, "accept", address.ToString(), "the peer still waits");
      case EBADF:
      case EFAULT:
      case EINVAL:
      case ENOTSOCK:
        return ErrnoStatus(errno, "accept", address.ToString());
      default:
        break;  // EINTR; ECONNABORTED and the network's errors concern this peer, the next one may be well. accept(2)
    }
  }
}

absl::StatusOr<Connection> Listener::Accept(absl::Duration timeout) {
  if (closed()) return absl::FailedPreconditionError("accept: the listener is closed");
  const Deadline deadline(timeout);
  while (true) {
    const int error = internal::WaitUntilReady(state_->socket.get(), POLLIN, deadline);
    if (error != 0 && error != ETIMEDOUT) return ErrnoStatus(error, "accept", address().ToString());
    absl::StatusOr<Connection> connection = state_->AcceptOne();
    // The peer that was announced may have been taken by a process that shares the socket. accept(2)
    if (!absl::IsDeadlineExceeded(connection.status()) || deadline.passed()) return connection;
  }
}

// Takes the next peer in, as a candidate. Errors: as Accept; Unauthenticated, for this one or for the one that had to
// go.
absl::Status Listener::State::Admit(const AuthKey& key) {
  absl::StatusOr<Connection> connection = AcceptOne();
  if (absl::IsDeadlineExceeded(connection.status())) return absl::OkStatus();
  BROOD_RETURN_IF_ERROR(connection.status());
  Candidate candidate = {.connection = *std::move(connection),
                         .handshake = internal::ListenerHandshake(key),
                         .deadline = Deadline(options.handshake_timeout)};
  BROOD_RETURN_IF_ERROR(candidate.handshake.Begin(candidate.connection));
  BROOD_RETURN_IF_ERROR(Watch(candidate.connection.descriptor()));
  candidates.push_back(std::move(candidate));
  if (candidates.size() <= options.max_handshakes) return absl::OkStatus();
  (void)Remove(candidates.begin());
  return absl::UnauthenticatedError("accept: a peer was silent, and had to go for a new one");
}

// What the candidate with that descriptor has to say: nothing yet, or it is authenticated.
absl::StatusOr<std::optional<Connection>> Listener::State::Answer(int fd) {
  const auto candidate = std::find_if(candidates.begin(), candidates.end(),
                                      [fd](const Candidate& c) { return c.connection.descriptor() == fd; });
  if (candidate == candidates.end()) return std::nullopt;
  const absl::StatusOr<bool> done = candidate->handshake.Continue(candidate->connection, absl::ZeroDuration());
  if (done.ok() && !*done) return std::nullopt;
  Connection connection = Remove(candidate);
  if (!done.ok()) return Annotate(done.status(), "accept");
  return connection;
}

// Taken out of epoll by name: closing does not do it while a fork has the connection too. epoll(7)
Connection Listener::State::Remove(std::vector<Candidate>::iterator candidate) {
  Connection connection = std::move(candidate->connection);
  epoll_ctl(events.get(), EPOLL_CTL_DEL, connection.descriptor(), nullptr);
  candidates.erase(candidate);
  return connection;
}

absl::Status Listener::State::DropExpired() {
  // All have the same timeout, so the oldest is the first to expire.
  if (candidates.empty() || !candidates.front().deadline.passed()) return absl::OkStatus();
  (void)Remove(candidates.begin());
  return absl::UnauthenticatedError(
      absl::StrCat("accept: a peer did not answer within ", absl::FormatDuration(options.handshake_timeout)));
}

absl::StatusOr<Connection> Listener::AcceptAuthenticated(const AuthKey& key, absl::Duration timeout) {
  if (closed()) return absl::FailedPreconditionError("accept: the listener is closed");
  const Deadline deadline(timeout);
  while (true) {
    const bool last_look = deadline.passed();
    BROOD_RETURN_IF_ERROR(state_->DropExpired());
    const Deadline& until = !state_->candidates.empty() && state_->candidates.front().deadline < deadline
                                ? state_->candidates.front().deadline
                                : deadline;
    if (const int error = internal::WaitUntilReady(state_->events.get(), POLLIN, until);
        error != 0 && error != ETIMEDOUT) {
      return ErrnoStatus(error, "accept", address().ToString());
    }
    epoll_event ready[16];
    const int count = epoll_wait(state_->events.get(), ready, std::size(ready), 0);
    if (count < 0 && errno != EINTR) return ErrnoStatus(errno, "accept", address().ToString());
    // Those who are half through before those who have just come, or a flood of the latter would starve the former.
    bool someone_waits = false;
    for (int i = 0; i < count; ++i) {
      if (ready[i].data.fd == state_->socket.get()) {
        someone_waits = true;
        continue;
      }
      BROOD_ASSIGN_OR_RETURN(std::optional<Connection> connection, state_->Answer(ready[i].data.fd));
      if (connection.has_value()) return *std::move(connection);
    }
    if (someone_waits) BROOD_RETURN_IF_ERROR(state_->Admit(key));
    if (last_look) return absl::DeadlineExceededError("accept: nobody who has the key came in time");
  }
}

}  // namespace brood
