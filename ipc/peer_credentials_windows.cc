#include "ipc/connection.h"

namespace brood {

absl::StatusOr<PeerCredentials> Connection::peer_credentials() const {
  if (closed()) return absl::FailedPreconditionError("peer credentials: the connection is closed");
  return absl::UnimplementedError("peer credentials: a pipe of Windows tells no user; authenticate");
}

}  // namespace brood
