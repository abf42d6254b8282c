// What a handshake does with a connection before its user has it. Not for users.
#ifndef BROOD_IPC_CONNECTION_ACCESS_H_
#define BROOD_IPC_CONNECTION_ACCESS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ipc/connection.h"

namespace brood::internal {

class ConnectionAccess {
 public:
  // One part of a handshake. A peer that is not known yet gets room for 256 bytes and no descriptors.
  static absl::Status SendAuth(Connection& connection, std::string_view bytes, absl::Duration timeout) {
    return connection.SendFrame(FrameKind::kAuth, {}, bytes, {}, timeout);
  }
  static absl::StatusOr<std::string> ReceiveAuth(Connection& connection, absl::Duration timeout) {
    absl::StatusOr<IncomingFrame> frame =
        connection.ReceiveFrame(FrameKind::kAuth, {.timeout = timeout, .max_bytes = kMaxAuthBytes, .max_handles = 0});
    if (!frame.ok()) return frame.status();
    return std::move(frame->body);
  }

 private:
  static constexpr uint64_t kMaxAuthBytes = 256;
};

}  // namespace brood::internal

#endif  // BROOD_IPC_CONNECTION_ACCESS_H_
