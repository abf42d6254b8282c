#include <windows.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "ipc/deadline.h"
#include "ipc/dial.h"
#include "ipc/pipe_address.h"

namespace brood {
namespace {

// The listener may know who dials, and not act in the dialer's name.
constexpr DWORD kFlags = FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION;

// Until there is one that can be opened; an error of Windows else.
DWORD Open(const std::wstring& name, const internal::Deadline& deadline, UniqueFd* pipe) {
  for (;;) {
    *pipe = Own(CreateFileW(name.c_str(), internal::kDialerAccess, 0, nullptr, OPEN_EXISTING, kFlags, nullptr));
    if (pipe->valid()) return ERROR_SUCCESS;
    if (const DWORD error = GetLastError(); error != ERROR_PIPE_BUSY) return error;
    if (deadline.passed()) return ERROR_SEM_TIMEOUT;
    // All that the listener has are taken. In pieces, since 0 and the largest number are no times; somebody else may be faster.
    const absl::Duration left = std::clamp(deadline.Left(), absl::Milliseconds(1), absl::Hours(24));
    WaitNamedPipeW(name.c_str(), static_cast<DWORD>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)))));
  }
}

}  // namespace

absl::StatusOr<Connection> Dial(const Address& address, const DialOptions& options) {
  const internal::Deadline deadline(options.timeout);
  BROOD_ASSIGN_OR_RETURN(const std::wstring name, internal::ToPipeName(address));
  const std::string where = address.ToString();
  UniqueFd pipe;
  const DWORD error = Open(name, deadline, &pipe);
  if (error == ERROR_FILE_NOT_FOUND) return absl::UnavailableError(absl::StrCat("dial ", where, ": nobody listens there"));
  if (error == ERROR_SEM_TIMEOUT) return absl::DeadlineExceededError(absl::StrCat("dial ", where, ": not accepted in time"));
  if (error != ERROR_SUCCESS) return WindowsStatus(error, "dial", where);
  if (options.peer == PeerUser::kSame) {
    BROOD_RETURN_IF_ERROR(Annotate(internal::CheckPipeIsOwn(pipe.get()), absl::StrCat("dial ", where)));
  }
  ConnectionOptions connection = options.connection;
  connection.direction = Direction::kDuplex;
  return Connection::Adopt(std::move(pipe), connection);
}

}  // namespace brood
