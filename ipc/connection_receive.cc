#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/connection.h"

namespace brood {
namespace {

using internal::Deadline;
using internal::FrameHeader;
using internal::FrameKind;
using internal::IncomingFrame;
using internal::kMaxHandlesPerCall;
using internal::StreamPiece;

std::string_view KindName(FrameKind kind) {
  switch (kind) {
    case FrameKind::kBytes:
      return "bytes";
    case FrameKind::kValue:
      return "a value";
    case FrameKind::kHandles:
      return "handles";
    case FrameKind::kAuth:
      return "a part of an authentication (the peer asks for it)";
  }
  return "an unknown kind";
}

}  // namespace

absl::StatusOr<IncomingFrame> Connection::ReceiveFrame(FrameKind kind, const ReceiveOptions& options) {
  BROOD_ASSIGN_OR_RETURN(IncomingFrame frame, ReceiveFrame(options));
  if (frame.header.kind == kind) return frame;
  return absl::InvalidArgumentError(
      absl::StrCat("receive: expected ", KindName(kind), ", got ", KindName(frame.header.kind)));
}

absl::StatusOr<IncomingFrame> Connection::ReceiveFrame(const ReceiveOptions& options) {
  BROOD_RETURN_IF_ERROR(CheckUsable(Direction::kSendOnly, "receive"));
  BROOD_RETURN_IF_ERROR(receive_error_);
  const Deadline deadline(options.timeout);
  absl::Status status = ReceiveHeader(deadline);
  if (status.ok()) status = CheckHeader(options);
  if (status.ok()) status = ReceiveRest(deadline);
  if (absl::IsDataLoss(status)) {
    receive_error_ = status;
    incoming_ = {};
  }
  if (!status.ok()) return status;
  IncomingFrame frame = std::exchange(incoming_, {});
  if (frame.handles_lost) {
    return absl::ResourceExhaustedError(
        absl::StrCat("receive: the message came with ", frame.header.handles, " descriptors, of which ",
                     frame.handles.size(), " could be opened: EMFILE; raise the limit of open files. It is dropped"));
  }
  return frame;
}

// Bytes into `pieces`, descriptors into incoming_. 0 at the end of the stream.
absl::StatusOr<size_t> Connection::ReceivePieces(absl::Span<const StreamPiece> pieces, const Deadline& deadline) {
  IncomingFrame& in = incoming_;
  const absl::StatusOr<size_t> result = internal::ReceiveSomeInto(socket_.get(), pieces, in.handles, in.handles_lost, deadline);
  if (absl::IsDeadlineExceeded(result.status()) && in.header_bytes > 0) {
    return absl::DeadlineExceededError("receive: a message came in part only; receive again to go on with it");
  }
  BROOD_RETURN_IF_ERROR(result.status());
  // More than announced, or than one header can bring before it has announced anything.
  const size_t allowed = in.header_bytes == sizeof(FrameHeader) ? in.header.handles : kMaxHandlesPerCall;
  if (in.handles.size() > allowed) {
    return absl::DataLossError("receive: descriptors came that no message announced");
  }
  return *result;
}

absl::Status Connection::ReceiveHeader(const Deadline& deadline) {
  IncomingFrame& in = incoming_;
  while (in.header_bytes < sizeof(FrameHeader)) {
    const StreamPiece piece = {.data = reinterpret_cast<char*>(&in.header) + in.header_bytes,
                               .size = sizeof(FrameHeader) - in.header_bytes};
    BROOD_ASSIGN_OR_RETURN(const size_t got, ReceivePieces(absl::MakeConstSpan(&piece, 1), deadline));
    if (got == 0) {
      if (in.header_bytes == 0) return absl::OutOfRangeError("receive: the peer has closed");
      return absl::DataLossError(absl::StrCat("receive: the peer has closed after ", in.header_bytes, " of ",
                                              sizeof(FrameHeader), " bytes of a header"));
    }
    in.header_bytes += got;
    // Judged as far as it came: ten bytes of garbage are garbage, not the beginning of a message.
    constexpr uint32_t kMagic = internal::kFrameMagic;
    if (std::memcmp(&in.header, &kMagic, std::min(in.header_bytes, sizeof(kMagic))) != 0) {
      return absl::DataLossError("receive: these bytes are no message");
    }
  }
  return absl::OkStatus();
}

absl::Status Connection::CheckHeader(const ReceiveOptions& options) const {
  const FrameHeader& header = incoming_.header;
  const bool is_value = header.kind == FrameKind::kValue;
  if (header.kind < FrameKind::kBytes || header.kind > FrameKind::kAuth ||
      header.type_bytes > (is_value ? internal::kMaxTypeNameBytes : 0) ||
      (header.kind == FrameKind::kHandles && header.body_bytes > 0) ||
      (header.kind == FrameKind::kBytes && header.handles > 0) || incoming_.handles.size() > header.handles) {
    return absl::DataLossError("receive: a header that no connection writes");
  }
  const uint64_t max_bytes = options.max_bytes.value_or(options_.max_message_bytes);
  if (header.body_bytes > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("receive: the message has ", header.body_bytes, " bytes, ",
                                                   max_bytes,
                                                   " are allowed; receive it with a larger max_bytes, or close"));
  }
  const uint32_t max_handles = options.max_handles.value_or(options_.max_handles);
  if (header.handles > max_handles) {
    return absl::InvalidArgumentError(absl::StrCat("receive: the message has ", header.handles, " descriptors, ",
                                                   max_handles,
                                                   " are allowed; receive it with a larger max_handles, or close"));
  }
  return absl::OkStatus();
}

absl::Status Connection::ReceiveRest(const Deadline& deadline) {
  IncomingFrame& in = incoming_;
  in.type.resize(in.header.type_bytes);
  const uint64_t body_end = in.type.size() + in.header.body_bytes;
  const uint64_t end = body_end + in.header.HandleChunksAfterFirst();
  while (in.rest_bytes < end) {
    char carrier = 0;
    StreamPiece pieces[2] = {};
    size_t count = 0;
    const auto add = [&](char* data, size_t size) {
      if (size > 0) pieces[count++] = {.data = data, .size = size};
    };
    if (in.rest_bytes < body_end) {
      const size_t type_got = static_cast<size_t>(std::min<uint64_t>(in.rest_bytes, in.type.size()));
      const size_t body_got = static_cast<size_t>(in.rest_bytes) - type_got;
      // Grows with what comes: a length that is a lie costs its sender, not us.
      constexpr size_t kFirstBytes = size_t{64} << 10;
      if (in.body.size() == body_got) {
        in.body.resize(
            static_cast<size_t>(std::min<uint64_t>(in.header.body_bytes, body_got + std::max(body_got, kFirstBytes))));
      }
      add(in.type.data() + type_got, in.type.size() - type_got);
      add(in.body.data() + body_got, in.body.size() - body_got);
    } else {
      add(&carrier, 1);
    }
    BROOD_ASSIGN_OR_RETURN(const size_t got, ReceivePieces(absl::MakeConstSpan(pieces, count), deadline));
    if (got == 0) {
      return absl::DataLossError(
          absl::StrCat("receive: the peer has closed after ", in.rest_bytes, " of ", end, " bytes of a message"));
    }
    in.rest_bytes += got;
  }
  if (in.handles_lost && in.header.handles == 0) {
    return absl::DataLossError("receive: descriptors came that no message announced");
  }
  if (in.handles.size() < in.header.handles && !in.handles_lost) {
    return absl::DataLossError(absl::StrCat("receive: the message announced ", in.header.handles,
                                            " descriptors, and came with ", in.handles.size()));
  }
  return absl::OkStatus();
}

}  // namespace brood
