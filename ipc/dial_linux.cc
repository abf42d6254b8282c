#include "ipc/dial.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/deadline.h"
#include "ipc/socket_address.h"
#include "ipc/socket_io.h"

namespace brood {
namespace {

using internal::Deadline;
using internal::SocketAddress;

// A Unix socket gives no event when the listener has room again, so its own time-out must end the wait for it, in
// unix_stream_connect. The socket is still ours alone, and is set back.
int ConnectUnix(int fd, const SocketAddress& address, const Deadline& deadline) {
  int error = 0;
  do {
    timeval timeout = {};  // For ever.
    if (!deadline.infinite()) {
      timeout = absl::ToTimeval(std::max(deadline.Left(), absl::Microseconds(1)));
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0) return errno;
    error = connect(fd, address.get(), address.size) == 0 ? 0 : errno;
  } while (error == EINTR);
  const timeval none = {};
  if (error == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) != 0) return errno;
  return error == EAGAIN ? ETIMEDOUT : error;
}

int ConnectTcp(int fd, const SocketAddress& address, const Deadline& deadline) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return errno;
  if (connect(fd, address.get(), address.size) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) return errno;
    if (const int error = internal::WaitUntilReady(fd, POLLOUT, deadline); error != 0) return error;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    if (error != 0) return error;
  }
  if (fcntl(fd, F_SETFL, flags) != 0) return errno;
  // Without a listener, a connection to a port from which the kernel gives out numbers can meet itself: RFC 9293, 3.5,
  // figure 8, with both ends in one socket.
  SocketAddress here = {.storage = {}, .size = sizeof(here.storage)};
  SocketAddress there = {.storage = {}, .size = sizeof(there.storage)};
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&here.storage), &here.size) != 0 ||
      getpeername(fd, reinterpret_cast<sockaddr*>(&there.storage), &there.size) != 0) {
    return errno;
  }
  return here.size == there.size && std::memcmp(&here.storage, &there.storage, here.size) == 0 ? ECONNREFUSED : 0;
}

}  // namespace

absl::StatusOr<Connection> Dial(const Address& address, const DialOptions& options) {
  const Deadline deadline(options.timeout);
  BROOD_ASSIGN_OR_RETURN(const SocketAddress to, internal::ToSocketAddress(address, options.reach));
  if (address.family == Address::Family::kUnixAbstract && address.name.empty()) {
    return absl::InvalidArgumentError("dial: the abstract name is empty");
  }
  BROOD_ASSIGN_OR_RETURN(UniqueFd fd, internal::MakeSocket(to.family()));
  const int error = to.family() == AF_UNIX ? ConnectUnix(fd.get(), to, deadline) : ConnectTcp(fd.get(), to, deadline);
  const std::string where = address.ToString();
  if (error == ECONNREFUSED) return absl::UnavailableError(absl::StrCat("dial ", where, ": nobody listens there"));
  if (error == ETIMEDOUT) return absl::DeadlineExceededError(absl::StrCat("dial ", where, ": not accepted in time"));
  if (error != 0) return ErrnoStatus(error, "dial", where);
  ConnectionOptions connection_options = options.connection;
  connection_options.direction = Direction::kDuplex;
  BROOD_ASSIGN_OR_RETURN(Connection connection, Connection::Adopt(std::move(fd), connection_options));
  BROOD_RETURN_IF_ERROR(Annotate(internal::CheckPeerUser(connection, options.peer), absl::StrCat("dial ", where)));
  return connection;
}

}  // namespace brood
