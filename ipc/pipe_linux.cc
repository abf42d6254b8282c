#include "ipc/pipe.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/status.h"
#include "base/unique_fd.h"

namespace brood {

// Sockets also for one way: a write to a pipe(2) without readers raises SIGPIPE in whoever embeds brood.
absl::StatusOr<std::pair<Connection, Connection>> Pipe(const PipeOptions& options) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return ErrnoStatus(errno, "socketpair");
  UniqueFd first_fd(fds[0]);
  UniqueFd second_fd(fds[1]);
  ConnectionOptions first = options.connection;
  ConnectionOptions second = options.connection;
  first.direction = second.direction = Direction::kDuplex;
  if (options.kind == PipeKind::kOneWay) {
    first.direction = Direction::kReceiveOnly;
    second.direction = Direction::kSendOnly;
    // The kernel keeps the direction too, whoever gets the descriptor.
    if (shutdown(first_fd.get(), SHUT_WR) != 0) return ErrnoStatus(errno, "shutdown");
  }
  std::pair<Connection, Connection> ends;
  BROOD_ASSIGN_OR_RETURN(ends.first, Connection::Adopt(std::move(first_fd), first));
  BROOD_ASSIGN_OR_RETURN(ends.second, Connection::Adopt(std::move(second_fd), second));
  return ends;
}

}  // namespace brood
