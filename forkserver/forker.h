// The supervisor's side of a server: starts it, asks it for keepers, sees its end.
#ifndef BROOD_FORKSERVER_FORKER_H_
#define BROOD_FORKSERVER_FORKER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::internal {

class Forker {
 public:
  explicit Forker(std::string preparation) : preparation_(std::move(preparation)) {}

  // Starts a server; one that ran must have been reaped. It says by ServerNotes on socket() when it is ready.
  absl::Status Start();

  // Asks for a keeper; gives the end of its socket at once. Errors: Unavailable (it has ended), those of socketpair(2),
  // DeadlineExceeded (it is behind).
  absl::StatusOr<UniqueFd> AskForKeeper(uint32_t number) const;

  void Kill() const;
  void Reap();  // Once pidfd() is readable.

  int socket() const { return socket_.get(); }
  int pidfd() const { return pidfd_.get(); }  // -1: there is none.
  int pid() const { return pid_; }

 private:
  const std::string preparation_;
  UniqueFd socket_;
  UniqueFd pidfd_;
  int pid_ = 0;
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_FORKER_H_
