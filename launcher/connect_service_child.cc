#include "launcher/connect_service_child.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/child_safe.h"
#include "launcher/impatience_child.h"
#include "launcher/sent_messages_child.h"
#include "launcher/socket_file_child.h"

namespace brood::child {
namespace {

constexpr long kTickNs = 5'000'000;
constexpr int kAnswerLater = -1;

constexpr int kPidfdThread = O_EXCL;  // pidfd_open(2), PIDFD_THREAD, Linux 6.9.

// Options that a program sets before it connects and that would be lost with its socket.
struct Option {
  int level, name;
};
constexpr Option kOptions[] = {{SOL_SOCKET, SO_KEEPALIVE},   {SOL_SOCKET, SO_RCVTIMEO},     {SOL_SOCKET, SO_SNDTIMEO},
                               {SOL_SOCKET, SO_LINGER},      {SOL_SOCKET, SO_OOBINLINE},    {SOL_SOCKET, SO_RCVLOWAT},
                               {SOL_SOCKET, SO_TIMESTAMP},   {SOL_SOCKET, SO_PASSCRED},     {IPPROTO_IP, IP_TOS},
                               {IPPROTO_IPV6, IPV6_TCLASS},  {IPPROTO_TCP, TCP_NODELAY},    {IPPROTO_TCP, TCP_KEEPIDLE},
                               {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT},    {IPPROTO_TCP, TCP_USER_TIMEOUT},
                               {IPPROTO_TCP, TCP_QUICKACK},  {IPPROTO_TCP, TCP_SYNCNT}};

void CopyOptions(int from, int to) {
  for (const Option& option : kOptions) {
    char theirs[32];
    char ours[32];
    socklen_t theirs_length = sizeof(theirs);
    socklen_t ours_length = sizeof(ours);
    if (getsockopt(from, option.level, option.name, theirs, &theirs_length) != 0) continue;  // Not of this family.
    if (getsockopt(to, option.level, option.name, ours, &ours_length) != 0) continue;
    if (theirs_length == ours_length && memcmp(theirs, ours, ours_length) == 0) continue;
    setsockopt(to, option.level, option.name, theirs, theirs_length);
  }
}

bool IsValid(int listener, uint64_t id) { return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0; }

// The process of a thread; 0 if it has gone.
pid_t ProcessOf(pid_t thread) {
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(thread)).Add("/status");
  char buffer[1024];
  if (ReadFile(AT_FDCWD, path.c_str(), buffer, sizeof(buffer)) <= 0) return 0;
  return static_cast<pid_t>(NumberAfter(buffer, "Tgid:", 0));
}

// A descriptor for the child's open socket, whatever its own number comes to mean later. -1 and errno.
int Borrow(pid_t thread, int fd) {
  int pidfd = static_cast<int>(syscall(SYS_pidfd_open, thread, kPidfdThread));
  if (pidfd < 0) pidfd = static_cast<int>(syscall(SYS_pidfd_open, ProcessOf(thread), 0));
  if (pidfd < 0) return -1;
  const int own = static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
  const int error = errno;
  close(pidfd);
  errno = error;
  return own;
}

bool ClosesOnExec(pid_t thread, int fd) {
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(thread)).Add("/fdinfo/").AddNumber(static_cast<uint64_t>(fd));
  char buffer[512];
  if (ReadFile(AT_FDCWD, path.c_str(), buffer, sizeof(buffer)) <= 0) return true;
  const char* flags = strstr(buffer, "flags:");
  if (flags == nullptr) return true;
  // proc(5): octal, with O_CLOEXEC standing for FD_CLOEXEC.
  uint64_t value = 0;
  for (flags += strlen("flags:"); *flags == '\t' || *flags == ' '; ++flags) {
  }
  for (; *flags >= '0' && *flags <= '7'; ++flags) value = value * 8 + static_cast<uint64_t>(*flags - '0');
  return (value & O_CLOEXEC) != 0;
}

bool SamePrefix(const uint8_t* a, const uint8_t* b, unsigned bits) {
  for (unsigned bit = 0; bit < bits; ++bit) {
    if (((a[bit / 8] ^ b[bit / 8]) & (0x80u >> (bit % 8))) != 0) return false;
  }
  return true;
}

// To an address of the internet that is no own one.
bool LeavesLoopback(const sockaddr_storage& address, socklen_t length) {
  if (address.ss_family == AF_INET && length >= sizeof(sockaddr_in)) {
    const uint32_t four = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
    return four != INADDR_ANY && four >> 24 != 127;
  }
  if (address.ss_family != AF_INET6 || length < offsetof(sockaddr_in6, sin6_scope_id)) return false;
  const in6_addr& six = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&six)) return six.s6_addr[12] != 127 && six.s6_addr[12] != 0;
  return !IN6_IS_ADDR_LOOPBACK(&six) && !IN6_IS_ADDR_UNSPECIFIED(&six);
}

void LetThrough(int listener, uint64_t id) {
  seccomp_notif_resp response = {};
  response.id = id;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);  // ENOENT: nobody waits for it any more.
}

bool IsStream(int type) { return type == SOCK_STREAM || type == SOCK_SEQPACKET; }

}  // namespace

// `address`, of `length` bytes, is in the child's memory.
int ConnectService::Read(int listener, const seccomp_notif& call, uint64_t address, uint64_t length, int own, Call* out) const {
  out->id = call.id;
  out->fd = static_cast<int>(call.data.args[0]);
  if (length > sizeof(out->address) || length < sizeof(out->address.ss_family)) return EINVAL;
  out->length = static_cast<socklen_t>(length);
  iovec ours = {&out->address, length};
  iovec theirs = {reinterpret_cast<void*>(address), length};
  const ssize_t copied = process_vm_readv(static_cast<pid_t>(call.pid), &ours, 1, &theirs, 1, 0);
  if (copied != static_cast<ssize_t>(length)) return copied < 0 && errno == EPERM ? EACCES : EFAULT;
  socklen_t size = sizeof(int);
  if (getsockopt(own, SOL_SOCKET, SO_DOMAIN, &out->domain, &size) != 0) return errno;
  if (getsockopt(own, SOL_SOCKET, SO_TYPE, &out->type, &size) != 0) return errno;
  if (getsockopt(own, SOL_SOCKET, SO_PROTOCOL, &out->protocol, &size) != 0) return errno;
  const int flags = fcntl(own, F_GETFL);
  out->blocking = flags >= 0 && (flags & O_NONBLOCK) == 0;
  out->close_on_exec = ClosesOnExec(static_cast<pid_t>(call.pid), out->fd);
  // All of that was about the caller, and not about another process that has its number since.
  return IsValid(listener, call.id) ? 0 : ENOENT;
}

// Its own socket is never connected; one that we gave it may be, or may have failed to.
int ConnectService::StateOf(int own, const Call& call) const {
  int error = 0;
  socklen_t size = sizeof(error);
  if (call.domain == AF_UNIX) {
    sockaddr_storage peer;
    size = sizeof(peer);
    return getpeername(own, reinterpret_cast<sockaddr*>(&peer), &size) == 0 ? EISCONN : 0;
  }
  if (getsockopt(own, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) return error;
  tcp_info info = {};
  size = sizeof(info);
  if (getsockopt(own, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  if (info.tcpi_state == TCP_CLOSE) return 0;
  return info.tcpi_state == TCP_SYN_SENT || info.tcpi_state == TCP_SYN_RECV ? EALREADY : EISCONN;
}

bool ConnectService::MatchesAddress(const DestinationRecord& destination, const sockaddr_storage& address) const {
  using Kind = DestinationRecord::Kind;
  constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    return destination.kind == Kind::kInet4 && (destination.port == 0 || destination.port == ntohs(four.sin_port)) &&
           SamePrefix(reinterpret_cast<const uint8_t*>(&four.sin_addr), destination.address, destination.prefix_bits);
  }
  const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
  if (destination.port != 0 && destination.port != ntohs(six.sin6_port)) return false;
  const uint8_t* bytes = six.sin6_addr.s6_addr;
  // ::ffff:10.0.0.5 goes where 10.0.0.5 goes.
  if (memcmp(bytes, kMapped, sizeof(kMapped)) == 0) {
    return destination.kind == Kind::kInet4 && SamePrefix(bytes + sizeof(kMapped), destination.address, destination.prefix_bits);
  }
  return destination.kind == Kind::kInet6 && SamePrefix(bytes, destination.address, destination.prefix_bits);
}

const DestinationRecord* ConnectService::Find(const Call& call) const {
  const auto* unix_address = reinterpret_cast<const sockaddr_un*>(&call.address);
  const size_t path_length = call.length - offsetof(sockaddr_un, sun_path);
  for (size_t i = 0; i < plan_.destination_count; ++i) {
    const DestinationRecord& destination = plan_.destinations[i];
    if (call.address.ss_family != AF_UNIX) {
      if (destination.kind != DestinationRecord::Kind::kUnix && MatchesAddress(destination, call.address)) return &destination;
      continue;
    }
    if (destination.kind != DestinationRecord::Kind::kUnix) continue;
    // A path ends with its first zero byte, or where the address ends. An abstract name has one in front. unix(7).
    const size_t wanted = strlen(destination.path);
    if (destination.path[0] == '@') {
      if (path_length == wanted && unix_address->sun_path[0] == '\0' &&
          memcmp(unix_address->sun_path + 1, destination.path + 1, wanted - 1) == 0) {
        return &destination;
      }
    } else if (strnlen(unix_address->sun_path, path_length) == wanted && memcmp(unix_address->sun_path, destination.path, wanted) == 0) {
      return &destination;
    }
  }
  return nullptr;
}

void ConnectService::Refuse(const Call& call, GuardianReport* report) {
  RefusedRecord record;
  record.family = call.address.ss_family;
  record.stream = IsStream(call.type) ? 1 : 0;
  if (record.family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(call.address);
    record.port = ntohs(four.sin_port);
    memcpy(record.address, &four.sin_addr, sizeof(four.sin_addr));
  } else if (record.family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(call.address);
    record.port = ntohs(six.sin6_port);
    memcpy(record.address, &six.sin6_addr, sizeof(six.sin6_addr));
  } else if (record.family == AF_UNIX) {
    const auto& path = reinterpret_cast<const sockaddr_un&>(call.address);
    const size_t length = std::min<size_t>(call.length - offsetof(sockaddr_un, sun_path), sizeof(record.address) - 1);
    const bool abstract = length > 1 && path.sun_path[0] == '\0';
    // What stands behind the end of a path may be anything. unix(7).
    memcpy(record.address, path.sun_path, abstract ? length : strnlen(path.sun_path, length));
    if (abstract) record.address[0] = '@';
  }
  for (uint32_t i = 0; i < report->refused_count; ++i) {
    RefusedRecord& known = report->refused[i];
    if (known.family != record.family || known.port != record.port || known.stream != record.stream ||
        memcmp(known.address, record.address, sizeof(record.address)) != 0) {
      continue;
    }
    if (known.count != UINT32_MAX) ++known.count;
    return;
  }
  constexpr size_t kMax = sizeof(report->refused) / sizeof(report->refused[0]);
  if (report->refused_count == kMax) {
    if (report->refused_others != UINT32_MAX) ++report->refused_others;
    return;
  }
  record.count = 1;
  report->refused[report->refused_count++] = record;
}

bool ConnectService::Install(int listener, uint64_t id, int socket, int fd, bool close_on_exec) {
  seccomp_notif_addfd place = {};
  place.id = id;
  place.flags = SECCOMP_ADDFD_FLAG_SETFD;
  place.srcfd = static_cast<uint32_t>(socket);
  place.newfd = static_cast<uint32_t>(fd);
  place.newfd_flags = close_on_exec ? O_CLOEXEC : 0;
  return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &place) >= 0;
}

void ConnectService::Answer(int listener, uint64_t id, int error) {
  seccomp_notif_resp response = {};
  response.id = id;
  response.error = -error;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);  // ENOENT: nobody waits for it any more.
}

// A caller that was interrupted or has ended leaves its place to others.
ConnectService::Pending* ConnectService::Free(int listener) {
  if (pending_ == nullptr) {
    void* const memory = mmap(nullptr, kMaxPending * sizeof(Pending), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    pending_ = static_cast<Pending*>(memory);
  }
  Pending* const end = pending_ + used_;
  Pending* const place = std::find_if(pending_, end, [](const Pending& one) { return one.socket < 0; });
  if (place != end) return place;
  constexpr size_t kFew = 256;  // Up to here it costs less to take another place than to look who still waits.
  for (Pending* one = pending_; used_ >= kFew && one != end; ++one) {
    if (IsValid(listener, one->id)) continue;
    CloseShared(one->socket);
    one->socket = -1;
    return one;
  }
  return used_ < kMaxPending ? &pending_[used_++] : nullptr;
}

// Looks after a connection that is not there yet.
bool ConnectService::Await(int listener, int own, const Call& call, int socket, const DestinationRecord* again) {
  Pending* const place = Free(listener);
  if (place == nullptr) return false;
  place->socket = -1;
  if (epoll_ < 0) epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (again == nullptr) {
    epoll_event event = {};
    event.events = EPOLLOUT;
    event.data.u32 = static_cast<uint32_t>(place - pending_);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) != 0) return false;
  }
  timeval patience = {};
  socklen_t size = sizeof(patience);
  getsockopt(own, SOL_SOCKET, SO_SNDTIMEO, &patience, &size);
  const uint64_t wait = static_cast<uint64_t>(patience.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(patience.tv_usec) * 1000u;
  *place = {.id = call.id, .give_up = wait != 0 ? MonotonicNanoseconds() + wait : 0, .again = again,
            .socket = socket, .fd = call.fd, .close_on_exec = call.close_on_exec};
  if (place->again == nullptr && place->give_up == 0) return true;
  if (SetTicking(true)) return true;
  place->socket = -1;
  return false;
}

bool ConnectService::SetTicking(bool on) {
  if (on == ticks_) return true;
  if (timer_ < 0) {
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u32 = kMaxPending;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event) != 0) return false;
  }
  itimerspec interval = {};
  if (on) interval.it_value.tv_nsec = interval.it_interval.tv_nsec = kTickNs;
  if (timerfd_settime(timer_, 0, &interval, nullptr) != 0) return false;
  ticks_ = on;
  return true;
}

// Those that nothing but time moves.
void ConnectService::OnTick(int listener) {
  uint64_t ticks = 0;
  if (read(timer_, &ticks, sizeof(ticks)) < 0) return;
  const uint64_t now = MonotonicNanoseconds();
  bool more = false;
  for (size_t i = 0; i < used_; ++i) {
    Pending& one = pending_[i];
    if (one.socket < 0 || (one.again == nullptr && one.give_up == 0)) continue;
    if (!IsValid(listener, one.id)) {  // Nobody is to be connected for it.
      CloseShared(one.socket);
      one.socket = -1;
      continue;
    }
    int error = EINPROGRESS;
    if (one.again != nullptr) {
      sockaddr_storage storage = {};
      auto& address = reinterpret_cast<sockaddr_un&>(storage);
      address.sun_family = AF_UNIX;
      const size_t length = strnlen(one.again->path, sizeof(address.sun_path));
      memcpy(address.sun_path, one.again->path, length);
      const bool abstract = address.sun_path[0] == '@';
      if (abstract) address.sun_path[0] = '\0';
      const size_t end = abstract || length == sizeof(address.sun_path) ? length : length + 1;
      const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + end);
      error = ConnectAsListed(plan_, one.socket, storage, size) == 0 ? 0 : errno;
    }
    const bool waits = error == EINPROGRESS || error == EAGAIN;
    if (!waits || (one.give_up != 0 && now >= one.give_up)) {
      End(listener, one, error);
    } else {
      more = true;
    }
  }
  if (!more) SetTicking(false);
}

// The child gets its connection, also one that it waits for no longer and that may still be made, or the error.
void ConnectService::End(int listener, Pending& one, int error) {
  if (error == 0 || error == EINPROGRESS) {
    fcntl(one.socket, F_SETFL, 0);
    if (!Install(listener, one.id, one.socket, one.fd, one.close_on_exec)) error = EACCES;
  }
  // The child may have it now, so that our close alone would leave it there. epoll(7).
  if (one.again == nullptr) epoll_ctl(epoll_, EPOLL_CTL_DEL, one.socket, nullptr);
  CloseShared(one.socket);
  one.socket = -1;
  Answer(listener, one.id, error);
}

int ConnectService::Connect(int listener, int own, const Call& call, const DestinationRecord& destination) {
  const int type = call.domain == AF_UNIX ? call.type : SOCK_STREAM;
  const int made = socket(call.domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0) return errno;
  CopyOptions(own, made);
  int error = ConnectAsListed(plan_, made, call.address, call.length) == 0 ? 0 : errno;
  // A local socket whose queue is full can't be waited for, only asked again. unix(7).
  const bool full = error == EAGAIN && call.domain == AF_UNIX;
  if ((error == EINPROGRESS || full) && call.blocking) {
    if (Await(listener, own, call, made, full ? &destination : nullptr)) return EINPROGRESS;
    CloseShared(made);
    return EAGAIN;
  }
  if (error == 0 || error == EINPROGRESS) {
    if (call.blocking) fcntl(made, F_SETFL, 0);
    if (!Install(listener, call.id, made, call.fd, call.close_on_exec)) error = EACCES;
  }
  CloseShared(made);
  return error;
}

// EINPROGRESS of a blocking call: it is answered later.
int ConnectService::HandleConnect(int listener, const seccomp_notif& notification, int own, GuardianReport* report) {
  Call call;
  const uint64_t length = notification.data.args[2] & 0xffffffff;  // An int.
  if (const int error = Read(listener, notification, notification.data.args[1], length, own, &call); error != 0) return error;
  const bool inet = call.domain == AF_INET || call.domain == AF_INET6;
  const bool tcp = inet && call.type == SOCK_STREAM && (call.protocol == 0 || call.protocol == IPPROTO_TCP);
  const bool local = call.domain == AF_UNIX && IsStream(call.type);
  const socklen_t least = call.domain == AF_INET    ? sizeof(sockaddr_in)
                          : call.domain == AF_INET6 ? static_cast<socklen_t>(offsetof(sockaddr_in6, sin6_scope_id))
                                                    : offsetof(sockaddr_un, sun_path) + 1;
  const bool same_family = call.address.ss_family == call.domain;
  if (same_family && (inet || call.domain == AF_UNIX) && call.length < least) return EINVAL;
  const DestinationRecord* const found = (tcp || local) && same_family ? Find(call) : nullptr;
  if (found == nullptr) {
    // An end to a connection that was never made; libraries try it.
    const bool ends = call.address.ss_family == AF_UNSPEC;
    // Name resolution connects datagram sockets to addresses that it has found, with the port that it will want or none, to learn
    // which would be used.
    const bool asks = !IsStream(call.type) && inet && (Find(call) != nullptr || reinterpret_cast<const sockaddr_in&>(call.address).sin_port == 0);
    if (!ends && !asks) Refuse(call, report);
    return EACCES;
  }
  if (const int error = StateOf(own, call); error != 0) return error;
  const int error = Connect(listener, own, call, *found);
  return error == EINPROGRESS && call.blocking ? kAnswerLater : error;
}

// What goes on does so in the child's own network, of which there is nothing but its loopback, whatever its addresses are by then.
void ConnectService::HandleSend(int listener, const seccomp_notif& notification, GuardianReport* report) {
  SentMessages messages(notification);
  SentMessage message;
  bool refused = false;
  int own = -1;
  // Of several the kernel sends those before the first that it refuses.
  while (!refused && messages.NextWithAddress(&message)) {
    if (own < 0) own = Borrow(static_cast<pid_t>(notification.pid), static_cast<int>(notification.data.args[0]));
    Call call;
    if (own < 0 || Read(listener, notification, message.address, message.length, own, &call) != 0 || call.type != SOCK_DGRAM) break;
    // That stands for it. net/ipv4/udp.c, udp_sendmsg()
    if (call.domain == AF_INET && call.address.ss_family == AF_UNSPEC) call.address.ss_family = AF_INET;
    refused = LeavesLoopback(call.address, call.length);
    if (refused) Refuse(call, report);
  }
  if (own >= 0) CloseShared(own);
  if (refused && message.index == 0) return Answer(listener, notification.id, EACCES);
  LetThrough(listener, notification.id);
}

void ConnectService::Handle(int listener, const seccomp_notif& notification, GuardianReport* report) {
  if (SentMessages::IsSend(notification.data.nr)) return HandleSend(listener, notification, report);
  const int own = Borrow(static_cast<pid_t>(notification.pid), static_cast<int>(notification.data.args[0]));
  if (own < 0) return Answer(listener, notification.id, errno == EBADF ? EBADF : EACCES);
  const int error = HandleConnect(listener, notification, own, report);
  CloseShared(own);
  if (error != kAnswerLater) Answer(listener, notification.id, error);
}

void ConnectService::OnPending(int listener) {
  epoll_event events[16];
  const int count = epoll_wait(epoll_, events, 16, 0);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u32 == kMaxPending) {
      OnTick(listener);
      continue;
    }
    Pending& one = pending_[events[i].data.u32];
    if (one.socket < 0 || one.again != nullptr) continue;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(one.socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    End(listener, one, error);
  }
}

}  // namespace brood::child
