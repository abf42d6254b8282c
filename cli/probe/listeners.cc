#include "cli/probe/listeners.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood::probe {
namespace {

union Address {
  sockaddr plain;
  sockaddr_in inet4;
  sockaddr_in6 inet6;
  sockaddr_un local;
};

// A bound socket, which listens if it is a stream. Invalid, with errno, if that cannot be.
UniqueFd Bound(Address* address, socklen_t size, int type) {
  UniqueFd fd(socket(address->plain.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fd;
  if (bind(fd.get(), &address->plain, size) != 0 || (type == SOCK_STREAM && listen(fd.get(), 16) != 0)) return UniqueFd();
  socklen_t got = sizeof(*address);
  return getsockname(fd.get(), &address->plain, &got) == 0 ? std::move(fd) : UniqueFd();
}

// `name` in the file system, or abstract: without a file, found by name only. unix(7).
socklen_t Local(Address* address, const std::string& name, bool abstract) {
  *address = {};
  address->local.sun_family = AF_UNIX;
  const size_t skip = abstract ? 1 : 0;
  if (name.size() + skip >= sizeof(address->local.sun_path)) return 0;
  memcpy(address->local.sun_path + skip, name.data(), name.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + skip + name.size());
}

}  // namespace

absl::StatusOr<Listeners> Listeners::Create(const std::string& directory, const std::string& nonce) {
  Listeners listeners;
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    const bool is_stream = type == SOCK_STREAM;
    Address address = {};
    address.inet4.sin_family = AF_INET;
    address.inet4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (UniqueFd fd = Bound(&address, sizeof(address.inet4), type); fd.valid()) {
      const std::string name = is_stream ? "tcp4" : "udp4";
      listeners.facts_.push_back(absl::StrCat(name, "=", ntohs(address.inet4.sin_port)));
      listeners.listeners_.push_back({name, std::move(fd), is_stream});
    }
    address = {};
    address.inet6.sin6_family = AF_INET6;
    address.inet6.sin6_addr = in6addr_loopback;
    if (UniqueFd fd = Bound(&address, sizeof(address.inet6), type); fd.valid()) {
      const std::string name = is_stream ? "tcp6" : "udp6";
      listeners.facts_.push_back(absl::StrCat(name, "=", ntohs(address.inet6.sin6_port)));
      listeners.listeners_.push_back({name, std::move(fd), is_stream});
    }
    const std::string kind = is_stream ? "stream" : "datagram";
    for (const bool abstract : {false, true}) {
      const std::string name = abstract ? absl::StrCat("brood-probe-", kind, "-", nonce)
                                        : absl::StrCat(directory, "/", kind, ".socket");
      UniqueFd fd = Bound(&address, Local(&address, name, abstract), type);
      if (!fd.valid()) return ErrnoStatus(errno, "listen at", name);
      if (!abstract) chmod(name.c_str(), 0777);
      listeners.facts_.push_back(absl::StrCat(abstract ? absl::StrCat("abstract_", kind) : absl::StrCat(kind, "_path"), "=", name));
      listeners.listeners_.push_back({absl::StrCat(abstract ? "abstract " : "", kind, " socket"), std::move(fd), is_stream});
    }
  }
  return listeners;
}

std::string Listeners::Reached() const {
  std::string text;
  for (const Listener& listener : listeners_) {
    pollfd ready = {listener.fd.get(), POLLIN, 0};
    if (poll(&ready, 1, 0) == 1) absl::StrAppend(&text, text.empty() ? "" : ", ", listener.name);
  }
  return text;
}

}  // namespace brood::probe
