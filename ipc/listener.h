// Waits for connections at an address.
//
//   BROOD_ASSIGN_OR_RETURN(Listener listener, Listener::Create(Address::UnixPath("/run/user/1000/x")));
//   while (true) {
//     absl::StatusOr<Connection> connection = listener.AcceptAuthenticated(key);
//     ...                                       // Unauthenticated, PermissionDenied: one peer failed; go on.
//   }
//
// Other processes: Dial and DialAuthenticated (dial.h). A socket file has mode 0600 and is removed with the listener,
// if it is still the same file, and not by a fork of its process. An abstract name or a TCP port can be dialed by every
// user of the machine: the first only accepts the same user unless told otherwise, for the second authenticate.
//
// Not thread-safe; distinct listeners may be used from distinct threads.
#ifndef BROOD_IPC_LISTENER_H_
#define BROOD_IPC_LISTENER_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ipc/address.h"
#include "ipc/auth_key.h"
#include "ipc/connection.h"

namespace brood {

struct ListenerOptions {
  // Peers that wait to be accepted; Linux cuts it to net.core.somaxconn, listen(2). On Windows at most 16: others wait in Dial.
  int backlog = 128;
  TcpReach reach = TcpReach::kLoopback;
  PeerUser peers = PeerUser::kSame;
  StaleSocketFile stale_file = StaleSocketFile::kReplace;
  absl::Duration handshake_timeout = absl::Seconds(20);  // For each peer to prove that it has the key.
  size_t max_handshakes = 64;    // At once. For a new peer, the one that is silent longest goes.
  ConnectionOptions connection;  // Of those accepted; its direction is ignored.
};

class Listener {  // Move-only. Its destruction closes it.
 public:
  // Errors: AlreadyExists (the address is in use), InvalidArgument (no address, path too long, further than `reach`),
  //   NotFound (no such folder), PermissionDenied.
  static absl::StatusOr<Listener> Create(const Address& address, const ListenerOptions& options = {});

  Listener();  // Closed.
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();

  // The next peer. It may be gone already: what it sent can still be received.
  //
  // Errors: DeadlineExceeded (nobody came), FailedPrecondition (closed), ResourceExhausted (EMFILE: the peer still
  //   waits), PermissionDenied (a peer of another user; it is refused, and the listener goes on).
  absl::StatusOr<Connection> Accept(absl::Duration timeout = absl::InfiniteDuration());

  // The next peer that proves that it has the key, after proving the same to it. All peers that have come are talked to
  // at once: one that is silent delays nobody, and has failed after `handshake_timeout`. Handshakes that are not done
  // when the timeout passes go on in the next call.
  //
  // Errors: as Accept, and Unauthenticated for each peer that failed; the listener goes on.
  absl::StatusOr<Connection> AcceptAuthenticated(const AuthKey& key, absl::Duration timeout = absl::InfiniteDuration());

  void Close();  // Peers that were not accepted see the end.

  bool closed() const { return state_ == nullptr; }
  // With what the kernel chose. An empty path when closed.
  const Address& address() const;
  // Borrowed, -1 when closed. Readable when Accept or AcceptAuthenticated may have something to do.
  int descriptor() const;

 private:
  struct State;
  explicit Listener(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace brood

#endif  // BROOD_IPC_LISTENER_H_
