// Named pipes: a listener has several instances of one, each of which takes one peer, and makes a new one for each that it
// gives away. A pipe that somebody else listens at is refused: the first instance must be the first one (FIRST_PIPE_INSTANCE).
#include <windows.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "ipc/authenticate.h"
#include "ipc/deadline.h"
#include "ipc/listener.h"
#include "ipc/pipe_address.h"

namespace brood {
namespace {

using internal::Deadline;

constexpr int kMaxInstances = 16;
constexpr DWORD kBuffer = 64 << 10;
constexpr DWORD kLookAgainMs = 10;

// An instance that waits for its peer. Its memory must stay where it is until that is over.
struct Instance {
  UniqueFd pipe;
  OVERLAPPED overlapped = {};
  bool connected = false;  // At once.

  HANDLE handle() const { return HandleOf(pipe.get()); }
  bool done() const { return connected || HasOverlappedIoCompleted(&overlapped); }

  Instance() = default;
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance() {
    if (!pipe.valid() || done()) return;
    CancelIoEx(handle(), &overlapped);
    DWORD unused = 0;
    GetOverlappedResult(handle(), &overlapped, &unused, TRUE);
  }
};

// A peer that has to prove that it has the key.
struct Candidate {
  Connection connection;
  internal::ListenerHandshake handshake;
  Deadline deadline;
};

VOID CALLBACK SaySo(PTP_CALLBACK_INSTANCE /*instance*/, PVOID event, PTP_TIMER /*timer*/) { SetEvent(event); }

}  // namespace

struct Listener::State {
  ~State() { StopLooking(); }

  absl::Status Listen();
  absl::Status AddInstance(DWORD flags);
  absl::Status Begin(Instance& instance);
  void TellWhatIsDone();
  absl::StatusOr<std::optional<Connection>> TakePeer();
  absl::Status Admit(const AuthKey& key);
  absl::StatusOr<std::optional<Connection>> Answer();
  absl::Status DropExpired();
  void Await(const Deadline& deadline) const;
  void StopLooking();

  ListenerOptions options;
  Address address;
  std::wstring name;
  std::optional<internal::PipeSecurity> security;
  UniqueFd event;  // Of all instances: one of them has its peer. While there are candidates a timer sets it now and then.
  PTP_TIMER timer = nullptr;
  std::deque<std::unique_ptr<Instance>> instances;  // Those that have waited longest first.
  std::vector<Candidate> candidates;                // The oldest first.
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

int Listener::descriptor() const { return state_ == nullptr ? -1 : state_->event.get(); }

absl::Status Listener::State::Listen() {
  if (address.family == Address::Family::kPipe && address.name.empty()) {
    BROOD_ASSIGN_OR_RETURN(address.name, internal::NewPipeName());
  }
  BROOD_ASSIGN_OR_RETURN(name, internal::ToPipeName(address));
  BROOD_ASSIGN_OR_RETURN(security, internal::PipeSecurity::For(options.peers));
  event = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!event.valid()) return LastErrorStatus("CreateEvent", "to listen");
  BROOD_RETURN_IF_ERROR(AddInstance(FILE_FLAG_FIRST_PIPE_INSTANCE));
  for (int i = 1; i < std::clamp(options.backlog, 1, kMaxInstances); ++i) BROOD_RETURN_IF_ERROR(AddInstance(0));
  return absl::OkStatus();
}

absl::Status Listener::State::AddInstance(DWORD flags) {
  auto instance = std::make_unique<Instance>();
  instance->pipe = Own(CreateNamedPipeW(name.c_str(), PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | flags,
                                        PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                                        PIPE_UNLIMITED_INSTANCES, kBuffer, kBuffer, 0, security->get()));
  if (!instance->pipe.valid()) {
    const DWORD error = GetLastError();
    // That is what a second first instance gets. CreateNamedPipe, "FILE_FLAG_FIRST_PIPE_INSTANCE".
    if (flags != 0 && (error == ERROR_ACCESS_DENIED || error == ERROR_PIPE_BUSY)) {
      return absl::AlreadyExistsError(absl::StrCat("listen ", address.ToString(), ": the address is in use"));
    }
    return WindowsStatus(error, "listen", address.ToString());
  }
  BROOD_RETURN_IF_ERROR(Begin(*instance));
  instances.push_back(std::move(instance));
  return absl::OkStatus();
}

absl::Status Listener::State::Begin(Instance& instance) {
  instance.overlapped = {};
  instance.overlapped.hEvent = HandleOf(event.get());
  instance.connected = ConnectNamedPipe(instance.handle(), &instance.overlapped) != 0;
  const DWORD error = instance.connected ? ERROR_SUCCESS : GetLastError();
  // Somebody was faster than this call, and may have gone again: what it said is there to be read. ConnectNamedPipe, "Remarks".
  if (error == ERROR_PIPE_CONNECTED || error == ERROR_NO_DATA) instance.connected = true;
  if (!instance.connected && error != ERROR_IO_PENDING) return WindowsStatus(error, "ConnectNamedPipe", address.ToString());
  return absl::OkStatus();
}

// Each operation that begins takes the event's signal away, also that of another one.
void Listener::State::TellWhatIsDone() {
  ResetEvent(HandleOf(event.get()));
  if (std::any_of(instances.begin(), instances.end(), [](const auto& each) { return each->done(); })) {
    SetEvent(HandleOf(event.get()));
  }
}

absl::StatusOr<Listener> Listener::Create(const Address& address, const ListenerOptions& options) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->options.connection.direction = Direction::kDuplex;
  state->address = address;
  BROOD_RETURN_IF_ERROR(state->Listen());
  state->TellWhatIsDone();
  return Listener(std::move(state));
}

// A peer that waits, without waiting for one.
absl::StatusOr<std::optional<Connection>> Listener::State::TakePeer() {
  for (;;) {
    const auto at = std::find_if(instances.begin(), instances.end(), [](const auto& each) { return each->done(); });
    if (at == instances.end()) {
      TellWhatIsDone();
      return std::nullopt;
    }
    DWORD unused = 0;
    if (!(*at)->connected && !GetOverlappedResult((*at)->handle(), &(*at)->overlapped, &unused, FALSE)) {
      // What a thread has begun ends with it.
      const absl::Status again = GetLastError() == ERROR_OPERATION_ABORTED ? Begin(**at) : LastErrorStatus("accept");
      if (again.ok()) continue;
      instances.erase(at);
      BROOD_RETURN_IF_ERROR(AddInstance(0));
      continue;
    }
    // Before it is given away, or there is a moment without any, and a listener that cannot make one loses its peer.
    const std::unique_ptr<Instance> instance = std::move(*at);
    instances.erase(at);
    if (absl::Status added = AddInstance(0); !added.ok()) {
      instances.push_front(std::make_unique<Instance>());
      instances.front()->pipe = std::move(instance->pipe);
      instances.front()->connected = true;
      TellWhatIsDone();
      return Annotate(added, "accept: the peer still waits");
    }
    TellWhatIsDone();
    return Connection::Adopt(std::move(instance->pipe), options.connection);
  }
}

void Listener::State::Await(const Deadline& deadline) const {
  const absl::Duration left = std::min(deadline.Left(), absl::Hours(24));
  WaitForSingleObject(HandleOf(event.get()), static_cast<DWORD>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)))));
}

absl::StatusOr<Connection> Listener::Accept(absl::Duration timeout) {
  if (closed()) return absl::FailedPreconditionError("accept: the listener is closed");
  const Deadline deadline(timeout);
  while (true) {
    const bool last_look = deadline.passed();
    BROOD_ASSIGN_OR_RETURN(std::optional<Connection> connection, state_->TakePeer());
    if (connection.has_value()) return *std::move(connection);
    if (last_look) return absl::DeadlineExceededError("accept: nobody came");
    state_->Await(deadline);
  }
}

// Takes the next peer in, as a candidate. Errors: as Accept; Unauthenticated, for this one or for the one that had to go.
absl::Status Listener::State::Admit(const AuthKey& key) {
  BROOD_ASSIGN_OR_RETURN(std::optional<Connection> connection, TakePeer());
  if (!connection.has_value()) return absl::OkStatus();
  Candidate candidate = {.connection = *std::move(connection),
                         .handshake = internal::ListenerHandshake(key),
                         .deadline = Deadline(options.handshake_timeout)};
  BROOD_RETURN_IF_ERROR(candidate.handshake.Begin(candidate.connection));
  candidates.push_back(std::move(candidate));
  // Nothing signals that a pipe has something: it is looked at.
  if (timer == nullptr) {
    timer = CreateThreadpoolTimer(SaySo, HandleOf(event.get()), nullptr);
    if (timer == nullptr) return LastErrorStatus("CreateThreadpoolTimer");
    FILETIME at_once = {};
    SetThreadpoolTimer(timer, &at_once, kLookAgainMs, 0);
  }
  if (candidates.size() <= options.max_handshakes) return absl::OkStatus();
  candidates.erase(candidates.begin());
  return absl::UnauthenticatedError("accept: a peer was silent, and had to go for a new one");
}

// One of the candidates that has said something: it is authenticated, or has failed.
absl::StatusOr<std::optional<Connection>> Listener::State::Answer() {
  for (auto candidate = candidates.begin(); candidate != candidates.end(); ++candidate) {
    const absl::StatusOr<bool> done = candidate->handshake.Continue(candidate->connection, absl::ZeroDuration());
    if (done.ok() && !*done) continue;
    Connection connection = std::move(candidate->connection);
    candidates.erase(candidate);
    if (!done.ok()) return Annotate(done.status(), "accept");
    return connection;
  }
  return std::nullopt;
}

absl::Status Listener::State::DropExpired() {
  // All have the same timeout, so the oldest is the first to expire.
  if (candidates.empty() || !candidates.front().deadline.passed()) return absl::OkStatus();
  candidates.erase(candidates.begin());
  return absl::UnauthenticatedError(
      absl::StrCat("accept: a peer did not answer within ", absl::FormatDuration(options.handshake_timeout)));
}

void Listener::State::StopLooking() {
  if (timer == nullptr) return;
  SetThreadpoolTimer(timer, nullptr, 0, 0);
  WaitForThreadpoolTimerCallbacks(timer, TRUE);
  CloseThreadpoolTimer(timer);
  timer = nullptr;
}

absl::StatusOr<Connection> Listener::AcceptAuthenticated(const AuthKey& key, absl::Duration timeout) {
  if (closed()) return absl::FailedPreconditionError("accept: the listener is closed");
  const Deadline deadline(timeout);
  // Whatever comes of it, nobody is told to look at candidates that there are not.
  struct AtEnd {
    State& state;
    ~AtEnd() {
      if (!state.candidates.empty()) return;
      state.StopLooking();
      state.TellWhatIsDone();
    }
  } const at_end{*state_};
  while (true) {
    const bool last_look = deadline.passed();
    BROOD_RETURN_IF_ERROR(state_->DropExpired());
    // Those who are half through before those who have just come, or a flood of the latter would starve the former.
    BROOD_ASSIGN_OR_RETURN(std::optional<Connection> connection, state_->Answer());
    if (connection.has_value()) return *std::move(connection);
    BROOD_RETURN_IF_ERROR(state_->Admit(key));
    if (last_look) return absl::DeadlineExceededError("accept: nobody who has the key came in time");
    // The timer wakes it when there are candidates, which may expire.
    state_->Await(deadline);
  }
}

}  // namespace brood
