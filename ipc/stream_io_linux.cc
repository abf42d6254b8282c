#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/socket_io.h"
#include "ipc/stream_io.h"

namespace brood::internal {
namespace {

static_assert(kMaxHandlesPerCall == child::kMaxFdsOfMessage);

// The same pieces as the kernel takes them.
class Vector {
 public:
  explicit Vector(absl::Span<const StreamPiece> pieces) : size_(pieces.size()) {
    for (size_t i = 0; i < size_; ++i) vector_[i] = {.iov_base = pieces[i].data, .iov_len = pieces[i].size};
  }
  absl::Span<const iovec> get() const { return {vector_, size_}; }

 private:
  iovec vector_[kMaxPieces] = {};
  size_t size_;
};

}  // namespace

absl::Status PrepareStream(int stream) {
  const auto option = [&](int name) {
    int value = -1;
    socklen_t size = sizeof(value);
    return getsockopt(stream, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  const int domain = option(SO_DOMAIN);
  if ((domain != AF_UNIX && domain != AF_INET && domain != AF_INET6) || option(SO_TYPE) != SOCK_STREAM ||
      option(SO_ACCEPTCONN) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("descriptor ", stream, " is no connected stream socket (AF_UNIX, AF_INET or AF_INET6)"));
  }
  if (fcntl(stream, F_SETFD, FD_CLOEXEC) != 0) return ErrnoStatus(errno, "make close-on-exec");
  return absl::OkStatus();
}

absl::StatusOr<size_t> SendSomeOf(int stream, absl::Span<const StreamPiece> pieces, absl::Span<const int> handles,
                                  const Deadline& deadline) {
  const IoResult result = SendSome(stream, Vector(pieces).get(), handles, deadline);
  switch (result.error) {
    case 0:
      return result.bytes;
    case ETIMEDOUT:
      return absl::DeadlineExceededError("send: the peer did not read in time");
    case EPIPE:
    case ECONNRESET:
      return absl::UnavailableError("send: the peer has closed");
    case ETOOMANYREFS:
      return ErrnoStatus(result.error, "send", {},
                         "this user has more descriptors on their way than RLIMIT_NOFILE allows. unix(7)");
    default:
      return ErrnoStatus(result.error, "send");
  }
}

absl::StatusOr<size_t> ReceiveSomeInto(int stream, absl::Span<const StreamPiece> pieces, std::vector<UniqueFd>& handles,
                                       bool& handles_lost, const Deadline& deadline) {
  const IoResult result = ReceiveSome(stream, Vector(pieces).get(), handles, handles_lost, deadline);
  switch (result.error) {
    case 0:
      return result.bytes;
    case ETIMEDOUT:
      return absl::DeadlineExceededError("receive: nothing came in time");
    case ECONNRESET:
      return 0;  // The peer has closed without reading all that we sent. What it sent itself came before.
    default:
      return ErrnoStatus(result.error, "receive");
  }
}

absl::StatusOr<bool> AwaitReadable(int stream, const Deadline& deadline) {
  const int error = WaitUntilReady(stream, POLLIN, deadline);
  if (error == 0) return true;
  if (error == ETIMEDOUT) return false;
  return ErrnoStatus(error, "poll");
}

absl::Status CheckHandles(int stream, absl::Span<const int> handles) {
  if (handles.empty()) return absl::OkStatus();
  int domain = -1;
  socklen_t size = sizeof(domain);
  if (getsockopt(stream, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX) {
    return absl::FailedPreconditionError("send: descriptors travel over Unix sockets only");
  }
  for (const int fd : handles) {
    if (fcntl(fd, F_GETFD) < 0)
      return absl::InvalidArgumentError(absl::StrCat("send: descriptor ", fd, " is not open"));
  }
  return absl::OkStatus();
}

void EndSending(int stream) { shutdown(stream, SHUT_WR); }

}  // namespace brood::internal
