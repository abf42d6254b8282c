#include <windows.h>

#include <string>

#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "base/windows_path.h"
#include "base/windows_text.h"
#include "batch/real_path.h"

namespace brood::internal {
namespace {

// Without the prefix that the system puts before what it tells: people read it, and AnyLength puts it back.
std::wstring Shown(const std::wstring& path) {
  if (path.starts_with(L"\\\\?\\UNC\\")) return L"\\\\" + path.substr(8);
  return path.starts_with(L"\\\\?\\") && path.size() > 6 && path[5] == L':' ? path.substr(4) : path;
}

}  // namespace

absl::StatusOr<std::string> RealPath(const std::string& path) {
  BROOD_ASSIGN_OR_RETURN(const std::wstring wide, ToWide(path, "plugin"));
  const UniqueFd file = Own(CreateFileW(AnyLength(wide).c_str(), 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                                        OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
  if (!file.valid()) return LastErrorStatus("plugin", path);
  std::wstring real(MAX_PATH, L'\0');
  for (;;) {
    const DWORD size = GetFinalPathNameByHandleW(HandleOf(file.get()), real.data(), static_cast<DWORD>(real.size()), 0);
    if (size == 0) return LastErrorStatus("plugin", path);
    const bool fits = size < real.size();
    real.resize(size);
    if (fits) return ToUtf8(Shown(real));
  }
}

}  // namespace brood::internal
