// Messages between two processes: bytes, typed values and descriptors, over a stream socket; on Windows over a pipe, which
// takes no descriptors, and where a send whose timeout passes may have gone in part (docs/windows.md).
//
//   BROOD_ASSIGN_OR_RETURN(auto ends, Pipe());                        // pipe.h; or Dial and Listener (listener.h)
//   BROOD_RETURN_IF_ERROR(ends.first.Send(std::vector<int>{1, 2}));
//   BROOD_ASSIGN_OR_RETURN(auto list, ends.second.Receive<std::vector<int>>({.timeout = absl::Seconds(5)}));
//
// Messages keep their boundaries, and an empty one is a message. What comes from the peer is never believed: lengths
// are checked before anything is allocated, memory grows with what has really come, type names must agree, and
// descriptors that nobody asked for are closed. A connection is itself a value: it may be an argument of a target, or
// be sent over another connection; both processes then hold the same end, and should not both use it.
//
// One thread may send while another receives; two may not do the same at once, and none may while the connection is
// moved or closed. SIGPIPE is never raised. Interrupted system calls go on.
//
// Errors, with the same meaning in all functions:
//   OutOfRange          the peer has closed, and all that it sent has been received
//   DataLoss            the peer has closed within a message, or sends what is no message; receiving is over
//   Unavailable         the peer has closed, and this message did not reach it
//   DeadlineExceeded    the timeout passed
//   InvalidArgument     another kind or type of message, or a longer one than allowed
//   FailedPrecondition  the connection is closed here, or is of the other direction
//   ResourceExhausted   this process cannot open the descriptors that came (EMFILE); the message is dropped
#ifndef BROOD_IPC_CONNECTION_H_
#define BROOD_IPC_CONNECTION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"
#include "ipc/deadline.h"
#include "ipc/frame.h"
#include "serialization/codec.h"
#include "serialization/value.h"

namespace brood {

enum class Direction : uint8_t { kDuplex, kReceiveOnly, kSendOnly };

struct ConnectionOptions {
  uint64_t max_message_bytes = uint64_t{64} << 20;  // Longer messages are neither sent nor received.
  uint32_t max_handles = 1024;                      // More descriptors in one message likewise.
  Direction direction = Direction::kDuplex;
};

struct ReceiveOptions {
  absl::Duration timeout = absl::InfiniteDuration();  // For the whole message. Zero or negative: what is there already.
  std::optional<uint64_t> max_bytes;                  // Instead of the connection's own bounds.
  std::optional<uint32_t> max_handles;
};

// Who made the peer's socket: the process that called connect(2), listen(2) or socketpair(2), as it was then.
struct PeerCredentials {
  int pid = 0;  // 0 if it is of a pid namespace that cannot be seen from here.
  uint32_t uid = 0;
  uint32_t gid = 0;
};

namespace internal {
class ConnectionAccess;
}  // namespace internal

class Connection {  // Move-only. Its destruction closes it.
 public:
  Connection() = default;  // Closed.

  // Takes over a connected stream socket (AF_UNIX, AF_INET, AF_INET6), an inherited one for example, and makes it
  // close-on-exec. Errors: InvalidArgument (anything else).
  static absl::StatusOr<Connection> Adopt(UniqueFd socket, const ConnectionOptions& options = {});

  // Sends one message. A timeout that passes before the first byte was taken changes nothing; after that, sending is
  // over and the peer gets DataLoss, because a torn message cannot be taken back.
  template <typename T>
  absl::Status Send(const T& value, absl::Duration timeout = absl::InfiniteDuration()) {
    return SendValue(Pack(value), timeout);
  }
  absl::Status SendBytes(std::string_view bytes, absl::Duration timeout = absl::InfiniteDuration());

  // Descriptors, borrowed: the peer gets duplicates. Over Unix sockets only (FailedPrecondition).
  absl::Status SendHandle(int fd, absl::Duration timeout = absl::InfiniteDuration());
  absl::Status SendHandles(absl::Span<const int> fds, absl::Duration timeout = absl::InfiniteDuration());

  // Receives the next message, which must be of that kind and type; if it is not, it is dropped. Whenever a timeout
  // passes, what has come of a message is kept, and the next call goes on with it. A message that is longer than
  // allowed stays too: receive it with a larger bound, or close.
  template <typename T>
  requires(!internal::kIsStatus<T>) absl::StatusOr<T> Receive(const ReceiveOptions& options = {}) {
    T value{};
    if (absl::Status status = ReceiveInto(value, options); !status.ok()) return status;
    return value;
  }
  template <typename T>
  absl::Status ReceiveInto(T& value, const ReceiveOptions& options = {}) {
    absl::StatusOr<TypedValue> packed = ReceiveValue(TypeName<T>(), options);
    if (!packed.ok()) return packed.status();
    return UnpackInto(*packed, value);
  }
  absl::StatusOr<std::string> ReceiveBytes(const ReceiveOptions& options = {});
  absl::StatusOr<UniqueFd> ReceiveHandle(const ReceiveOptions& options = {});
  absl::StatusOr<std::vector<UniqueFd>> ReceiveHandles(const ReceiveOptions& options = {});

  // Whether something can be received: the beginning of a message, or the peer's end. False when the timeout passes.
  absl::StatusOr<bool> Poll(absl::Duration timeout = absl::ZeroDuration()) const;

  void Close();  // Messages that were sent still reach the peer.

  bool closed() const { return !socket_.valid(); }
  bool readable() const { return !closed() && options_.direction != Direction::kSendOnly; }
  bool writable() const { return !closed() && options_.direction != Direction::kReceiveOnly; }
  int descriptor() const { return socket_.get(); }  // Borrowed: poll it in your own loop. -1 when closed.
  const ConnectionOptions& options() const { return options_; }

  // Errors: FailedPrecondition (closed, or TCP, which does not know), Unimplemented (Windows).
  absl::StatusOr<PeerCredentials> peer_credentials() const;

 private:
  friend struct Codec<Connection>;
  friend class internal::ConnectionAccess;

  absl::Status SendValue(const TypedValue& value, absl::Duration timeout);
  absl::StatusOr<TypedValue> ReceiveValue(std::string_view type, const ReceiveOptions& options);
  absl::Status SendFrame(internal::FrameKind kind, std::string_view type, std::string_view body,
                         absl::Span<const int> handles, absl::Duration timeout);
  absl::Status SendPieces(absl::Span<internal::StreamPiece> pieces, absl::Span<const int> handles, const internal::Deadline& deadline,
                          uint64_t& sent);
  absl::StatusOr<internal::IncomingFrame> ReceiveFrame(const ReceiveOptions& options);
  absl::StatusOr<internal::IncomingFrame> ReceiveFrame(internal::FrameKind kind, const ReceiveOptions& options);
  absl::Status ReceiveHeader(const internal::Deadline& deadline);
  absl::Status CheckHeader(const ReceiveOptions& options) const;
  absl::Status ReceiveRest(const internal::Deadline& deadline);
  absl::StatusOr<size_t> ReceivePieces(absl::Span<const internal::StreamPiece> pieces, const internal::Deadline& deadline);
  absl::Status CheckUsable(Direction wrong, std::string_view operation) const;
  UniqueFd DuplicateForPeer() const;

  UniqueFd socket_;
  ConnectionOptions options_;
  bool torn_ = false;           // A message went out in part: none can follow it.
  absl::Status receive_error_;  // Once set, where the next message begins is unknown.
  internal::IncomingFrame incoming_;
};

// A connection as a value: the receiver gets a duplicate with the same direction and at most the default bounds, since
// what a peer says may not raise them. One that is closed, or in the middle of a message, fails to be sent.
template <>
struct Codec<Connection> {
  static constexpr size_t kMinBytes = 17;
  static void Describe(internal::Description& to) { to.Word("connection"); }
  static void Encode(const Connection& value, WireWriter& to);
  static bool Decode(WireReader& from, Connection& value);
};

}  // namespace brood

#endif  // BROOD_IPC_CONNECTION_H_
