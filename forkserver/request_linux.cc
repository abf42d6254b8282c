#include "forkserver/request.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/fd_message_child.h"
#include "base/slow_file.h"
#include "base/status.h"
#include "ipc/deadline.h"

namespace brood::internal {
namespace {

constexpr uint64_t kMagic = 0x325253444f4f5242;  // "BROODSR2"
constexpr size_t kInlineBytes = size_t{64} << 10;  // Well below the smallest default of a socket's buffer. socket(7)
constexpr size_t kMaxSlowFiles = 200;  // Each takes a thread that closes it: base/closer.h.
constexpr size_t kFdsOfRecord = child::kMaxFdsOfMessage;
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

struct Header {
  uint64_t magic = kMagic;
  uint64_t tag = 0;
  uint64_t byte_count = 0;
  uint32_t fd_count = 0;  // Of the user's.
  uint8_t in_memory = 0;  // The first descriptor holds the bytes.
  uint8_t has_more = 0;   // The next one is a socket with the descriptors that did not fit.
  uint8_t unused[2] = {};
  std::array<uint64_t, 4> words = {};
};
static_assert(sizeof(Header) == kRawHeaderBytes);

absl::Status Send(int socket, const iovec* parts, size_t part_count, const int* fds, size_t fd_count,
                  const Deadline& deadline) {
  while (child::SendWithFds(socket, parts, part_count, fds, fd_count, MSG_DONTWAIT) < 0) {
    if (errno == EAGAIN) {
      pollfd polled = {socket, POLLOUT, 0};
      const int ready = ppoll(&polled, 1, deadline.ToTimespec().get(), nullptr);
      if (ready > 0 || (ready < 0 && errno == EINTR)) continue;
      if (ready < 0) return ErrnoStatus(errno, "poll", "the forkserver");
      if (!deadline.passed()) continue;
      return absl::DeadlineExceededError("the forkserver takes no requests; it is stopped, or overloaded");
    }
    if (errno == EPIPE || errno == ECONNRESET) return absl::UnavailableError("the forkserver has ended");
    if (errno == ETOOMANYREFS) {
      return ErrnoStatus(errno, "send descriptors", "to the forkserver",
                         "more are under way than the limit of open files allows; see unix(7)");
    }
    return ErrnoStatus(errno, "send", "to the forkserver");
  }
  return absl::OkStatus();
}

// Never waits; adds what came to `fds`.
child::FdMessage Receive(int socket, void* buffer, size_t size, std::vector<UniqueFd>& fds) {
  const iovec part = {buffer, size};
  int numbers[kFdsOfRecord];
  const child::FdMessage message = child::ReceiveWithFds(socket, &part, 1, numbers, kFdsOfRecord, MSG_DONTWAIT);
  for (size_t i = 0; i < message.fd_count; ++i) fds.emplace_back(numbers[i]);
  return message;
}

// A record without bytes and the end of the socket look alike to recvmsg(2).
bool HasHungUp(int socket) {
  pollfd polled = {socket, POLLRDHUP, 0};
  return poll(&polled, 1, 0) > 0 && polled.revents != 0;
}

absl::Status NoRoomForDescriptors() {
  return absl::ResourceExhaustedError("request: the forkserver has no room for its descriptors; see the limit of open files");
}

// What InSocket makes. Of another kind of socket the receiving may take long.
bool IsCarrier(int fd) {
  int domain = 0, type = 0;
  socklen_t size = sizeof(domain);
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
  size = sizeof(type);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && domain == AF_UNIX && type == SOCK_SEQPACKET;
}

size_t SlowFiles(const std::vector<UniqueFd>& fds) {
  return static_cast<size_t>(std::count_if(fds.begin(), fds.end(), [](const UniqueFd& fd) { return IsSlowFile(fd.get()); }));
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

absl::Status FromMemory(int memory, uint64_t size, std::string& bytes) {
  struct stat about = {};
  // Only of memory: another file may be one whose server does not answer.
  if (!IsSealed(memory) || fstat(memory, &about) != 0 || static_cast<uint64_t>(about.st_size) != size) {
    return absl::DataLossError("request: its bytes are not in a sealed memory of their size");
  }
  bytes.resize(size);
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
    const iovec part = {&byte, 1};
    // It is ours and empty: what does not fit would never fit.
    BROOD_RETURN_IF_ERROR(Send(writer.get(), &part, 1, fds, some, Deadline(absl::ZeroDuration())));
    fds += some;
    count -= some;
  }
  return reader;
}

}  // namespace

absl::Status SendRequest(int socket, std::string_view bytes, const std::vector<int>& fds, const SendOptions& options) {
  if (bytes.size() > kMaxRequestBytes || fds.size() > kMaxRequestFds) {
    return absl::InvalidArgumentError(absl::StrCat("request: ", bytes.size(), " bytes and ", fds.size(), " descriptors, ",
                                                   kMaxRequestBytes, " and ", kMaxRequestFds, " are allowed"));
  }
  Header header;
  header.tag = options.tag;
  header.words = options.words;
  header.byte_count = bytes.size();
  header.fd_count = static_cast<uint32_t>(fds.size());
  std::vector<int> sent;
  UniqueFd memory, more;
  if (bytes.size() > std::min(options.inline_bytes, kInlineBytes)) {
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
  for (size_t i = 0; i < fit; ++i) sent.push_back(fds[i]);
  const iovec parts[] = {{&header, sizeof(header)}, {const_cast<char*>(bytes.data()), bytes.size()}};
  return Send(socket, parts, header.in_memory != 0 ? 1 : 2, sent.data(), sent.size(),
              Deadline(options.patience));
}

namespace {

// `fds` of `request` are those that came with the record.
absl::Status Unpack(const char* data, size_t size, Request& request) {
  Header header;
  memcpy(&header, data, std::min(sizeof(header), size));
  if (size < sizeof(header) || header.magic != kMagic || header.byte_count > kMaxRequestBytes ||
      header.fd_count > kMaxRequestFds) {
    return absl::DataLossError("request: not one");
  }
  request.tag = header.tag;
  std::vector<UniqueFd>& carriers = request.carriers;
  for (int i = 0; i < header.in_memory + header.has_more && !request.fds.empty(); ++i) {
    carriers.push_back(std::move(request.fds.front()));
    request.fds.erase(request.fds.begin());
  }
  if (header.in_memory > 1 || header.has_more > 1 || carriers.size() < size_t{header.in_memory} + header.has_more) {
    return absl::DataLossError("request: it lacks descriptors");
  }
  if (header.in_memory != 0) {
    BROOD_RETURN_IF_ERROR(FromMemory(carriers[0].get(), header.byte_count, request.bytes));
  } else if (header.byte_count != size - sizeof(header)) {
    return absl::DataLossError("request: of another length than it says");
  } else {
    request.bytes.assign(data + sizeof(header), header.byte_count);
  }
  if (header.has_more != 0 && !IsCarrier(carriers.back().get())) return absl::DataLossError("request: it lacks descriptors");
  while (header.has_more != 0 && request.fds.size() < header.fd_count) {
    char byte;
    const size_t before = request.fds.size();
    if (SlowFiles(request.fds) > kMaxSlowFiles) {
      return absl::ResourceExhaustedError(absl::StrCat("request: more than ", kMaxSlowFiles, " files that their servers could hold up the close of"));
    }
    const child::FdMessage more = Receive(carriers.back().get(), &byte, 1, request.fds);
    if (more.fds_lost) return NoRoomForDescriptors();
    // One without descriptors could be followed by such without end.
    if (more.bytes <= 0 || more.cut || request.fds.size() == before) break;
  }
  if (request.fds.size() != header.fd_count) return absl::DataLossError("request: it lacks descriptors");
  return absl::OkStatus();
}

}  // namespace

absl::Status ReceiveRequest(int socket, Request& request) {
  static char* const buffer = new char[sizeof(Header) + kInlineBytes];
  const child::FdMessage message = Receive(socket, buffer, sizeof(Header) + kInlineBytes, request.fds);
  if (message.bytes < 0) return ErrnoStatus(errno, "receive", "a request");
  if (message.bytes == 0 && message.fd_count == 0 && HasHungUp(socket)) {
    return absl::OutOfRangeError("the client has closed its end");
  }
  if (message.fds_lost) return NoRoomForDescriptors();
  const size_t size = static_cast<size_t>(message.bytes);
  const absl::Status unpacked = message.cut ? absl::DataLossError("request: not one") : Unpack(buffer, size, request);
  explicit_bzero(buffer, size);  // An environment, a key: of no use to anybody who comes to read this memory.
  return unpacked;
}

uint64_t TagOf(const RawRequest& raw) { return TagOf(raw.data, raw.size); }

uint64_t TagOf(const char* record, size_t size) {
  Header header;
  if (size < sizeof(header)) return 0;
  memcpy(&header, record, sizeof(header));
  return header.magic == kMagic ? header.tag : 0;
}

std::array<uint64_t, 4> WordsOf(const RawRequest& raw) {
  Header header;
  if (raw.size >= sizeof(header)) memcpy(&header, raw.data, sizeof(header));
  return header.words;
}

size_t CarriersOf(const RawRequest& raw) {
  Header header;
  if (raw.size < sizeof(header)) return 0;
  memcpy(&header, raw.data, sizeof(header));
  return (header.in_memory != 0 ? 1 : 0) + (header.has_more != 0 ? 1 : 0);
}

absl::Status UnpackRequest(std::string_view record, const int* fds, size_t fd_count, Request& request) {
  for (size_t i = 0; i < fd_count; ++i) request.fds.emplace_back(fds[i]);
  return Unpack(record.data(), record.size(), request);
}

std::string_view BytesInPlace(std::string_view record) {
  Header header;
  memcpy(&header, record.data(), std::min(sizeof(header), record.size()));
  const bool whole = record.size() >= sizeof(header) && header.magic == kMagic && header.byte_count == record.size() - sizeof(header);
  if (!whole || header.fd_count != 0 || header.in_memory != 0 || header.has_more != 0) return {};
  return record.substr(sizeof(header));
}

}  // namespace brood::internal
