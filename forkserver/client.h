// The client's side: servers of this process, each started when it is first needed.
//
//   BROOD_ASSIGN_OR_RETURN(const std::shared_ptr<ForkServer> server, FindForkServer(options, fingerprint));
//   BROOD_RETURN_IF_ERROR(server->Send(bytes, fds));
//
// Thread-safe. A fork of the process has servers of its own.
#ifndef BROOD_FORKSERVER_CLIENT_H_
#define BROOD_FORKSERVER_CLIENT_H_

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace brood::internal {

struct ForkServerOptions {
  std::string executable;  // Empty: the own program.
  std::vector<std::string> preload;
  std::vector<std::string> plugin_path;
  int log_level = 0;
  absl::Duration patience = absl::InfiniteDuration();  // For the start, preload included.
};

class ForkServer {
 public:
  explicit ForkServer(ForkServerOptions options) : options_(std::move(options)) {}

  // Starts the server unless it runs; returns when it has preloaded.
  //
  // Errors: FailedPrecondition (the preload, or the program: which, and why), DeadlineExceeded, those of execve(2).
  absl::Status Start();

  // As Start, then sends a request; a server that has ended in the meantime is started again. Whoever holds the other ends
  // of what is sent sees end of file if the server ends before it has served this.
  absl::Status Send(std::string_view bytes, const std::vector<int>& fds);

  // The next start or request has a server that is started then. The children of the old one go on.
  void Replace();

 private:
  struct Running {
    UniqueFd socket;
    UniqueFd pidfd;
    ~Running();
  };
  absl::StatusOr<std::shared_ptr<Running>> Get();
  absl::StatusOr<std::shared_ptr<Running>> Bear() const;
  absl::Status AwaitReady(const Running& running) const;

  const ForkServerOptions options_;
  mutable std::mutex mutex_;  // Held while it starts: others wait for the same.
  std::shared_ptr<Running> running_;
};

// The one for these options and this caller (fingerprint.h); the same one for the same.
std::shared_ptr<ForkServer> FindForkServer(const ForkServerOptions& options, std::string_view fingerprint);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_CLIENT_H_
