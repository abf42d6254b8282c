// `brood serve`: starts children for many clients, each connection under the server's policy.
//
//   BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ServeServer> server, ServeServer::Create({.socket = path, .policy = policy}));
//   BROOD_RETURN_IF_ERROR(server->Run(signals.fd()));
//
// One thread, which waits for no client: each is a state machine with a deadline (client.h). The protocol is in
// launcher/serve_protocol.h. Children are what Process has, each with its guardian; functions come from one forkserver.
#ifndef BROOD_SERVE_SERVER_H_
#define BROOD_SERVE_SERVER_H_

#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/closer.h"
#include "base/unique_fd.h"
#include "forkserver/event_loop.h"
#include "ipc/socket_file.h"
#include "launcher/context_options.h"
#include "launcher/process.h"
#include "launcher/served_start.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"
#include "serve/forkservers.h"
#include "serve/quota.h"
#include "serve/rotation.h"
#include "serve/status.h"
#include "serve/templates.h"

namespace brood {

namespace internal {
class ServeClient;
struct ServeCeiling;
}  // namespace internal

struct ServeOptions {
  std::string socket;                 // Its path. The file has mode 0600; 0666 if other users are served.
  Policy policy;                      // What a client gets at most, and what it has that asks for nothing else.
  std::vector<uid_t> other_users;     // Served besides this one.
  std::vector<std::string> preload;   // ContextOptions::preload, as is the next.
  Freeze freeze = Freeze::kOff;
  std::vector<ServeTemplate> templates;  // Each after that which it is a template of.
  ServeRotation rotation;             // When the forkserver and the templates are replaced.
  absl::Duration patience = absl::Seconds(10);  // From a connection to its request, and for the outcome to be taken.
  ServeQuota quota;
  std::string version;                // For the status.
  std::function<void(std::string_view)> warn;  // What goes wrong and no client is told, in Run's thread.
  std::function<absl::Status()> before_listening;  // When all have preloaded. May be null; an error is one of Create's.
  size_t max_waiting = 4096;          // Connections that have asked for nothing yet. For another one, the oldest goes.
};

class ServeServer {
 public:
  // Compiles the policy, starts the forkserver and its templates, which have preloaded then, and listens.
  //
  // Errors: AlreadyExists (somebody listens there), InvalidArgument (a template), those of CompilePolicy and of Context::StartServer.
  static absl::StatusOr<std::unique_ptr<ServeServer>> Create(ServeOptions options);
  ~ServeServer();

  // Until `stop` is readable. Then the socket is gone, and all children are killed, and their clients told.
  absl::Status Run(int stop);

 private:
  friend class internal::ServeClient;
  explicit ServeServer(ServeOptions options);
  absl::Status Listen();
  void Accept();
  bool MakeRoom();
  void Stop();

  // --- for the clients ---
  internal::EventLoop& loop() { return loop_; }
  const ServeOptions& options() const { return options_; }
  // Errors: NotFound (there is no such template).
  absl::StatusOr<const ContextOptions*> ContextOf(const std::string& template_path) const;
  // What a process gets at most, and who pays: the server's policy, and it itself; the policy of its own child, and whose that is, for
  // one below that.
  //
  // Errors: PermissionDenied (one below a child of which nothing is known), those of AncestorsOf: Unavailable for a moment.
  absl::StatusOr<internal::ServeCeiling> CeilingOf(const ucred& peer);
  bool AnyStarting() const;
  // The policy that `asked` makes of `ceiling`, ready. Errors: PermissionDenied naming what it asks too much of.
  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> PolicyFor(
      const std::shared_ptr<const CompiledPolicy>& ceiling, const std::optional<std::string>& asked);
  // Takes the outcome of one that cannot give it at once.
  void JoinElsewhere(uint64_t client, Process process);
  void OnJoined();
  internal::ServeQuotas& quotas() { return quotas_; }
  internal::Closer& closer() { return closer_; }
  internal::Forkservers& forkservers() { return forkservers_; }
  void NoteBorn(uint64_t client);
  void NoteRefused() { ++status_.refused; }
  void NoteStarted(absl::Duration since_request) { status_.start.Add(since_request); }
  void NoteEnded(const Outcome& outcome, absl::Duration since_request);
  ServeStatus Status();
  void Remove(uint64_t client);

  const ServeOptions options_;
  ContextOptions context_;  // Of the server itself.
  std::shared_ptr<const CompiledPolicy> policy_;
  std::map<std::string, std::shared_ptr<const CompiledPolicy>> tighter_;  // By wire form.
  internal::ServeQuotas quotas_;
  internal::Closer closer_;
  internal::EventLoop loop_;
  internal::Forkservers forkservers_;  // Also of its templates, by path.
  UniqueFd socket_;
  std::optional<internal::SocketFile> file_;
  uint64_t next_client_ = 1;
  std::map<uint64_t, std::unique_ptr<internal::ServeClient>> clients_;
  std::map<uint64_t, internal::ServeClient*> waiting_;  // The oldest first.
  std::vector<std::unique_ptr<internal::ServeClient>> removed_;  // Gone when the loop has come round.
  ServeStatus status_;  // What is counted as it happens.
  int64_t start_ns_ = 0;
  bool stopping_ = false;
  int64_t stop_deadline_ns_ = INT64_MAX;
  size_t joining_ = 0;
  std::vector<std::thread> threads_;
  UniqueFd joined_event_;
  std::mutex mutex_;  // Guards what follows.
  std::vector<std::pair<uint64_t, Outcome>> joined_;
};

}  // namespace brood

#endif  // BROOD_SERVE_SERVER_H_
