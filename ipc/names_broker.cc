#include "ipc/names_broker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd_message_child.h"
#include "base/unique_fd.h"
#include "ipc/names.h"
#include "ipc/names_protocol.h"

namespace brood::internal {
namespace {

struct Request {
  NamesOperation operation = {};
  std::string_view name;
  UniqueFd answer;
  UniqueFd memory;
};

bool IsUnixSocket(int fd) {
  int domain = -1;
  socklen_t size = sizeof(domain);
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

// A memory file that cannot shrink. Nothing else is kept: the client's end of a channel, for example, would keep the
// broker alive for ever.
bool IsSealedMemory(int fd) {
  const int seals = fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

// A TCP socket whose close would wait for its peer must not make everybody wait. socket(7), SO_LINGER.
void CloseAtOnce(UniqueFd& fd) {
  const linger none = {};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
  fd.reset();
}

class Broker {
 public:
  explicit Broker(int socket) {
    // Each name and each channel is a descriptor. What must be free besides: those of one request, and of its answer.
    rlimit files = {};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    constexpr size_t kOthers = 16;
    room_ = files.rlim_cur > 2 * kOthers ? (files.rlim_cur - kOthers) / 2 : kOthers / 2;
    channels_.push_back({.fd = socket, .events = POLLIN, .revents = 0});
  }

  void Serve() {
    while (!channels_.empty()) {
      if (poll(channels_.data(), channels_.size(), -1) < 0) continue;  // ENOMEM: the next one may do.
      // One request of each channel a round, so that nobody who asks without end delays the others.
      const size_t count = channels_.size();
      for (size_t i = 0; i < count; ++i) {
        if (channels_[i].revents == 0 || ServeOne(channels_[i].fd)) continue;
        close(channels_[i].fd);
        channels_[i].fd = -1;
      }
      std::erase_if(channels_, [](const pollfd& channel) { return channel.fd < 0; });
    }
  }

 private:
  // False if the channel is over: its last holder is gone, or it is not one of ours that speaks.
  bool ServeOne(int channel) {
    char packet[kNamesHeaderBytes + kMaxNamesBytes];
    const iovec piece = {.iov_base = packet, .iov_len = sizeof(packet)};
    int numbers[child::kMaxFdsOfMessage];  // More than a request has, so that what is too many is closed below.
    const child::FdMessage message =
        child::ReceiveWithFds(channel, &piece, 1, numbers, child::kMaxFdsOfMessage, MSG_DONTWAIT);
    if (message.bytes < 0) return errno == EAGAIN;
    std::vector<UniqueFd> handles;
    for (size_t i = 0; i < message.fd_count; ++i) handles.emplace_back(numbers[i]);
    const bool whole = !message.cut && !message.fds_lost;
    Request request;
    const bool valid = whole && Read({packet, static_cast<size_t>(message.bytes)}, handles, request);
    for (UniqueFd& handle : handles) CloseAtOnce(handle);
    if (valid) Answer(request);
    return valid;
  }

  static bool Read(std::string_view packet, std::vector<UniqueFd>& handles, Request& request) {
    if (packet.size() < kNamesHeaderBytes) return false;
    std::memcpy(&request.operation, packet.data(), kNamesHeaderBytes);
    request.name = packet.substr(kNamesHeaderBytes);
    const bool creates = request.operation == NamesOperation::kCreate;
    if (request.operation < NamesOperation::kCreate || request.operation > NamesOperation::kShare) return false;
    if (request.name.empty() != (request.operation == NamesOperation::kShare)) return false;
    if (handles.size() != (creates ? 2 : 1) || !IsUnixSocket(handles[0].get())) return false;
    if (creates && !IsSealedMemory(handles[1].get())) return false;
    request.answer = std::move(handles[0]);
    if (creates) request.memory = std::move(handles[1]);
    handles.clear();
    return true;
  }

  void Answer(Request& request) {
    const auto known = names_.find(request.name);
    switch (request.operation) {
      case NamesOperation::kCreate:
        if (known != names_.end()) return Send(request, NamesAnswer::kExists);
        if (names_.size() >= std::min(Names::kMaxNames, room_)) return Send(request, NamesAnswer::kFull);
        names_.emplace(request.name, std::move(request.memory));
        return Send(request, NamesAnswer::kOk);
      case NamesOperation::kOpen:
        if (known == names_.end()) return Send(request, NamesAnswer::kNotFound);
        return Send(request, NamesAnswer::kOk, known->second.get());
      case NamesOperation::kUnlink:
        if (known == names_.end()) return Send(request, NamesAnswer::kNotFound);
        names_.erase(known);
        return Send(request, NamesAnswer::kOk);
      case NamesOperation::kShare:
        return Share(request);
    }
  }

  void Share(const Request& request) {
    int pair[2];
    if (channels_.size() >= std::min(Names::kMaxHolders, room_) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
      return Send(request, NamesAnswer::kFull);
    }
    channels_.push_back({.fd = pair[0], .events = POLLIN, .revents = 0});
    Send(request, NamesAnswer::kOk, pair[1]);
    close(pair[1]);  // If it did not go out, the channel's end is seen in the next round.
  }

  // Whoever does not take the answer goes without.
  static void Send(const Request& request, NamesAnswer answer, int handle = -1) {
    const iovec piece = {.iov_base = &answer, .iov_len = sizeof(answer)};
    const size_t count = handle >= 0 ? 1 : 0;
    if (child::SendWithFds(request.answer.get(), &piece, 1, &handle, count, MSG_DONTWAIT) >= 0 || count == 0) return;
    // ETOOMANYREFS: the user has too many descriptors under way. unix(7)
    if (errno == ETOOMANYREFS) Send(request, NamesAnswer::kFull);
  }

  std::map<std::string, UniqueFd, std::less<>> names_;
  std::vector<pollfd> channels_;
  size_t room_ = 0;  // For names, and for channels.
};

}  // namespace

void RunNamesBroker(int socket) {
  // Nothing of whoever started it is held: neither its terminal, nor its folder, nor what reads its output.
  setsid();
  prctl(PR_SET_NAME, "brood-names");
  (void)!chdir("/");
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int stream = 0; stream <= 2; ++stream) {
    if (dup2(null.get(), stream) < 0) close(stream);
  }
  null.reset();
  Broker(socket).Serve();
  _exit(0);
}

}  // namespace brood::internal
