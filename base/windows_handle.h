// Handles of Windows as the `int` that portable code passes on: UniqueFd, sentinels, Stdio::Fd.
//
// A handle has 32 significant bits, also in a 64-bit program: "Interprocess Communication Between 32-bit and 64-bit
// Applications" of the Windows documentation promises that it may be cut to 32 bits and sign-extended again. So `int` is
// enough for one, as it is for a file descriptor, and no shared header has to know which of the two it is. Descriptors of
// the C runtime (_open) are something else and never used.
//
// Windows only.
#ifndef BROOD_BASE_WINDOWS_HANDLE_H_
#define BROOD_BASE_WINDOWS_HANDLE_H_

#include <windows.h>

#include <cstdint>

#include "base/unique_fd.h"

namespace brood {

inline HANDLE HandleOf(int fd) { return reinterpret_cast<HANDLE>(static_cast<intptr_t>(fd)); }

// -1 for both values that stand for no handle: NULL and INVALID_HANDLE_VALUE.
inline int FdOf(HANDLE handle) {
  const auto value = static_cast<int>(reinterpret_cast<intptr_t>(handle));
  return value == 0 ? -1 : value;
}

inline UniqueFd Own(HANDLE handle) { return UniqueFd(FdOf(handle)); }

}  // namespace brood

#endif  // BROOD_BASE_WINDOWS_HANDLE_H_
