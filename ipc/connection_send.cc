#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/connection.h"

namespace brood {
namespace {

using internal::Deadline;
using internal::FrameHeader;
using internal::FrameKind;
using internal::IoResult;
using internal::kMaxHandlesPerCall;

iovec PieceOf(std::string_view bytes) {
  return {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};  // sendmsg(2) only reads it.
}

absl::Status CheckHandles(int socket, absl::Span<const int> handles) {
  if (handles.empty()) return absl::OkStatus();
  int domain = -1;
  socklen_t size = sizeof(domain);
  if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX) {
    return absl::FailedPreconditionError("send: descriptors travel over Unix sockets only");
  }
  for (const int fd : handles) {
    if (fcntl(fd, F_GETFD) < 0)
      return absl::InvalidArgumentError(absl::StrCat("send: descriptor ", fd, " is not open"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Connection::SendFrame(FrameKind kind, std::string_view type, std::string_view body,
                                   absl::Span<const int> handles, absl::Duration timeout) {
  BROOD_RETURN_IF_ERROR(CheckUsable(Direction::kReceiveOnly, "send"));
  if (torn_) return absl::FailedPreconditionError("send: an earlier message was sent in part; close the connection");
  if (body.size() > options_.max_message_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("send: the message has ", body.size(), " bytes, ", options_.max_message_bytes, " are allowed"));
  }
  if (type.size() > internal::kMaxTypeNameBytes) {
    return absl::InvalidArgumentError(absl::StrCat("send: the type's name has ", type.size(), " bytes, ",
                                                   internal::kMaxTypeNameBytes, " are allowed"));
  }
  if (handles.size() > options_.max_handles) {
    return absl::InvalidArgumentError(
        absl::StrCat("send: the message has ", handles.size(), " descriptors, ", options_.max_handles, " are allowed"));
  }
  BROOD_RETURN_IF_ERROR(CheckHandles(socket_.get(), handles));

  const FrameHeader header = {.kind = kind,
                              .type_bytes = static_cast<uint32_t>(type.size()),
                              .handles = static_cast<uint32_t>(handles.size()),
                              .body_bytes = body.size()};
  iovec pieces[] = {PieceOf({reinterpret_cast<const char*>(&header), sizeof(header)}), PieceOf(type), PieceOf(body)};
  const Deadline deadline(timeout);
  uint64_t sent = 0;
  absl::Status status = SendPieces(absl::MakeSpan(pieces), handles.subspan(0, kMaxHandlesPerCall), deadline, sent);
  for (size_t at = kMaxHandlesPerCall; status.ok() && at < handles.size(); at += kMaxHandlesPerCall) {
    iovec carrier[] = {PieceOf(std::string_view("+", 1))};
    status = SendPieces(absl::MakeSpan(carrier), handles.subspan(at, kMaxHandlesPerCall), deadline, sent);
  }
  if (!status.ok() && sent > 0) {
    torn_ = true;
    shutdown(socket_.get(), SHUT_WR);  // So that the peer sees at once that the rest will not come.
  }
  return status;
}

absl::Status Connection::SendPieces(absl::Span<iovec> pieces, absl::Span<const int> handles, const Deadline& deadline,
                                    uint64_t& sent) {
  while (true) {
    while (!pieces.empty() && pieces[0].iov_len == 0) pieces.remove_prefix(1);
    if (pieces.empty()) return absl::OkStatus();
    const IoResult result = internal::SendSome(socket_.get(), pieces, handles, deadline);
    switch (result.error) {
      case 0:
        break;
      case ETIMEDOUT:
        return absl::DeadlineExceededError(
            sent == 0 ? "send: the peer did not read in time; nothing was sent"
                      : absl::StrCat("send: the peer did not read in time; ", sent,
                                     " bytes of the message were sent, and none can follow it: close the connection"));
      case EPIPE:
      case ECONNRESET:
        return absl::UnavailableError("send: the peer has closed");
      case ETOOMANYREFS:
        return ErrnoStatus(result.error, "send", {},
                           "this user has more descriptors on their way than RLIMIT_NOFILE allows. unix(7)");
      default:
        return ErrnoStatus(result.error, "send");
    }
    handles = {};  // They went with the first byte.
    sent += result.bytes;
    size_t left = result.bytes;
    for (iovec& piece : pieces) {
      const size_t take = std::min(left, piece.iov_len);
      piece.iov_base = static_cast<char*>(piece.iov_base) + take;
      piece.iov_len -= take;
      left -= take;
    }
  }
}

}  // namespace brood
