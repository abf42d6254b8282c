#include <windows.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "serialization/framing_io.h"

namespace brood {
namespace {

bool OtherEndIsClosed(DWORD error) {
  return error == ERROR_BROKEN_PIPE || error == ERROR_NO_DATA || error == ERROR_PIPE_NOT_CONNECTED;
}

DWORD Part(size_t size) { return static_cast<DWORD>(std::min<size_t>(size, std::numeric_limits<DWORD>::max())); }

// Waits until a pipe has bytes or has ended. An anonymous pipe cannot be waited for, so it is looked at: at once, then at
// intervals that grow to 16 ms.
absl::Status WaitForBytes(HANDLE pipe, absl::Time deadline, std::string_view what) {
  for (DWORD pause = 0;; pause = std::min<DWORD>(pause == 0 ? 1 : 2 * pause, 16)) {
    DWORD ready = 0;
    // What is no pipe is read without waiting; an error of a pipe is told by the read.
    if (!PeekNamedPipe(pipe, nullptr, 0, nullptr, &ready, nullptr) || ready > 0) return absl::OkStatus();
    if (absl::Now() >= deadline) return absl::DeadlineExceededError(absl::StrCat(what, ": nothing came in time"));
    Sleep(pause);
  }
}

}  // namespace

absl::Status internal::WriteAll(int fd, const char* data, size_t size, std::string_view what) {
  while (size > 0) {
    DWORD written = 0;
    if (!WriteFile(HandleOf(fd), data, Part(size), &written, nullptr)) {
      const DWORD error = GetLastError();
      if (OtherEndIsClosed(error)) return absl::UnavailableError(absl::StrCat("write ", what, ": the other end is closed"));
      return WindowsStatus(error, "write", what);
    }
    data += written;
    size -= written;
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> internal::ReadUpTo(int fd, char* data, size_t size, absl::Time deadline, std::string_view what) {
  size_t done = 0;
  while (done < size) {
    if (deadline != absl::InfiniteFuture()) {
      if (absl::Status waited = WaitForBytes(HandleOf(fd), deadline, what); !waited.ok()) return waited;
    }
    DWORD count = 0;
    if (!ReadFile(HandleOf(fd), data + done, Part(size - done), &count, nullptr)) {
      const DWORD error = GetLastError();
      if (OtherEndIsClosed(error) || error == ERROR_HANDLE_EOF) break;
      return WindowsStatus(error, "read", what);
    }
    if (count == 0) break;
    done += count;
  }
  return done;
}

}  // namespace brood
