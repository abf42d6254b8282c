#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/connection.h"

namespace brood {
namespace {

using internal::Deadline;
using internal::FrameHeader;
using internal::FrameKind;
using internal::kMaxHandlesPerCall;
using internal::StreamPiece;

StreamPiece PieceOf(std::string_view bytes) {
  return {.data = const_cast<char*>(bytes.data()), .size = bytes.size()};  // Sending only reads it.
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
  BROOD_RETURN_IF_ERROR(internal::CheckHandles(socket_.get(), handles));

  const FrameHeader header = {.kind = kind,
                              .type_bytes = static_cast<uint32_t>(type.size()),
                              .handles = static_cast<uint32_t>(handles.size()),
                              .body_bytes = body.size()};
  StreamPiece pieces[] = {PieceOf({reinterpret_cast<const char*>(&header), sizeof(header)}), PieceOf(type), PieceOf(body)};
  const Deadline deadline(timeout);
  uint64_t sent = 0;
  absl::Status status = SendPieces(absl::MakeSpan(pieces), handles.subspan(0, kMaxHandlesPerCall), deadline, sent);
  for (size_t at = kMaxHandlesPerCall; status.ok() && at < handles.size(); at += kMaxHandlesPerCall) {
    StreamPiece carrier[] = {PieceOf(std::string_view("+", 1))};
    status = SendPieces(absl::MakeSpan(carrier), handles.subspan(at, kMaxHandlesPerCall), deadline, sent);
  }
  if (!status.ok() && sent > 0) {
    torn_ = true;
    internal::EndSending(socket_.get());  // So that the peer sees at once that the rest will not come.
  }
  return status;
}

absl::Status Connection::SendPieces(absl::Span<StreamPiece> pieces, absl::Span<const int> handles, const Deadline& deadline,
                                    uint64_t& sent) {
  while (true) {
    while (!pieces.empty() && pieces[0].size == 0) pieces.remove_prefix(1);
    if (pieces.empty()) return absl::OkStatus();
    const absl::StatusOr<size_t> result = internal::SendSomeOf(socket_.get(), pieces, handles, deadline);
    if (absl::IsDeadlineExceeded(result.status())) {
      return absl::DeadlineExceededError(
          sent == 0 ? "send: the peer did not read in time; nothing was sent"
                    : absl::StrCat("send: the peer did not read in time; ", sent,
                                   " bytes of the message were sent, and none can follow it: close the connection"));
    }
    if (absl::IsAborted(result.status())) {
      ++sent;  // For all that is known.
      return absl::DeadlineExceededError(
          "send: the peer did not read in time; the message may have been sent in part, and none can follow it: close the connection");
    }
    BROOD_RETURN_IF_ERROR(result.status());
    handles = {};  // They went with the first byte.
    sent += *result;
    size_t left = *result;
    for (StreamPiece& piece : pieces) {
      const size_t take = std::min(left, piece.size);
      piece.data += take;
      piece.size -= take;
      left -= take;
    }
  }
}

}  // namespace brood
