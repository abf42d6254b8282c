#include "base/windows_text.h"

#include <windows.h>

#include "absl/strings/str_cat.h"

namespace brood {

absl::StatusOr<std::wstring> ToWide(std::string_view text, std::string_view what) {
  if (text.find('\0') != std::string_view::npos) return absl::InvalidArgumentError(absl::StrCat(what, ": contains a zero byte"));
  std::wstring wide;
  if (text.empty()) return wide;
  const auto size = static_cast<int>(text.size());
  const int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, nullptr, 0);
  if (length <= 0) return absl::InvalidArgumentError(absl::StrCat(what, ": is not UTF-8"));
  wide.resize(static_cast<size_t>(length));
  MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, wide.data(), length);
  return wide;
}

std::string ToUtf8(std::wstring_view text) {
  std::string narrow;
  if (text.empty()) return narrow;
  const auto size = static_cast<int>(text.size());
  const int length = WideCharToMultiByte(CP_UTF8, 0, text.data(), size, nullptr, 0, nullptr, nullptr);
  narrow.resize(static_cast<size_t>(length));
  WideCharToMultiByte(CP_UTF8, 0, text.data(), size, narrow.data(), length, nullptr, nullptr);
  return narrow;
}

}  // namespace brood
