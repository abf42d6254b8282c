// Connects to a listener: Python's Client.
//
//   BROOD_ASSIGN_OR_RETURN(Connection connection, Dial(Address::UnixPath("/run/user/1000/x")));
//
// Functions may be called from any thread.
#ifndef BROOD_IPC_DIAL_H_
#define BROOD_IPC_DIAL_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ipc/address.h"
#include "ipc/auth_key.h"
#include "ipc/connection.h"

namespace brood {

struct DialOptions {
  absl::Duration timeout = absl::Seconds(20);  // For all of it.
  TcpReach reach = TcpReach::kLoopback;
  PeerUser peer = PeerUser::kSame;
  ConnectionOptions connection;
};

// Errors: NotFound (no such socket file), Unavailable (nobody listens there), PermissionDenied (the file's mode; a
//   listener of another user), DeadlineExceeded (the listener accepts nothing), InvalidArgument (the address).
absl::StatusOr<Connection> Dial(const Address& address, const DialOptions& options = {});

// Likewise, and both ends prove that they have the key. Errors: also Unauthenticated.
absl::StatusOr<Connection> DialAuthenticated(const Address& address, const AuthKey& key,
                                             const DialOptions& options = {});

}  // namespace brood

#endif  // BROOD_IPC_DIAL_H_
