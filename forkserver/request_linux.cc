#include "forkserver/request.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood::internal {
namespace {

constexpr uint64_t kMagic = 0x315253444f4f5242;  // "BROODSR1"
constexpr size_t kInlineBytes = size_t{64} << 10;  // Well below the smallest default of a socket's buffer. socket(7)
constexpr size_t kFdsOfRecord = 253;               // SCM_MAX_FD. unix(7)
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

struct Header {
  uint64_t magic = kMagic;
  uint64_t byte_count = 0;
  uint32_t fd_count = 0;  // Of the user's.
  uint8_t in_memory = 0;  // The first descriptor holds the bytes.
  uint8_t has_more = 0;   // The next one is a socket with the descriptors that did not fit.
  uint8_t unused[2] = {};
};

union Ancillary {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * kFdsOfRecord)];
};

absl::Status Send(int socket, iovec* parts, size_t part_count, const int* fds, size_t fd_count) {
  Ancillary ancillary;
  memset(&ancillary, 0, sizeof(ancillary));
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = part_count;
  if (fd_count > 0) {
    const size_t length = sizeof(int) * fd_count;
    message.msg_control = ancillary.bytes;
    message.msg_controllen = CMSG_SPACE(length);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(rights), fds, length);
  }
  while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) return absl::UnavailableError("the forkserver has ended");
    if (errno == ETOOMANYREFS) {
      return ErrnoStatus(errno, "send descriptors", "to the forkserver",
                         "more are under way than the limit of open files allows; see unix(7)");
    }
    return ErrnoStatus(errno, "send", "to the forkserver");
  }
  return absl::OkStatus();
}

// As recvmsg(2), never waiting; adds what came to `fds`.
ssize_t Receive(int socket, void* buffer, size_t size, std::vector<UniqueFd>& fds, bool* whole) {
  Ancillary ancillary;
  iovec part = {buffer, size};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.bytes;
  message.msg_controllen = sizeof(ancillary.bytes);
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return received;
  for (cmsghdr* rights = CMSG_FIRSTHDR(&message); rights != nullptr; rights = CMSG_NXTHDR(&message, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  *whole = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  return received;
}

absl::StatusOr<UniqueFd> InMemory(std::string_view bytes) {
  UniqueFd memory(memfd_create("brood-request", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return ErrnoStatus(errno, "memfd_create");
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t written = pwrite(memory.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (written < 0 && errno != EINTR) return ErrnoStatus(errno, "write", "the request");
    if (written > 0) at += static_cast<size_t>(written);
  }
  if (fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) return ErrnoStatus(errno, "seal", "the request");
  return memory;
}

// There may be more seals: with vm.memfd_noexec the kernel adds F_SEAL_EXEC to every memfd.
bool IsSealed(int memory) {
  const int seals = fcntl(memory, F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

absl::Status FromMemory(int memory, std::string& bytes) {
  struct stat about = {};
  if (fstat(memory, &about) != 0 || !IsSealed(memory) ||
      static_cast<uint64_t>(about.st_size) != bytes.size()) {
    return absl::DataLossError("request: its bytes are not in a sealed memory of their size");
  }
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t got = pread(memory, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got == 0 || (got < 0 && errno != EINTR)) return ErrnoStatus(errno, "read", "the request");
    if (got > 0) at += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

// Fills a socket with `fds`; gives the end to receive them from.
absl::StatusOr<UniqueFd> InSocket(const int* fds, size_t count) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  UniqueFd reader(pair[0]);
  const UniqueFd writer(pair[1]);
  while (count > 0) {
    const size_t some = std::min(count, kFdsOfRecord);
    char byte = 0;
    iovec part = {&byte, 1};
    BROOD_RETURN_IF_ERROR(Send(writer.get(), &part, 1, fds, some));
    fds += some;
    count -= some;
  }
  return reader;
}

}  // namespace

absl::Status SendRequest(int socket, std::string_view bytes, const std::vector<int>& fds) {
  if (bytes.size() > kMaxRequestBytes || fds.size() > kMaxRequestFds) {
    return absl::InvalidArgumentError(absl::StrCat("request: ", bytes.size(), " bytes and ", fds.size(), " descriptors, ",
                                                   kMaxRequestBytes, " and ", kMaxRequestFds, " are allowed"));
  }
  Header header;
  header.byte_count = bytes.size();
  header.fd_count = static_cast<uint32_t>(fds.size());
  std::vector<int> sent;
  UniqueFd memory, more;
  if (bytes.size() > kInlineBytes) {
    BROOD_ASSIGN_OR_RETURN(memory, InMemory(bytes));
    header.in_memory = 1;
    sent.push_back(memory.get());
  }
  size_t fit = fds.size();
  if (sent.size() + fit > kFdsOfRecord) {
    fit = kFdsOfRecord - sent.size() - 1;
    BROOD_ASSIGN_OR_RETURN(more, InSocket(fds.data() + fit, fds.size() - fit));
    header.has_more = 1;
    sent.push_back(more.get());
  }
  sent.insert(sent.end(), fds.begin(), fds.begin() + static_cast<std::ptrdiff_t>(fit));
  iovec parts[] = {{&header, sizeof(header)}, {const_cast<char*>(bytes.data()), bytes.size()}};
  return Send(socket, parts, header.in_memory != 0 ? 1 : 2, sent.data(), sent.size());
}

absl::Status ReceiveRequest(int socket, Request& request) {
  static char* const buffer = new char[sizeof(Header) + kInlineBytes];
  bool whole = false;
  const ssize_t received = Receive(socket, buffer, sizeof(Header) + kInlineBytes, request.fds, &whole);
  if (received == 0) return absl::OutOfRangeError("the client has closed its end");
  if (received < 0) return ErrnoStatus(errno, "receive", "a request");
  Header header;
  memcpy(&header, buffer, std::min(sizeof(header), static_cast<size_t>(received)));
  if (!whole || received < static_cast<ssize_t>(sizeof(header)) || header.magic != kMagic ||
      header.byte_count > kMaxRequestBytes || header.fd_count > kMaxRequestFds) {
    return absl::DataLossError("request: not one");
  }
  std::vector<UniqueFd> carriers;
  for (int i = 0; i < header.in_memory + header.has_more && !request.fds.empty(); ++i) {
    carriers.push_back(std::move(request.fds.front()));
    request.fds.erase(request.fds.begin());
  }
  if (header.in_memory > 1 || header.has_more > 1 || carriers.size() < size_t{header.in_memory} + header.has_more) {
    return absl::DataLossError("request: it lacks descriptors");
  }
  request.bytes.resize(header.byte_count);
  if (header.in_memory != 0) {
    BROOD_RETURN_IF_ERROR(FromMemory(carriers[0].get(), request.bytes));
  } else if (header.byte_count != static_cast<size_t>(received) - sizeof(header)) {
    return absl::DataLossError("request: of another length than it says");
  } else {
    memcpy(request.bytes.data(), buffer + sizeof(header), request.bytes.size());
    explicit_bzero(buffer, static_cast<size_t>(received));  // Or all later children would find it, environment and all.
  }
  while (header.has_more != 0 && request.fds.size() < header.fd_count) {
    char byte;
    if (Receive(carriers.back().get(), &byte, 1, request.fds, &whole) <= 0 || !whole) break;
  }
  if (request.fds.size() != header.fd_count) return absl::DataLossError("request: it lacks descriptors");
  return absl::OkStatus();
}

}  // namespace brood::internal
