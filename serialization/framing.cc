#include "serialization/framing.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"

namespace brood {
namespace {

static_assert(std::endian::native == std::endian::little, "messages stay on one machine, and are little endian");

constexpr uint32_t kMagic = 0x4d445242;  // "BRDM"
constexpr uint16_t kVersion = 1;

struct Header {
  uint32_t magic = kMagic;
  uint16_t version = kVersion;
  uint16_t type = 0;
  uint64_t length = 0;
  uint64_t body_checksum = 0;
  uint64_t header_checksum = 0;  // Of all that stands before it.
};
static_assert(sizeof(Header) == kFrameHeaderBytes);

// FNV-1a. Each step is a bijection of the state, so two inputs that differ in one byte never have the same sum.
uint64_t Checksum(const char* data, size_t size) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < size; ++i) {
    hash ^= static_cast<unsigned char>(data[i]);
    hash *= 0x100000001b3;
  }
  return hash;
}

uint64_t HeaderChecksum(const Header& header) {
  return Checksum(reinterpret_cast<const char*>(&header), offsetof(Header, header_checksum));
}

Header MakeHeader(MessageType type, std::string_view body) {
  Header header;
  header.type = static_cast<uint16_t>(type);
  header.length = body.size();
  header.body_checksum = Checksum(body.data(), body.size());
  header.header_checksum = HeaderChecksum(header);
  return header;
}

// write(2) that gives EPIPE without the signal, on any kind of handle. On a pipe the signal is blocked for this thread
// only and taken back if the write raised it; one that was pending before stays pending. On files, memfds among them,
// it is a plain write: a child's filter may forbid everything else.
ssize_t WriteWithoutSignal(int fd, mode_t kind, const char* data, size_t size) {
  if (S_ISSOCK(kind)) return send(fd, data, size, MSG_NOSIGNAL);
  if (S_ISREG(kind)) return write(fd, data, size);
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigset_t pending;
  sigpending(&pending);
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t written = write(fd, data, size);
  const int error = errno;
  if (written < 0 && error == EPIPE && sigismember(&pending, SIGPIPE) == 0) {
    const timespec now = {};
    sigtimedwait(&pipe_signal, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

absl::Status WaitFor(int fd, short events, absl::Time deadline, std::string_view what) {
  while (true) {
    int timeout = -1;
    if (deadline != absl::InfiniteFuture()) {
      // Rounded up: a wait of less than a millisecond would otherwise spin.
      const absl::Duration left = absl::Ceil(deadline - absl::Now(), absl::Milliseconds(1));
      if (left <= absl::ZeroDuration())
        return absl::DeadlineExceededError(absl::StrCat(what, ": nothing came in time"));
      timeout = static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(left), std::numeric_limits<int>::max()));
    }
    pollfd poll_fd = {.fd = fd, .events = events, .revents = 0};
    const int ready = poll(&poll_fd, 1, timeout);
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "poll", what);
  }
}

absl::Status WriteAll(int fd, const char* data, size_t size, std::string_view what) {
  struct stat about = {};
  if (fstat(fd, &about) != 0) return ErrnoStatus(errno, "write", what);
  while (size > 0) {
    const ssize_t written = WriteWithoutSignal(fd, about.st_mode, data, size);
    if (written >= 0) {
      data += written;
      size -= static_cast<size_t>(written);
    } else if (errno == EAGAIN) {
      BROOD_RETURN_IF_ERROR(WaitFor(fd, POLLOUT, absl::InfiniteFuture(), what));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return absl::UnavailableError(absl::StrCat("write ", what, ": the other end is closed"));
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "write", what);
    }
  }
  return absl::OkStatus();
}

// Reads up to `size` bytes, less only at the end of the file.
absl::StatusOr<size_t> ReadUpTo(int fd, char* data, size_t size, absl::Time deadline, std::string_view what) {
  size_t done = 0;
  while (done < size) {
    if (deadline != absl::InfiniteFuture()) BROOD_RETURN_IF_ERROR(WaitFor(fd, POLLIN, deadline, what));
    const ssize_t count = read(fd, data + done, size - done);
    if (count == 0) break;
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      BROOD_RETURN_IF_ERROR(WaitFor(fd, POLLIN, deadline, what));
    } else if (errno == ECONNRESET) {
      break;
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "read", what);
    }
  }
  return done;
}

absl::Status CheckHeader(const Header& header, MessageType type, uint64_t max_bytes, std::string_view what) {
  if (header.magic != kMagic) return absl::DataLossError(absl::StrCat("read ", what, ": these bytes are no message"));
  if (header.header_checksum != HeaderChecksum(header)) {
    return absl::DataLossError(absl::StrCat("read ", what, ": the header is damaged (checksum)"));
  }
  if (header.version != kVersion) {
    return absl::InvalidArgumentError(absl::StrCat("read ", what, ": version ", header.version, " of the format, ",
                                                   kVersion, " is known; the peer is another build of brood"));
  }
  if (header.type != static_cast<uint16_t>(type)) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", what, ": got ", MessageTypeName(static_cast<MessageType>(header.type))));
  }
  if (header.length > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", what, ": ", header.length, " bytes are announced, ", max_bytes, " are allowed"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string MessageTypeName(MessageType type) {
  switch (type) {
    case MessageType::kPreparationData:
      return "preparation data";
    case MessageType::kProcessData:
      return "process data";
    case MessageType::kResult:
      return "result";
    case MessageType::kOutcome:
      return "outcome";
    case MessageType::kJob:
      return "job";
    case MessageType::kRequest:
      return "request";
    case MessageType::kReply:
      return "reply";
  }
  return absl::StrCat("message of type ", static_cast<int>(type));
}

std::string FrameMessage(MessageType type, std::string_view body) {
  const Header header = MakeHeader(type, body);
  std::string bytes;
  bytes.reserve(sizeof(header) + body.size());
  bytes.append(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes.append(body);
  return bytes;
}

absl::Status WriteMessage(int fd, MessageType type, std::string_view body) {
  const Header header = MakeHeader(type, body);
  const std::string what = MessageTypeName(type);
  BROOD_RETURN_IF_ERROR(WriteAll(fd, reinterpret_cast<const char*>(&header), sizeof(header), what));
  return WriteAll(fd, body.data(), body.size(), what);
}

absl::StatusOr<std::string> ReadMessage(int fd, MessageType type, const ReadOptions& options) {
  const std::string what = MessageTypeName(type);
  Header header;
  BROOD_ASSIGN_OR_RETURN(size_t got,
                         ReadUpTo(fd, reinterpret_cast<char*>(&header), sizeof(header), options.deadline, what));
  if (got == 0) return absl::OutOfRangeError(absl::StrCat("read ", what, ": the other end closed without a message"));
  // The magic number is judged as far as it came: ten bytes of garbage are garbage, not the beginning of a message.
  if (got < sizeof(header) && std::memcmp(&header, &kMagic, std::min(got, sizeof(kMagic))) == 0) {
    return absl::DataLossError(
        absl::StrCat("read ", what, ": ended after ", got, " of ", sizeof(header), " bytes of the header"));
  }
  BROOD_RETURN_IF_ERROR(CheckHeader(header, type, options.max_bytes, what));
  std::string body;
  // Grows with what comes: a length that is a lie costs its sender, not us.
  constexpr size_t kChunkBytes = size_t{1} << 20;
  while (body.size() < header.length) {
    const size_t before = body.size();
    const size_t want = static_cast<size_t>(std::min<uint64_t>(header.length - before, kChunkBytes));
    body.resize(before + want);
    BROOD_ASSIGN_OR_RETURN(got, ReadUpTo(fd, body.data() + before, want, options.deadline, what));
    if (got < want) {
      return absl::DataLossError(
          absl::StrCat("read ", what, ": ended after ", before + got, " of ", header.length, " bytes"));
    }
  }
  if (Checksum(body.data(), body.size()) != header.body_checksum) {
    return absl::DataLossError(absl::StrCat("read ", what, ": the ", body.size(), " bytes are damaged (checksum)"));
  }
  return body;
}

}  // namespace brood
