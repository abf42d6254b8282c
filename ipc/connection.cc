#include "ipc/connection.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {

absl::StatusOr<Connection> Connection::Adopt(UniqueFd socket, const ConnectionOptions& options) {
  BROOD_RETURN_IF_ERROR(internal::PrepareStream(socket.get()));
  Connection connection;
  connection.socket_ = std::move(socket);
  connection.options_ = options;
  return connection;
}

absl::Status Connection::SendBytes(std::string_view bytes, absl::Duration timeout) {
  return SendFrame(internal::FrameKind::kBytes, {}, bytes, {}, timeout);
}

absl::Status Connection::SendHandle(int fd, absl::Duration timeout) {
  return SendHandles(absl::MakeConstSpan(&fd, 1), timeout);
}

absl::Status Connection::SendHandles(absl::Span<const int> fds, absl::Duration timeout) {
  return SendFrame(internal::FrameKind::kHandles, {}, {}, fds, timeout);
}

absl::Status Connection::SendValue(const TypedValue& value, absl::Duration timeout) {
  std::vector<int> handles;
  handles.reserve(value.handles.size());
  for (const auto& handle : value.handles) {
    if (!handle->valid()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "send ", value.type,
          ": it refers to a descriptor that is closed, in use, or could not be duplicated (the limit of open files)"));
    }
    handles.push_back(handle->get());
  }
  return SendFrame(internal::FrameKind::kValue, value.type, value.bytes, handles, timeout);
}

absl::StatusOr<std::string> Connection::ReceiveBytes(const ReceiveOptions& options) {
  BROOD_ASSIGN_OR_RETURN(internal::IncomingFrame frame, ReceiveFrame(internal::FrameKind::kBytes, options));
  return std::move(frame.body);
}

absl::StatusOr<UniqueFd> Connection::ReceiveHandle(const ReceiveOptions& options) {
  BROOD_ASSIGN_OR_RETURN(std::vector<UniqueFd> handles, ReceiveHandles(options));
  if (handles.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("receive: expected one handle, got ", handles.size()));
  }
  return std::move(handles[0]);
}

absl::StatusOr<std::vector<UniqueFd>> Connection::ReceiveHandles(const ReceiveOptions& options) {
  BROOD_ASSIGN_OR_RETURN(internal::IncomingFrame frame, ReceiveFrame(internal::FrameKind::kHandles, options));
  return std::move(frame.handles);
}

absl::StatusOr<TypedValue> Connection::ReceiveValue(std::string_view type, const ReceiveOptions& options) {
  BROOD_ASSIGN_OR_RETURN(internal::IncomingFrame frame, ReceiveFrame(internal::FrameKind::kValue, options));
  if (frame.type != type) {
    // The name is the peer's text: made printable, and cut, for whoever puts this message into a log.
    constexpr size_t kShown = 200;
    return absl::InvalidArgumentError(absl::StrCat("receive: expected ", type, ", got ",
                                                   absl::CHexEscape(frame.type.substr(0, kShown)),
                                                   frame.type.size() > kShown ? "..." : ""));
  }
  TypedValue value = {.type = std::move(frame.type), .bytes = std::move(frame.body), .handles = {}};
  value.handles.reserve(frame.handles.size());
  for (UniqueFd& handle : frame.handles) value.handles.push_back(std::make_shared<const UniqueFd>(std::move(handle)));
  return value;
}

absl::StatusOr<bool> Connection::Poll(absl::Duration timeout) const {
  BROOD_RETURN_IF_ERROR(CheckUsable(Direction::kSendOnly, "poll"));
  return internal::AwaitReadable(socket_.get(), internal::Deadline(timeout));
}

void Connection::Close() {
  socket_.reset();
  incoming_ = {};
}

absl::Status Connection::CheckUsable(Direction wrong, std::string_view operation) const {
  if (closed()) return absl::FailedPreconditionError(absl::StrCat(operation, ": the connection is closed"));
  if (options_.direction == wrong) {
    return absl::FailedPreconditionError(absl::StrCat(operation, ": this end of the connection only ",
                                                      wrong == Direction::kSendOnly ? "sends" : "receives"));
  }
  return absl::OkStatus();
}

UniqueFd Connection::DuplicateForPeer() const {
  const bool between_messages = !torn_ && receive_error_.ok() && incoming_.header_bytes == 0;
  return between_messages ? Duplicate(socket_.get()) : UniqueFd();
}

void Codec<Connection>::Encode(const Connection& value, WireWriter& to) {
  to.Handle(value.DuplicateForPeer());
  to.Number(static_cast<uint8_t>(value.options_.direction));
  to.Number(value.options_.max_message_bytes);
  to.Number(value.options_.max_handles);
}

bool Codec<Connection>::Decode(WireReader& from, Connection& value) {
  UniqueFd socket;
  uint8_t direction = 0;
  ConnectionOptions options;
  if (!from.Handle(socket) || !from.Number(direction) || !from.Number(options.max_message_bytes) ||
      !from.Number(options.max_handles)) {
    return false;
  }
  if (direction > static_cast<uint8_t>(Direction::kSendOnly)) return from.Fail("has an unknown direction");
  options.direction = static_cast<Direction>(direction);
  const ConnectionOptions bounds;
  options.max_message_bytes = std::min(options.max_message_bytes, bounds.max_message_bytes);
  options.max_handles = std::min(options.max_handles, bounds.max_handles);
  absl::StatusOr<Connection> connection = Connection::Adopt(std::move(socket), options);
  if (!connection.ok()) return from.Fail("is no connected stream socket");
  value = *std::move(connection);
  return true;
}

}  // namespace brood
