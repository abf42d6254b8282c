// Paths that are longer than MAX_PATH (260), which most calls of Windows take only in a form of their own.
//
// Windows only. Thread-safe.
#ifndef BROOD_BASE_WINDOWS_PATH_H_
#define BROOD_BASE_WINDOWS_PATH_H_

#include <cstddef>
#include <string>

namespace brood {

// `path` as every call takes it whose limit is that of the file system: whole, behind "\\?\", if it is too long as it stands, a
// relative one together with the current folder. Others, and names of devices and pipes, stay what they are.
std::wstring AnyLength(const std::wstring& path);

// What Windows takes for a current folder, whatever its form, without the backslash that it puts behind it. SetCurrentDirectory.
inline constexpr size_t kMaxCurrentFolder = 258;

// The length of `path` when it is whole.
size_t WholeLength(const std::wstring& path);

}  // namespace brood

#endif  // BROOD_BASE_WINDOWS_PATH_H_
