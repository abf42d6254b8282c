#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

#include "base/status.h"
#include "launcher/executor/worker_stream.h"

namespace brood::internal {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

class SocketStream : public WorkerStream {
 public:
  explicit SocketStream(UniqueFd socket) : socket_(std::move(socket)) {}
  int descriptor() const override { return socket_.get(); }

  std::optional<size_t> Send(std::string_view first, std::string_view second) override {
    iovec pieces[2] = {{const_cast<char*>(first.data()), first.size()}, {const_cast<char*>(second.data()), second.size()}};
    msghdr message = {};
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    ssize_t n;
    do {
      n = sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    return std::nullopt;
  }

  absl::Status Receive(std::string& to, bool& more) override {
    more = false;
    char bytes[kReadBytes];
    ssize_t n;
    do {
      n = recv(socket_.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return absl::OkStatus();
    if (n <= 0) return absl::OutOfRangeError("the worker has closed its socket");
    to.append(bytes, static_cast<size_t>(n));
    more = static_cast<size_t>(n) == sizeof(bytes);
    return absl::OkStatus();
  }

  // Not by closing it: a fork of this process may have a copy.
  void EndSending() override { shutdown(socket_.get(), SHUT_WR); }

 private:
  UniqueFd socket_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerStream>> WorkerStream::Make(UniqueFd* worker) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return ErrnoStatus(errno, "socketpair");
  worker->reset(sockets[1]);
  return std::make_unique<SocketStream>(UniqueFd(sockets[0]));
}

}  // namespace brood::internal
