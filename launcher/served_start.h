// A function that a forkserver starts: the two sides around forkserver/. Not for users of the library.
#ifndef BROOD_LAUNCHER_SERVED_START_H_
#define BROOD_LAUNCHER_SERVED_START_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "forkserver/client.h"
#include "launcher/context_options.h"
#include "launcher/launch_record.h"
#include "launcher/process.h"

namespace brood::internal {

struct ClientBirth;
class ChildLink;
class LeasedChild;

// A server, and what a child is to have of the caller at this moment.
class ServedStart {
 public:
  // Of the calling thread. Starts no server.
  static absl::StatusOr<ServedStart> Prepare(const ContextOptions& context);

  // As Prepare, by what that saw the last time that this thread asked: it takes a tenth of a launch to look at all of it, which can be
  // done while the server works. Launch then starts no server, and its child is one that awaits a word (LaunchTarget::awaits_word):
  // Confirm tells it to go on. None: this thread has not asked before.
  static std::optional<ServedStart> Guess(const ContextOptions& context);
  bool is_guess() const { return is_guess_; }

  // Of a guess: looks, and says the word. False: it was wrong, and the child, which runs nothing, is to be thrown away.
  bool Confirm(Process& child) const;

  // Errors: those of ForkServer::Start.
  absl::Status StartServer() const { return server_->Start(patience_); }

  absl::StatusOr<ServerReport> Report() const { return server_->Report(patience_); }

  ServerState State() const { return server_->State(); }

  // The supervisor, if one runs.
  std::shared_ptr<ForkServer::Instance> Running() const { return server_->Running(); }

  // As long as somebody holds it, Prepare finds it.
  const std::shared_ptr<ForkServer>& server() const { return server_; }

  // Which has what Launch has sent. Null: it has sent nothing.
  const std::shared_ptr<ForkServer::Instance>& instance() const { return instance_; }

  // ForkServer::TakeOver.
  std::shared_ptr<ForkServer::Instance> TakeOver(ForkServer& ready) const { return server_->TakeOver(ready); }

  // Launch is Unavailable if none runs, or it has just ended. Else it starts one.
  void StartNone() { patience_.ended = ForkServerPatience::Ended::kRefuse; }

  // How long the child's birth may take, which nobody here waits for; else the context's server_timeout.
  void SetBirthPatience(absl::Duration patience) { birth_patience_ = patience; }

  // Launch gives that to the child, where it is less than this process has. It must live until then.
  void SetBirth(const ClientBirth* birth) { birth_ = birth; }

  // One that has ended is not Running any more.
  void ForgetEnded() const { server_->ForgetEnded(); }

  // The next start has a server that is started then.
  void ReplaceServer() const { server_->Replace(); }

  // Whether the server could not give a child what the caller has, so that only one that is started now can.
  static bool NeedsNewServer(const absl::Status& status);

  // A keeper of a slot that this process has leased, to which Launch then sends what it is given. Null: there is none.
  std::unique_ptr<ChildLink> Lease(std::string_view slot);

  // Keeps that of `child`, once it has ended, for the next one. Before anything is read of it.
  void LeaseAfter(Process& child) const;

  // Has the server fork a child for `record`, all of whose descriptors must stay open until this returns. Errors: those
  // of ForkServer::Send.
  absl::Status Launch(const LaunchRecord& record);

  // Waits until the server has taken what Launch sent, or has ended. Errors: DeadlineExceeded; the supervisor is killed
  // then, which takes nothing, so that nobody has the request.
  absl::Status AwaitGuardian(Process& process) const;

 private:
  std::shared_ptr<ForkServer> server_;
  ForkServerPatience patience_;
  std::shared_ptr<ForkServer::Instance> instance_;  // Which has the request.
  // What of the caller is to be looked up in its /proc/thread-self/status.
  struct Seen {
    std::string fingerprint;
    mode_t file_mask = 0;
    bool operator==(const Seen&) const = default;
  };
  static absl::StatusOr<Seen> Look();
  static std::optional<Seen>& LastSeen();
  static ServedStart Make(const ContextOptions& context, Seen seen);

  Seen seen_;
  bool is_guess_ = false;
  const ClientBirth* birth_ = nullptr;
  LeasedChild* leased_ = nullptr;  // Which is to have the order. Who has asked for it owns it.
  std::string slot_; // Of what went to the server though it could have been a leased keeper's.
  absl::Duration birth_patience_;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SERVED_START_H_
