// The client's side of `brood serve`: children that a server starts, by the name of its socket.
//
// Functions may be called from any thread.
#ifndef BROOD_LAUNCHER_REMOTE_LAUNCH_H_
#define BROOD_LAUNCHER_REMOTE_LAUNCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/serve_protocol.h"
#include "launcher/server_policy.h"
#include "sandbox/policy.h"

namespace brood {

namespace internal {

struct GuardedState;

// What a function is to the server: bytes that its child reads.
struct RemoteFunction {
  int message = -1;
  int result = -1;
};

// Errors: those of PolicyOfServer; what the server refused, and why; InvalidArgument, as LaunchInternal.
absl::StatusOr<std::shared_ptr<GuardedState>> LaunchRemote(const LaunchOptions& options, const RemoteFunction* function);

// What the server answers to a question. Errors: those of PolicyOfServer.
absl::StatusOr<std::string> AskServer(const std::string& path, std::optional<uint32_t> server_uid, ServeTag::Kind question,
                                      ServeTag::Kind answer);

// A connection to the server. Errors: those of PolicyOfServer.
absl::StatusOr<UniqueFd> ConnectToServer(const std::string& path, std::optional<uint32_t> server_uid);

}  // namespace internal
}  // namespace brood

#endif  // BROOD_LAUNCHER_REMOTE_LAUNCH_H_
