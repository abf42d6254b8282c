// A forkserver for many short calls of functions, each in a process of its own.
//
//   BROOD_ASSIGN_OR_RETURN(brood::Server server, brood::Server::Start({.preload = {"LoadModel"}}));
//   BROOD_ASSIGN_OR_RETURN(const brood::Outcome outcome, server.Call("Classify", {brood::Pack<std::string>(path)}));
//
// A Context with StartMethod::kForkServer gives each child what the caller has at that moment: streams, working directory,
// limits, descriptors; and a Process to stop it by. A call has none of that, and so costs little more than a fork: it runs
// as the server was started, with /dev/null as its streams, and is known by its outcome. What it leaves running ends with it.
//
// Calls that are under way end with the object, and with this process. For one thread at a time. Never throws, never logs.
#ifndef BROOD_LAUNCHER_SERVER_H_
#define BROOD_LAUNCHER_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "forkserver/client.h"
#include "forkserver/server_report.h"
#include "launcher/context_options.h"
#include "launcher/launch_options.h"
#include "launcher/outcome.h"
#include "sandbox/plan.h"
#include "serialization/messages.h"
#include "serialization/value.h"

namespace brood {

class Server {
 public:
  // Starts one of its own, which has preloaded when this returns. Of `options`, those for a forkserver count.
  //
  // With a `policy` each call is a child of its own in a sandbox that was finished before (docs/slots.md), which costs far less
  // than making one. Not every policy can have that. With Isolation::kFresh it is used for one call, and others are made ready
  // meanwhile: calls that come faster than these wait for them.
  //
  // Errors: those of Context::StartServer; FailedPrecondition (the policy can have no such sandbox, and why; use a Context).
  static absl::StatusOr<Server> Start(const ContextOptions& options = {}, std::shared_ptr<const CompiledPolicy> policy = nullptr,
                                      Isolation isolation = Isolation::kKept);

  // A template of this server, as a server of its own: what is preloaded here is there, and `added` besides. Errors: as Start.
  absl::StatusOr<Server> StartTemplate(Template added) const;

  // Runs the target of that name and waits for its end. Arguments cannot carry descriptors.
  //
  // Errors: NotFound (this program has no such target), InvalidArgument (too large, or with descriptors), Unavailable (the
  //   server was killed at this moment; the next call starts another), ResourceExhausted. What a child could not begin with is an outcome: SetupFailed where
  //   there is none, and exit code 125 for arguments that the target does not take.
  absl::StatusOr<Outcome> Call(std::string_view target, std::vector<TypedValue> arguments = {});

  // The same in two steps, for several at once: gives the number by which Next tells of the end.
  absl::StatusOr<uint64_t> Send(std::string_view target, std::vector<TypedValue> arguments = {});

  // Waits for the next call that ends. The outcome is Lost if its keeper was killed. Errors: FailedPrecondition (none is
  // under way).
  absl::StatusOr<std::pair<uint64_t, Outcome>> Next();

  // What the start of the server took that has, or would have, the next call. Errors: those of Start.
  absl::StatusOr<ServerReport> Report() { return server_->Report(Patience()); }

  // Calls that Next has not told of.
  size_t pending() const;

  Server(Server&&) = default;
  Server& operator=(Server&&) = default;

 private:
  struct Keeper {  // See forkserver/keeper_child.h.
    UniqueFd socket;
    std::shared_ptr<internal::ForkServer::Instance> instance;  // Whose it is.
    uint64_t call = 0;  // 0: none.
  };

  Server(ContextOptions options, std::shared_ptr<internal::ForkServer> server, std::shared_ptr<const CompiledPolicy> policy,
         Isolation isolation);
  internal::ForkServerPatience Patience() const;
  void Rotate();
  absl::StatusOr<Keeper*> Idle();
  absl::Status AskForKeepers(uint32_t count, const internal::ForkServerPatience& patience);
  absl::StatusOr<UniqueFd> AwaitKeeper();
  absl::StatusOr<UniqueFd> LeaseKeeper();

  ContextOptions options_;
  std::shared_ptr<internal::ForkServer> server_;
  std::shared_ptr<internal::ForkServer::Instance> instance_;  // Which is to have the next call. Null: a new one.
  std::shared_ptr<const CompiledPolicy> policy_;  // Or null.
  Isolation isolation_;
  uint32_t asked_ = 0;                            // Keepers of instance_ that are on the way.
  std::string slot_;                              // What it makes of the supervisor's slots.
  std::vector<Keeper> keepers_;
  uint64_t last_ = 0;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_SERVER_H_
