#include "base/unique_fd.h"

#include <windows.h>

#include <cerrno>

#include "base/windows_handle.h"

namespace brood {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) {
    const int saved_errno = errno;
    const DWORD saved = GetLastError();
    CloseHandle(HandleOf(fd_));
    SetLastError(saved);
    errno = saved_errno;
  }
  fd_ = fd;
}

UniqueFd Duplicate(int fd) {
  HANDLE copy = nullptr;
  // A pseudo-handle, which GetCurrentProcess gives, is negative; here it would be no handle. Not inherited.
  if (fd < 0) {
    SetLastError(ERROR_INVALID_HANDLE);
    return UniqueFd();
  }
  if (!DuplicateHandle(GetCurrentProcess(), HandleOf(fd), GetCurrentProcess(), &copy, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
    return UniqueFd();
  }
  return Own(copy);
}

bool KeepFromChildren(int fd) { return fd >= 0 && SetHandleInformation(HandleOf(fd), HANDLE_FLAG_INHERIT, 0) != 0; }

}  // namespace brood
