// Addresses as the kernel has them. Not for users: listener.h and dial.h are.
#ifndef BROOD_IPC_SOCKET_ADDRESS_H_
#define BROOD_IPC_SOCKET_ADDRESS_H_

#include <sys/socket.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/address.h"
#include "ipc/connection.h"

namespace brood::internal {

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

// Errors: InvalidArgument (too long, empty, not numeric, further than `reach`).
absl::StatusOr<SocketAddress> ToSocketAddress(const Address& address, TcpReach reach);

// `address` with what the kernel chose: abstract name, port.
absl::StatusOr<Address> BoundAddress(int socket, const Address& address);

// Close-on-exec, TCP without delay for small messages.
absl::StatusOr<UniqueFd> MakeSocket(int family);

// Errors: PermissionDenied (a Unix peer of another user).
absl::Status CheckPeerUser(const Connection& connection, PeerUser users);

}  // namespace brood::internal

#endif  // BROOD_IPC_SOCKET_ADDRESS_H_
