// What `brood serve` does with a child of a client's, besides what any Process can: nothing here waits, so that one thread can
// have many.
#ifndef BROOD_LAUNCHER_CLIENT_CHILD_H_
#define BROOD_LAUNCHER_CLIENT_CHILD_H_

#include <sys/types.h>

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "forkserver/client.h"
#include "launcher/client_birth_child.h"
#include "launcher/context_options.h"
#include "launcher/launch_options.h"
#include "launcher/launch_record.h"
#include "launcher/process.h"
#include "launcher/remote_launch.h"
#include "launcher/serve_protocol.h"

namespace brood::internal {

struct ClientChild {
  Process process;
  std::shared_ptr<ForkServer::Instance> forkserver;  // That bears it. Null: this process has.
};

// As Process::Launch; with `function`, one that the forkserver of `context` forks, which is not started for that. Errors: as that;
// Unavailable (a function, and the forkserver does not run); what the child could not begin with is an outcome.
absl::StatusOr<ClientChild> LaunchForClient(const ContextOptions& context, LaunchOptions options,
                                            const std::optional<RemoteFunction>& function, const ClientBirth& birth);

// What the client has, as far as it is not more than this process has: a lower priority, lower limits.
ClientBirth BirthOf(const RemoteLaunch& launch);

// Readable when there is news of the child before its end; -1 when there will be none.
int NewsOf(Process& process);

// Takes the news. Whether its target runs, or has.
bool TakeNews(Process& process);

// Whether `pid` is its target, or its guardian where that is a child of ours.
bool Is(Process& process, pid_t pid);

// Passes a client's command on. One that the guardian has no room for is dropped, and a kill is then the end of its socket,
// which has the same effect.
void PassOn(Process& process, const GuardianCommand& command);

// Whether to take its outcome may take seconds, because its guardian was killed.
bool EndsSlowly(Process& process);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_CLIENT_CHILD_H_
