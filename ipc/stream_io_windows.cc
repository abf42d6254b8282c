// Named pipes of bytes, opened for overlapped transfers: those alone can be waited for with a deadline.
#include <windows.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "ipc/stream_io.h"

namespace brood::internal {
namespace {

bool PeerHasClosed(DWORD error) {
  return error == ERROR_BROKEN_PIPE || error == ERROR_NO_DATA || error == ERROR_PIPE_NOT_CONNECTED;
}

// A transfer that was begun. Its memory must stay until it is over, so it is awaited or taken back.
class Transfer {
 public:
  Transfer() : event_(Own(CreateEventW(nullptr, TRUE, FALSE, nullptr))) { overlapped_.hEvent = HandleOf(event_.get()); }

  bool valid() const { return event_.valid(); }
  OVERLAPPED* get() { return &overlapped_; }

  // ERROR_SUCCESS and `*count`, or why not; ERROR_OPERATION_ABORTED when the deadline passed before it was over.
  DWORD Await(int stream, bool begun, const Deadline& deadline, DWORD* count) {
    if (const DWORD error = GetLastError(); !begun && error != ERROR_IO_PENDING) return error;
    for (;;) {
      // A wait takes 49 days at most; rounded up, so that the rest of a millisecond is no loop.
      const absl::Duration left = std::min(deadline.Left(), absl::Hours(24));
      const auto milliseconds = static_cast<DWORD>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
      if (WaitForSingleObject(overlapped_.hEvent, milliseconds) != WAIT_TIMEOUT) break;
      if (!deadline.passed()) continue;
      CancelIoEx(HandleOf(stream), &overlapped_);
      break;
    }
    // Over, or taken back, which may be too late: then it was done.
    return GetOverlappedResult(HandleOf(stream), &overlapped_, count, TRUE) ? ERROR_SUCCESS : GetLastError();
  }

 private:
  UniqueFd event_;
  OVERLAPPED overlapped_ = {};
};

absl::StatusOr<DWORD> Available(int stream) {
  DWORD available = 0;
  if (PeekNamedPipe(HandleOf(stream), nullptr, 0, nullptr, &available, nullptr)) return available;
  if (const DWORD error = GetLastError(); !PeerHasClosed(error)) return WindowsStatus(error, "PeekNamedPipe");
  return 1;  // The end.
}

}  // namespace

absl::Status PrepareStream(int stream) {
  if (stream < 0 || GetFileType(HandleOf(stream)) != FILE_TYPE_PIPE) {
    return absl::InvalidArgumentError(absl::StrCat("handle ", stream, " is no pipe"));
  }
  return KeepFromChildren(stream) ? absl::OkStatus() : LastErrorStatus("SetHandleInformation", "no inheritance");
}

absl::StatusOr<size_t> SendSomeOf(int stream, absl::Span<const StreamPiece> pieces, absl::Span<const int> /*handles*/,
                                  const Deadline& deadline) {
  // Small ones go together. With a deadline never more, so that what has surely gone is known to so many bytes.
  constexpr size_t kTogether = size_t{64} << 10;
  std::string gathered;
  const char* data = pieces[0].data;
  size_t size = pieces[0].size;
  if (pieces.size() > 1 && size < kTogether) {
    for (const StreamPiece& piece : pieces) gathered.append(piece.data, std::min(piece.size, kTogether - gathered.size()));
    data = gathered.data();
    size = gathered.size();
  }
  size = std::min(size, deadline.infinite() ? size_t{1} << 30 : kTogether);
  Transfer transfer;
  if (!transfer.valid()) return LastErrorStatus("CreateEvent", "to send");
  DWORD count = 0;
  const bool begun = WriteFile(HandleOf(stream), data, static_cast<DWORD>(size), nullptr, transfer.get()) != 0;
  const DWORD error = transfer.Await(stream, begun, deadline, &count);
  if (error == ERROR_SUCCESS) return count;
  if (error == ERROR_OPERATION_ABORTED) return absl::AbortedError("send: the peer did not read in time");
  return WindowsStatus(error, PeerHasClosed(error) ? "send: the peer has closed" : "send");
}

absl::StatusOr<size_t> ReceiveSomeInto(int stream, absl::Span<const StreamPiece> pieces, std::vector<UniqueFd>& /*handles*/,
                                       bool& /*handles_lost*/, const Deadline& deadline) {
  const auto piece = std::find_if(pieces.begin(), pieces.end(), [](const StreamPiece& each) { return each.size > 0; });
  Transfer transfer;
  if (!transfer.valid()) return LastErrorStatus("CreateEvent", "to receive");
  DWORD count = 0;
  const auto size = static_cast<DWORD>(std::min(piece->size, size_t{1} << 30));
  const bool begun = ::ReadFile(HandleOf(stream), piece->data, size, nullptr, transfer.get()) != 0;
  const DWORD error = transfer.Await(stream, begun, deadline, &count);
  if (error == ERROR_SUCCESS) return count;
  if (error == ERROR_OPERATION_ABORTED) return absl::DeadlineExceededError("receive: nothing came in time");
  if (PeerHasClosed(error)) return 0;
  return WindowsStatus(error, "receive");
}

// Nothing signals that a pipe has something but a read, which would take it: it is looked at, at once, then at intervals that
// grow to 16 ms.
absl::StatusOr<bool> AwaitReadable(int stream, const Deadline& deadline) {
  for (DWORD pause = 0;; pause = std::min<DWORD>(pause == 0 ? 1 : 2 * pause, 16)) {
    const absl::StatusOr<DWORD> available = Available(stream);
    if (!available.ok()) return available.status();
    if (*available > 0) return true;
    if (deadline.passed()) return false;
    Sleep(pause);
  }
}

absl::Status CheckHandles(int /*stream*/, absl::Span<const int> handles) {
  if (handles.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "send: handles do not travel over pipes; whoever may put one into a process owns it. Give them as arguments of a target");
}

// A pipe ends as a whole.
void EndSending(int /*stream*/) {}

}  // namespace brood::internal
