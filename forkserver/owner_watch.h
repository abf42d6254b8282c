// Ends a server that hangs in a preload when its owner does.
#ifndef BROOD_FORKSERVER_OWNER_WATCH_H_
#define BROOD_FORKSERVER_OWNER_WATCH_H_

#include "absl/status/status.h"
#include "base/unique_fd.h"

namespace brood::internal {

// While it is started, a process of its own kills this one, and before that all that it has below it if it is a subreaper, when
// `owner` (a pidfd) ends: a preload that never returns would not see that.
class OwnerWatch {
 public:
  OwnerWatch() = default;
  OwnerWatch(const OwnerWatch&) = delete;
  OwnerWatch& operator=(const OwnerWatch&) = delete;
  ~OwnerWatch();

  // Once. Errors: ResourceExhausted (processes, descriptors), what ErrnoStatus says of the rest.
  absl::Status Start(int owner);

  int pid() const { return pid_; }

 private:
  UniqueFd done_;
  int pid_ = -1;
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_OWNER_WATCH_H_
