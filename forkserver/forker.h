// The supervisor's side of a server: starts it, asks it for keepers, sees its end.
#ifndef BROOD_FORKSERVER_FORKER_H_
#define BROOD_FORKSERVER_FORKER_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::internal {

// The tag of a server's first request: that it is one, and not a supervisor, and a soft limit of open files.
struct ServerTag {
  uint64_t open_files = 0;
  uint64_t Encode() const { return std::min(open_files, kMost) << 1 | 1; }
  static bool Is(uint64_t tag) { return (tag & 1) != 0; }
  static ServerTag Decode(uint64_t tag) { return {.open_files = tag >> 1}; }
  static constexpr uint64_t kMost = INT64_MAX;
};

// The tag of the first request to a supervisor that is to have a server that is there: its number. template.h.
struct AdoptTag {
  static constexpr uint64_t kBit = uint64_t{1} << 62;
  int pid = 0;
  uint64_t Encode() const { return kBit | static_cast<uint64_t>(pid) << 1; }
  static bool Is(uint64_t tag) { return (tag & 1) == 0 && (tag & kBit) != 0; }
  static AdoptTag Decode(uint64_t tag) { return {.pid = static_cast<int>((tag & ~kBit) >> 1)}; }
};

// What a server exits with whose socket a preload has closed: it can tell nobody.
constexpr int kSocketLost = 121;

class Forker {
 public:
  // `open_files`: the soft limit that the supervisor was born with, and has raised for itself.
  Forker(std::string preparation, uint64_t open_files) : preparation_(std::move(preparation)), open_files_(open_files) {}

  // Before any request has come: takes the lower numbers of descriptors, so that what requests bring has higher ones, and Start can give
  // a server a copy of the lower ones only. Errors: those of open(2).
  absl::Status TakeNumbers();

  // Starts a server; one that ran must have been reaped. It says by ServerNotes on socket() when it is ready.
  absl::Status Start();

  // As Start, with a server that is a child of this process, and runs.
  void Adopt(UniqueFd socket, UniqueFd pidfd, int pid) {
    socket_ = std::move(socket);
    pidfd_ = std::move(pidfd);
    pid_ = pid;
  }

  // Asks for a keeper; gives the end of its socket at once. Errors: Unavailable (it has ended), those of socketpair(2),
  // DeadlineExceeded (it is behind).
  absl::StatusOr<UniqueFd> AskForKeeper(uint32_t number, bool for_slot) const;

  void Kill() const;
  // waitpid(2) of anybody has given its status.
  void OnReaped(int status) { status_ = status; }
  std::string Reap();  // Once pidfd() is readable. For people: "was ended by SIGKILL".

  int socket() const { return socket_.get(); }
  int pidfd() const { return pidfd_.get(); }  // -1: there is none.
  int pid() const { return pid_; }

 private:
  const std::string preparation_;
  const uint64_t open_files_;
  std::vector<UniqueFd> numbers_;  // /dev/null, but while a server is born.
  UniqueFd socket_;
  UniqueFd pidfd_;
  int pid_ = 0;
  std::optional<int> status_;
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_FORKER_H_
