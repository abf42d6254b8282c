#include "base/windows_path.h"

#include <windows.h>

namespace brood {
namespace {

// The limit of CreateDirectory, the lowest: MAX_PATH, and room for a name of the old form within it.
constexpr size_t kSurelyFits = MAX_PATH - 13;

// Empty if Windows cannot tell.
std::wstring Whole(const std::wstring& path) {
  std::wstring whole(MAX_PATH, L'\0');
  for (;;) {
    const DWORD size = GetFullPathNameW(path.c_str(), static_cast<DWORD>(whole.size()), whole.data(), nullptr);
    const bool fits = size < whole.size();
    whole.resize(size);
    if (fits) return whole;
  }
}

}  // namespace

std::wstring AnyLength(const std::wstring& path) {
  // "\\?\" and "\\.\": nothing is made of what follows.
  if (path.starts_with(L"\\\\?\\") || path.starts_with(L"\\\\.\\")) return path;
  const std::wstring whole = Whole(path);
  if (whole.size() <= kSurelyFits || whole.starts_with(L"\\\\?\\") || whole.starts_with(L"\\\\.\\")) return path;
  return whole.starts_with(L"\\\\") ? L"\\\\?\\UNC" + whole.substr(1) : L"\\\\?\\" + whole;
}

size_t WholeLength(const std::wstring& path) { return Whole(path).size(); }

}  // namespace brood
