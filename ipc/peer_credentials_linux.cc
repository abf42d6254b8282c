#include <sys/socket.h>

#include <cerrno>

#include "base/status.h"
#include "ipc/connection.h"

namespace brood {

absl::StatusOr<PeerCredentials> Connection::peer_credentials() const {
  if (closed()) return absl::FailedPreconditionError("peer credentials: the connection is closed");
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return ErrnoStatus(errno, "peer credentials");
  }
  // What the kernel says of sockets that have none. socket(7) has it for Unix sockets only.
  if (credentials.uid == static_cast<uid_t>(-1)) {
    return absl::FailedPreconditionError("peer credentials: only Unix sockets know them");
  }
  return PeerCredentials{.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
}

}  // namespace brood
