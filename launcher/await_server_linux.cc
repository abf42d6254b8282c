#include <poll.h>

#include <memory>

#include "absl/time/clock.h"
#include "ipc/deadline.h"
#include "launcher/remote_launch.h"
#include "launcher/retry_lost.h"
#include "launcher/serve_protocol.h"
#include "launcher/served_start.h"

namespace brood::internal {

bool AwaitServer(const ContextOptions& context, const ServerPause& pause) {
  constexpr absl::Duration kPause = absl::Milliseconds(20);
  constexpr int kEndMs = 100;
  if (pause && !pause(absl::ZeroDuration())) return false;
  if (context.server.empty()) {
    const absl::StatusOr<ServedStart> served = ServedStart::Prepare(context);
    const std::shared_ptr<ForkServer::Instance> running = served.ok() ? served->Running() : nullptr;
    if (running == nullptr) return true;
    // Of a process that ends the sockets are closed before it is known to have ended. One that goes on has lost a keeper only.
    pollfd ended = {running->pidfd->get(), POLLIN, 0};
    poll(&ended, 1, kEndMs);
    return true;
  }
  // There is nothing that tells that a socket is listened to again. One that is killed can still be connected to after its other
  // connections are closed: only an answer is a server's.
  for (const Deadline deadline(context.server_timeout); !deadline.passed();) {
    const absl::Status answers = AskServer(context.server, context.server_uid, ServeTag::Kind::kAskPolicy, ServeTag::Kind::kPolicy).status();
    if (!absl::IsUnavailable(answers) && !absl::IsNotFound(answers)) return true;
    if (!pause) {
      absl::SleepFor(kPause);
    } else if (!pause(kPause)) {
      return false;
    }
  }
  return false;
}

}  // namespace brood::internal
